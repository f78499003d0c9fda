package replica

// packed is an object that was made and not stored yet.
type packed struct {
	object *object
	stored []byte
	took   int // how many lines are in it
}

// pack makes an object of as many of the lines as fit into limit bytes, in their order.
func (r *Replica[F]) pack(lines []line, limit int) packed {
	lines = lines[:bounded(lines)]
	n := min(len(lines), 10_000) // about what fits
	p := r.sealed(lines[:n])
	// Facts that are alike compress alike, so the size says how many will fit.
	for len(p.stored) > limit && n > 1 {
		n = max(1, min(n-1, n*limit/len(p.stored)*97/100))
		p = r.sealed(lines[:n])
	}
	for n < len(lines) && len(p.stored) < limit*9/10 {
		more := min(len(lines), max(n+1, n*limit/len(p.stored)*98/100))
		next := r.sealed(lines[:more])
		if len(next.stored) > limit {
			break
		}
		p, n = next, more
	}
	return p
}

// bounded returns how many of the lines may be in one object, however well they compress.
func bounded(lines []line) int {
	plain := 0
	for i, l := range lines[:min(len(lines), maxFacts)] {
		if plain += len(l.text); plain > maxPlain/2 {
			return i
		}
	}
	return min(len(lines), maxFacts)
}

// sealed makes an object of lines.
func (r *Replica[F]) sealed(lines []line) packed {
	h := header{T: r.clock.Now().Unix()}
	texts := make([][]byte, len(lines))
	forever := false
	for i, l := range lines {
		texts[i] = l.text
		forever = forever || l.end == 0
		h.Last = max(h.Last, l.end)
	}
	if forever {
		h.Last = 0
	}
	texts = distinct(texts)
	name, stored := seal(h, texts, r.config.Name, r.bound.Load().Keys)
	o := &object{name: name, size: len(stored), facts: len(texts), last: h.Last}
	return packed{o, stored, len(lines)}
}
