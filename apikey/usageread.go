package apikey

import (
	"context"
	"time"
)

// Uses is how a key was used, on all nodes.
type Uses struct {
	// Last is the time of the last use, to the second; zero for none in the last 400
	// days. What other nodes have counted comes within 1 minute, or 5 if there are more
	// than 20,000 keys.
	Last time.Time
	// Today and Days30 are the number of uses of this day and of the last 30 days,
	// with this one, by UTC.
	Today, Days30 uint64
}

// Read reads the uses of all nodes, by the keys' ids. That loads what was rolled up, and of
// each later day the objects of each process: it is for lists, and not for requests.
func (u *Usage) Read(ctx context.Context) (map[string]Uses, error) {
	u.mu.Lock()
	now := u.clock.Now()
	u.collect(now)
	objects, today := u.objects, day(now.Unix())
	// What is in memory is newer than what is stored of it.
	own := map[usageName][]keyUses{}
	for _, d := range u.days {
		for i := range d.parts {
			own[usageName{d.day, d.writer, i}] = append([]keyUses(nil), d.part(i)...)
		}
	}
	u.mu.Unlock()

	names, err := listUsage(ctx, objects)
	if err != nil {
		return nil, err
	}
	rolled, err := u.newest(ctx, objects, names, today)
	if err != nil {
		return nil, err
	}
	all := map[string]Uses{}
	add := func(key string, last int64, on int64, n uint64) {
		sum := all[key]
		if at := time.Unix(last, 0).UTC(); last > 0 && at.After(sum.Last) {
			sum.Last = at
		}
		if on == today {
			sum.Today += n
		}
		if on > today-rolledDays {
			sum.Days30 += n
		}
		all[key] = sum
	}
	for _, name := range rolled.Parts {
		content, err := u.loadRolled(ctx, objects, name)
		if err != nil {
			return nil, err
		}
		// Of what is damaged, nothing is known.
		_ = eachUse(content, func(r *usageRecord) {
			add(r.Key, r.Last, 0, 0)
			for ago, n := range r.Days {
				add(r.Key, 0, rolled.Through-int64(ago), n)
			}
		})
	}
	for _, name := range names {
		n, ok := parseUsageName(name)
		if _, mine := own[n]; !ok || mine || rolled.covers(n) {
			continue
		}
		content, err := u.load(ctx, objects, name)
		if err != nil {
			return nil, err
		}
		_ = eachUse(content, func(r *usageRecord) { add(r.Key, r.Last, n.day, r.N) })
	}
	for n, uses := range own {
		if rolled.covers(n) {
			continue
		}
		for _, use := range uses {
			add(use.id, use.last, n.day, use.n)
		}
	}
	return all, nil
}
