package credential

import "strings"

// parameter returns the index of the place that a pair is in, or -1.
func parameter(places []place, p pair) int {
	name := p.rawName()
	for i := range places {
		if s := &places[i]; s.From == FromQuery && (len(name)-len(s.Name))&1 == 0 && decodesTo(name, s.Name) {
			return i
		}
	}
	return -1
}

// shortest returns the length of the shortest name of a kind of place, which no shorter
// text can be, and whether there is such a place.
func shortest(places []place, from string) (least int, any bool) {
	for i := range places {
		if s := &places[i]; s.From == from && (!any || len(s.Name) < least) {
			least, any = len(s.Name), true
		}
	}
	return least, any
}

// named reports whether a query has a parameter of one of the places.
func named(places []place, query string) bool {
	least, any := shortest(places, FromQuery)
	if query == "" || !any || !mayName(places, query) {
		return false
	}
	all := pairsOf(query)
	for p, ok := all.next(least); ok; p, ok = all.next(least) {
		if parameter(places, p) >= 0 {
			return true
		}
	}
	return false
}

// mayName reports whether a query may have a parameter of one of the places. Where
// nothing is encoded, that is whether it has the text of a name.
func mayName(places []place, query string) bool {
	if escaped(query) {
		return true
	}
	for i := range places {
		if s := &places[i]; s.From == FromQuery && strings.Contains(query, s.Name) {
			return true
		}
	}
	return false
}

// mostRepeated is how often a request may repeat one credential. A client that sends
// more of them is refused rather than read to the end.
const mostRepeated = 16

// readQuery adds the credentials in a query that names some to f.
func readQuery(places []place, query string, f *Found) {
	same := make([]repeated, len(places))
	least, _ := shortest(places, FromQuery)
	all := pairsOf(query)
	for p, ok := all.next(least); ok; p, ok = all.next(least) {
		if i := parameter(places, p); i >= 0 {
			if f.addParameter(&places[i], p.value(), &same[i]); f.multiple {
				return // whatever follows
			}
		}
	}
}

func (f *Found) addParameter(s *place, value string, same *repeated) {
	f.multiple = same.differs(value) || f.multiple
	if value == "" {
		f.malformed = true
	} else {
		f.add(s, value)
	}
}
