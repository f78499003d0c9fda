package replica

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
)

func byName(a, b *object) int { return cmp.Compare(a.name, b.name) }

// parse returns the facts of an object that this version knows, and how many it does not
// know.
func (r *Replica[F]) parse(o *opened) (facts []F, unknown int, err error) {
	facts = make([]F, 0, len(o.lines))
	for _, line := range o.lines {
		f, err := r.config.Language.Parse(line)
		switch {
		case errors.Is(err, ErrUnknownKind):
			unknown++
		case err != nil:
			return nil, 0, fmt.Errorf("%w: a fact is invalid: %w", ErrDamaged, err)
		default:
			facts = append(facts, f)
		}
	}
	return facts, unknown, nil
}

// last returns when the last of the facts ends, 0 for never. It is not the header's word
// that counts.
func (r *Replica[F]) last(o *opened, facts []F, unknown int) int64 {
	if unknown > 0 {
		return 0
	}
	if len(facts) == 0 {
		return o.T // a merge of nothing but what has ended
	}
	last := int64(0)
	for _, f := range facts {
		end := r.config.Language.End(f)
		if end == 0 {
			return 0
		}
		last = max(last, end)
	}
	return last
}

// over reports whether an end is so long ago that nothing hangs on the fact any more,
// whatever the clocks of other nodes show.
func (r *Replica[F]) over(end int64) bool {
	return end != 0 && end+int64(r.knobs.margin.Seconds()) < r.clock.Now().Unix()
}

// union is the facts of some objects.
type union[F any] struct {
	facts []F
	raw   map[string][][]byte // lines that this version would write otherwise, by how it would
	whole [][]byte            // lines of kinds that it does not know
	know  map[string]bool     // with note: all lines, as they are and as this version would write them
}

// add adds the facts of an object. With note, it remembers each line.
func (r *Replica[F]) add(u *union[F], o *opened, note bool) error {
	if u.raw == nil {
		u.raw, u.know = map[string][][]byte{}, map[string]bool{}
	}
	var own []byte
	for _, line := range o.lines {
		if note {
			u.know[string(line)] = true
		}
		f, err := r.config.Language.Parse(line)
		if errors.Is(err, ErrUnknownKind) {
			u.whole = append(u.whole, line)
			continue
		}
		if err != nil {
			return fmt.Errorf("%w: a fact is invalid: %w", ErrDamaged, err)
		}
		u.facts = append(u.facts, f)
		own = r.config.Language.Append(own[:0], f)
		if !bytes.Equal(own, line) {
			u.raw[string(own)] = append(u.raw[string(own)], line)
			if note {
				u.know[string(own)] = true
			}
		}
	}
	return nil
}

// merged returns the lines of what still matters of the facts, and when the last of them
// ends. What a newer version wrote into a line stays in it.
func (r *Replica[F]) merged(u *union[F]) (lines [][]byte, last int64) {
	forget := r.config.CanForget()
	forever := len(u.whole) > 0
	for _, f := range r.config.Language.Merge(u.facts) {
		end := r.config.Language.End(f)
		if forget && r.over(end) {
			continue
		}
		forever = forever || end == 0
		last = max(last, end)
		own := r.config.Language.Append(nil, f)
		if raw := u.raw[string(own)]; raw != nil {
			lines = append(lines, raw...)
		} else {
			lines = append(lines, own)
		}
	}
	lines = distinct(append(lines, u.whole...))
	if forever {
		last = 0
	}
	return lines, last
}

// implied reports whether an object holds all that still matters of others: whether the
// union of all leaves nothing that is not in it.
func (r *Replica[F]) implied(by *opened, others []*opened) (bool, error) {
	var u union[F]
	if err := r.add(&u, by, true); err != nil {
		return false, err
	}
	for _, o := range others {
		if err := r.add(&u, o, false); err != nil {
			return false, err
		}
	}
	lines, _ := r.merged(&u)
	for _, line := range lines {
		if !u.know[string(line)] {
			return false, nil
		}
	}
	return true, nil
}
