package apikey

import (
	"errors"
	"io"
	"iter"
)

// ReadEach reads a key file and visits its records in their order, which are not kept. The
// error is that of visit, or names the line that is wrong.
func ReadEach(path string, visit func(Record) error) (err error) {
	f, err := openFile(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := checkOpenFile(f, path); err != nil {
		return err
	}
	return eachLine(io.LimitReader(f, maxFile), path, func(line []byte, _ int) error {
		r, err := ParseRecord([]byte(string(line))) // which shares the memory
		if err != nil {
			return err
		}
		return visit(r)
	})
}

// All returns the keys of a set, in no order.
func (s *Set) All() iter.Seq[Key] {
	return func(yield func(Key) bool) {
		for c := range s.table.All() {
			if !yield(Key{s, &c.Value}) {
				return
			}
		}
	}
}

// ContainsKey reports whether a text contains an API key in the form in which New makes
// them, perhaps with a typing error.
func ContainsKey(text string) bool { return looksLikeKey(text) }
