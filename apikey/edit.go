package apikey

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// Edit is the content of a file of API keys, for a command that changes it.
// Records that are not changed stay byte for byte; blank lines go. It is not safe
// for concurrent use.
type Edit struct {
	lines  []editLine
	byID   map[string]int
	byHash map[Digest]int
}

// editLine is a record, and the line that it was read from or is written as.
type editLine struct {
	record  Record
	text    []byte
	deleted bool
}

// OpenEdit reads a key file. The error names the line that is wrong.
func OpenEdit(path string) (file *Edit, err error) {
	f, err := openFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := checkOpenFile(f, path); err != nil {
		return nil, err
	}
	return parseEdit(io.LimitReader(f, maxFile), path)
}

func emptyEdit() *Edit { return &Edit{byID: map[string]int{}, byHash: map[Digest]int{}} }

func parseEdit(in io.Reader, path string) (*Edit, error) {
	f := emptyEdit()
	check := newBuilder(0, 0)
	err := eachLine(in, path, func(line []byte, lineNumber int) error {
		line = bytes.Clone(line)
		r, err := ParseRecord(line)
		if err != nil {
			return err
		}
		if err := check.add(&r, lineNumber); err != nil {
			return err
		}
		f.insert(editLine{record: r, text: line})
		return nil
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (f *Edit) insert(line editLine) {
	f.byID[line.record.ID], f.byHash[line.record.Hash] = len(f.lines), len(f.lines)
	f.lines = append(f.lines, line)
}

// Records returns all records, in the order of the file.
func (f *Edit) Records() []Record {
	records := make([]Record, 0, len(f.lines))
	for _, line := range f.lines {
		if !line.deleted {
			records = append(records, line.record)
		}
	}
	return records
}

// Find returns the record with an id.
func (f *Edit) Find(id string) (Record, bool) {
	n, ok := f.byID[id]
	if !ok {
		return Record{}, false
	}
	return f.lines[n].record, true
}

// FindHash returns the record with a hash.
func (f *Edit) FindHash(d Digest) (Record, bool) {
	n, ok := f.byHash[d]
	if !ok {
		return Record{}, false
	}
	return f.lines[n].record, true
}

// Put adds a record, or replaces the one with the same id. It returns an
// error if another key has the same hash, or if the record is not a valid line.
func (f *Edit) Put(r Record) error {
	if n, ok := f.byHash[r.Hash]; ok && f.lines[n].record.ID != r.ID {
		return fmt.Errorf("the file already has this key, as %s", f.lines[n].record.ID)
	}
	text, err := r.MarshalJSON()
	if err != nil {
		return fmt.Errorf("%s: %w", r.ID, err)
	}
	if len(text) >= maxLine {
		return fmt.Errorf("%s: %w", r.ID, errLineTooLong)
	}
	n, ok := f.byID[r.ID]
	if !ok {
		f.insert(editLine{record: r, text: text})
		return nil
	}
	delete(f.byHash, f.lines[n].record.Hash)
	f.byHash[r.Hash] = n
	f.lines[n] = editLine{record: r, text: text}
	return nil
}

// Delete removes the record with an id; false if there is none.
func (f *Edit) Delete(id string) bool {
	n, ok := f.byID[id]
	if !ok {
		return false
	}
	delete(f.byID, id)
	delete(f.byHash, f.lines[n].record.Hash)
	f.lines[n] = editLine{deleted: true}
	return true
}

// write writes the content. A file without keys has one empty line, to distinguish it
// from one that was emptied by accident.
func (f *Edit) write(out *os.File) error {
	w := bufio.NewWriter(out)
	any := false
	for _, line := range f.lines {
		if line.deleted {
			continue
		}
		any = true
		if _, err := w.Write(line.text); err != nil {
			return err
		}
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
	if !any {
		if err := w.WriteByte('\n'); err != nil {
			return err
		}
	}
	return w.Flush()
}

// Update changes a key file under a lock, atomically: it is replaced by a
// whole new one, or stays as it was. change gets the content; where it returns an
// error, nothing is written. create allows the file not to be there yet; it then
// gets the mode 0600. An existing one keeps its owner and mode. It returns the
// state of the new file.
func Update(path string, create bool, change func(*Edit) error) (info os.FileInfo, err error) {
	// Where the path is a link, the file that it leads to is replaced.
	path, err = realPath(path)
	if err != nil {
		return nil, err
	}
	unlock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, unlock()) }()

	f, err := OpenEdit(path)
	if create && errors.Is(err, fs.ErrNotExist) {
		f, err = emptyEdit(), nil
	}
	if err != nil {
		return nil, err
	}
	if err := change(f); err != nil {
		return nil, err
	}
	return f.replace(path)
}

// realPath follows links. A broken link is an error: a file created in its place would
// not be where the server looks once the link is fixed.
func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil {
		return real, nil
	}
	if to, linkErr := os.Readlink(path); linkErr == nil {
		return "", fmt.Errorf("%s is a link that leads to %s, which can't be reached; fix the link: %w", path, to, err)
	}
	return path, nil // it does not exist, which opening it reports
}

// siblingError adds to an error what is needed to create a file beside the key file.
func siblingError(path string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; a key file is replaced by a new one, so you must be able to write in its folder %s", err, filepath.Dir(path))
	}
	return err
}

func (f *Edit) replace(path string) (os.FileInfo, error) {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return nil, siblingError(path, err)
	}
	err = f.fill(temp, path)
	if err = errors.Join(err, temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return nil, errors.Join(err, os.Remove(temp.Name()))
	}
	if err := filewatch.SyncFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return os.Stat(path) // a renaming is a change too
}

// fill writes the content to a file that will have the lineNumber of path.
func (f *Edit) fill(temp *os.File, path string) error {
	if err := f.write(temp); err != nil {
		return err
	}
	if err := keepOwner(temp, path); err != nil {
		return err
	}
	return temp.Sync()
}

// keepOwner gives a new file the owner and mode of the one that it replaces, as
// the server may run under another user than the command.
func keepOwner(temp *os.File, path string) error {
	old, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := copyOwner(temp, old); err != nil {
		return fmt.Errorf("keeping the owner of %s: %w; run the command as its owner or as root", path, err)
	}
	return temp.Chmod(old.Mode().Perm())
}

// NewEdit returns the content of a file without keys.
func NewEdit() *Edit { return emptyEdit() }
