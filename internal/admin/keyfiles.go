package admin

import (
	"cmp"
	"errors"
	"slices"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// filesNamed returns the key files with a name in the config, all for an empty name, in the
// order of their paths.
func filesNamed(a App, name string) []KeyFile {
	files := slices.Clone(a.KeyFiles())
	if name != "" {
		files = slices.DeleteFunc(files, func(f KeyFile) bool { return !slices.Contains(f.Names, name) })
	}
	slices.SortFunc(files, func(a, b KeyFile) int { return cmp.Compare(a.Path, b.Path) })
	return files
}

// errFound ends the reading of a file.
var errFound = errors.New("found")

// findInFiles returns the key with an id, and the first file in which it is. A file that
// can't be read is passed over: the status page says so.
func findInFiles(files []KeyFile, id string) (file KeyFile, record apikey.Record, ok bool) {
	for _, f := range files {
		err := apikey.ReadEach(f.Path, func(r apikey.Record) error {
			if r.ID == id {
				record = r
				return errFound
			}
			return nil
		})
		if errors.Is(err, errFound) {
			return f, record, true
		}
	}
	return KeyFile{}, record, false
}

// fileKeys returns the most first keys of a file behind an id, in the order of their ids.
// The file is read as it is, as the commands do.
func fileKeys(file KeyFile, after string, most int, wanted func(*apikey.Record) bool) ([]apikey.Record, error) {
	var found []apikey.Record
	keep := func() {
		slices.SortFunc(found, func(a, b apikey.Record) int { return cmp.Compare(a.ID, b.ID) })
		found = found[:min(most, len(found))]
	}
	err := apikey.ReadEach(file.Path, func(r apikey.Record) error {
		if r.ID > after && wanted(&r) {
			if found = append(found, r); len(found) >= 4*most {
				keep()
			}
		}
		return nil
	})
	keep()
	return found, err
}
