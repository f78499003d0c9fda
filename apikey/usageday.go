package apikey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

const (
	secondsOfDay = 24 * 60 * 60
	// maxUsageObject is how large an object may be, as for all that is shared.
	maxUsageObject = 256 << 10
	// usageLine is the most that a line takes besides the key.
	usageLine = len(`{"key":"","last":9223372036854775807,"n":18446744073709551615}` + "\n")
)

// day returns the number of a day by UTC.
func day(seconds int64) int64 { return seconds / secondsOfDay }

// dayName returns a day as it is in names, such as 20261130.
func dayName(day int64) string { return time.Unix(day*secondsOfDay, 0).UTC().Format("20060102") }

// dayNamed is its inverse.
func dayNamed(text string) (int64, bool) {
	t, err := time.Parse("20060102", text)
	return day(t.Unix()), err == nil
}

// usageDay is what this process has counted on a day. It is kept in parts, each of which
// becomes an object; a key stays in its part.
type usageDay struct {
	day    int64
	writer string    // 8 hexadecimal digits
	uses   []keyUses // in the order in which keys were first used
	parts  []usagePart
}

// usagePart is the part of the keys from a place on.
type usagePart struct {
	from, size int
	changed    bool // since it was stored
}

type keyUses struct {
	id   string
	last int64
	n    uint64
	part int
}

// count adds uses of a key.
func (d *usageDay) count(c *usageCounter, n uint64, last int64) {
	p := &c.places[d.day&1]
	if p.in != d {
		line := usageLine + len(c.id)
		if len(d.parts) == 0 || d.parts[len(d.parts)-1].size+line > maxUsageObject {
			d.parts = append(d.parts, usagePart{from: len(d.uses)})
		}
		at := len(d.parts) - 1
		d.parts[at].size += line
		d.uses = append(d.uses, keyUses{id: c.id, part: at})
		*p = usagePlace{d, len(d.uses) - 1}
	}
	u := &d.uses[p.index]
	u.n, u.last = u.n+n, max(u.last, last)
	d.parts[u.part].changed = true
}

// part returns the uses of a part.
func (d *usageDay) part(i int) []keyUses {
	to := len(d.uses)
	if i+1 < len(d.parts) {
		to = d.parts[i+1].from
	}
	return d.uses[d.parts[i].from:to]
}

// usageName is the name of a part of what a process has counted on a day:
// 20261130-0123abcd-0000. Only that process writes it.
type usageName struct {
	day    int64
	writer string
	part   int
}

func (n usageName) String() string {
	return fmt.Sprintf("%s-%s-%04x", dayName(n.day), n.writer, n.part)
}

func parseUsageName(text string) (n usageName, ok bool) {
	if len(text) < 22 || text[8] != '-' || text[17] != '-' {
		return n, false
	}
	part, err := strconv.ParseUint(text[18:], 16, 31)
	n.day, ok = dayNamed(text[:8])
	n.writer, n.part = text[9:17], int(part)
	return n, ok && err == nil && n.String() == text
}

// appendUses writes lines such as {"key":"orders","last":1795913000,"n":12}.
func appendUses(out []byte, uses []keyUses) []byte {
	for _, u := range uses {
		out = append(append(out, `{"key":"`...), u.id...) // which needs no escapes
		out = strconv.AppendInt(append(out, `","last":`...), u.last, 10)
		out = strconv.AppendUint(append(out, `,"n":`...), u.n, 10)
		out = append(out, '}', '\n')
	}
	return out
}

// usageRecord is a line of an object. Days, in one that was rolled up, are the uses of the
// day through which it was, of the one before, and so on.
type usageRecord struct {
	Key  string   `json:"key"`
	Last int64    `json:"last,omitempty"`
	N    uint64   `json:"n,omitempty"`
	Days []uint64 `json:"days,omitempty"`
}

var errUsageLine = errors.New("it is no line of use counts")

// eachUse visits the lines of an object. Nothing is visited if one of them is damaged.
func eachUse(content []byte, visit func(r *usageRecord)) error {
	var all []usageRecord
	for line := range bytes.Lines(content) {
		var r usageRecord
		if err := json.Unmarshal(line, &r); err != nil || CheckID(r.Key) != nil {
			return errUsageLine
		}
		all = append(all, r)
	}
	for i := range all {
		visit(&all[i])
	}
	return nil
}
