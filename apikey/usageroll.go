package apikey

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// Days that are over are rolled up: some parts with the last use and the uses of 30 days of
// each key, and a manifest that names these parts and says whose counts are in them. It is
// stored last, and both are named by their content.
//
// No use is ever counted twice, whichever nodes roll up at the same time: who reads takes
// exactly one manifest, and adds the objects of processes that this one does not cover. A
// manifest is made of exactly one other and of objects that this did not cover, so by
// induction it has each of them once. Two nodes that read the same make the same; if they
// did not, two manifests stand side by side, one is taken, and what only the other covers
// is still there by itself: an object is removed days after it was covered. What a process
// writes into an object that is covered, as that day's storage was down until then, is not
// counted: it is always too little, never too much.
const (
	// closedDays is how many days after it a day is rolled up, so that clocks that differ
	// and a storage that was away for some hours cost nothing.
	closedDays = 2
	// coveredDays is how long what was rolled up says whose counts of a day it has. What
	// appears of an earlier day is not counted.
	coveredDays = 9
	// removedDays is how many days after it what was rolled up is removed.
	removedDays = 5
	// rolledDays is how many days the uses of a day are kept, lastDays that of the last use.
	rolledDays = 30
	lastDays   = 400
	// strayDays is how long an object of a process is kept, whether or not it was rolled up.
	strayDays = 90
)

// manifest says what was rolled up.
type manifest struct {
	Through int64          `json:"through"` // the last day
	Floor   int64          `json:"floor"`   // of days before it nothing else is counted
	Covers  map[string]int `json:"covers"`  // by 20261130-0123abcd, how many parts of it
	Parts   []string       `json:"parts"`   // the keys are in order
	name    string
}

// covers reports whether an object's counts are in it, or are not to be counted.
func (m *manifest) covers(n usageName) bool {
	return n.day < m.Floor || n.part < m.Covers[n.String()[:17]]
}

// rolledName names an object by its content: kind-20261130-…-HHHHHHHHHHHHHHHH.
func rolledName(prefix string, content []byte) string {
	sum := sha256.Sum256(content)
	return prefix + hex.EncodeToString(sum[:8])
}

// isRolled reports whether an object is of a kind, and the day that is in its name.
func isRolled(name, kind string) (day int64, ok bool) {
	rest, ok := strings.CutPrefix(name, kind+"-")
	if !ok || len(rest) < 8 {
		return 0, false
	}
	return dayNamed(rest[:8])
}

// load loads an object; nil if it does not exist, for sure.
func (u *Usage) load(ctx context.Context, objects replica.Objects, name string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, usageLimit)
	defer cancel()
	content, err := objects.Load(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, objects.Probe(ctx)
	}
	return content, err
}

// loadRolled is load for what is named by its content; nil also if it is damaged.
func (u *Usage) loadRolled(ctx context.Context, objects replica.Objects, name string) ([]byte, error) {
	content, err := u.load(ctx, objects, name)
	if err != nil || content == nil || rolledName(name[:max(0, len(name)-16)], content) != name {
		return nil, err
	}
	return content, nil
}

// newest returns the manifest to take: of the latest day, the one that covers most. Its
// parts are visited in order. A manifest of which something is missing is none.
func (u *Usage) newest(ctx context.Context, objects replica.Objects, names []string, today int64) (*manifest, error) {
	rolls := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		through, ok := isRolled(name, "roll")
		return !ok || through >= today // of a node whose clock is wrong
	})
	slices.Sort(rolls)
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
	}
	for _, name := range slices.Backward(rolls) {
		content, err := u.loadRolled(ctx, objects, name)
		if err != nil {
			return nil, err
		}
		m := &manifest{name: name}
		if content == nil || json.Unmarshal(content, m) != nil ||
			slices.ContainsFunc(m.Parts, func(part string) bool { return !there[part] }) {
			continue
		}
		return m, nil
	}
	return &manifest{}, nil
}

// rollUp rolls up the days that are over, unless another node has, and removes what is no
// longer needed.
func (u *Usage) rollUp(ctx context.Context) error {
	u.storing.Lock()
	defer u.storing.Unlock()
	u.mu.Lock()
	objects, today := u.objects, day(u.clock.Now().Unix())
	u.mu.Unlock()
	names, err := listUsage(ctx, objects)
	if err != nil {
		return err
	}
	before, err := u.newest(ctx, objects, names, today)
	if err != nil {
		return err
	}
	fresh := map[string]*usageRecord{}
	next := &manifest{Through: today - closedDays, Floor: max(before.Floor, today-coveredDays), Covers: map[string]int{}}
	rolled := false
	for writer, parts := range before.Covers {
		if d, ok := dayNamed(writer[:8]); ok && d >= next.Floor {
			next.Covers[writer] = parts
		}
	}
	slices.Sort(names)
	for _, name := range names {
		n, ok := parseUsageName(name)
		if !ok || n.day > next.Through || before.covers(n) {
			continue
		}
		if writer := name[:17]; n.day >= next.Floor {
			if n.part != next.Covers[writer] {
				continue // one before it is missing, and may come yet
			}
			next.Covers[writer]++
		}
		rolled = true
		content, err := u.load(ctx, objects, name)
		if err != nil {
			return err
		}
		// Of a damaged one nothing can be counted.
		_ = eachUse(content, func(r *usageRecord) { addUse(fresh, r, next.Through-n.day) })
	}
	if rolled && next.Through > before.Through {
		if err := u.makeRolled(ctx, objects, before, next, fresh); err != nil {
			return err
		}
	}
	return u.prune(ctx, objects, before, names, today)
}

func listUsage(ctx context.Context, objects replica.Objects) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, usageLimit)
	defer cancel()
	return objects.List(ctx)
}

// addUse adds the uses of a key on a day, so many days before the last.
func addUse(to map[string]*usageRecord, r *usageRecord, ago int64) {
	sum := to[r.Key]
	if sum == nil {
		sum = &usageRecord{Key: r.Key}
		to[r.Key] = sum
	}
	sum.Last = max(sum.Last, r.Last)
	if ago < rolledDays {
		sum.Days = addDay(sum.Days, int(ago), r.N)
	}
}

func addDay(days []uint64, ago int, n uint64) []uint64 {
	if n == 0 {
		return days
	}
	for len(days) <= ago {
		days = append(days, 0)
	}
	days[ago] += n
	return days
}

// makeRolled stores the parts and the manifest: what is in the one before, and what is
// fresh. Keys are in order in both, so only one part has to be in memory.
func (u *Usage) makeRolled(ctx context.Context, objects replica.Objects, before, next *manifest, fresh map[string]*usageRecord) error {
	parts := rolledParts{through: next.Through, store: func(name string, content []byte) error {
		return u.store(ctx, objects, name, content)
	}}
	ids := slices.Sorted(maps.Keys(fresh))
	for _, name := range before.Parts {
		content, err := u.loadRolled(ctx, objects, name)
		if err != nil {
			return err
		}
		// If it is lost or damaged, so are its counts.
		_ = eachUse(content, func(r *usageRecord) {
			for len(ids) > 0 && ids[0] < r.Key {
				parts.add(fresh[ids[0]])
				ids = ids[1:]
			}
			sum := &usageRecord{Key: r.Key, Last: r.Last}
			for i, n := range r.Days {
				if ago := int(next.Through-before.Through) + i; ago < rolledDays {
					sum.Days = addDay(sum.Days, ago, n)
				}
			}
			if len(ids) > 0 && ids[0] == r.Key {
				sum.Last = max(sum.Last, fresh[r.Key].Last)
				for ago, n := range fresh[r.Key].Days {
					sum.Days = addDay(sum.Days, ago, n)
				}
				ids = ids[1:]
			}
			parts.add(sum)
		})
	}
	for _, id := range ids {
		parts.add(fresh[id])
	}
	if parts.flush(); parts.err != nil {
		return parts.err
	}
	next.Parts = parts.names
	covered := 0
	for _, n := range next.Covers {
		covered += n
	}
	content := encode(next)
	return u.store(ctx, objects, rolledName(fmt.Sprintf("roll-%s-%08x-", dayName(next.Through), covered), content), content)
}

// rolledParts writes records into objects. After an error it does nothing.
type rolledParts struct {
	through int64
	store   func(name string, content []byte) error
	part    []byte
	names   []string
	err     error
}

func (p *rolledParts) add(r *usageRecord) {
	if p.err != nil || day(r.Last) < p.through-lastDays {
		return
	}
	line := append(encode(r), '\n')
	if len(p.part)+len(line) > maxUsageObject {
		p.flush()
	}
	p.part = append(p.part, line...)
}

func (p *rolledParts) flush() {
	if p.err == nil && len(p.part) > 0 {
		name := rolledName("part-"+dayName(p.through)+"-", p.part)
		p.err = p.store(name, p.part)
		p.names, p.part = append(p.names, name), nil
	}
}

// prune removes what a manifest, which was there at the last time, makes needless.
func (u *Usage) prune(ctx context.Context, objects replica.Objects, m *manifest, names []string, today int64) error {
	for _, name := range names {
		needless := false
		if n, ok := parseUsageName(name); ok {
			needless = n.day <= today-removedDays && m.covers(n) || n.day < today-strayDays
		} else if through, ok := isRolled(name, "roll"); ok {
			needless = name != m.name && through < m.Through && through <= today-removedDays
		} else if through, ok := isRolled(name, "part"); ok {
			needless = !slices.Contains(m.Parts, name) && through < m.Through && through <= today-removedDays
		}
		if !needless {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, usageLimit)
		err := objects.Delete(ctx, name)
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}
