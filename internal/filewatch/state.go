package filewatch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// State is the metadata by which a change of files is noticed. os.SameFile detects
// another file under the same name, and the times and size detect a write in place.
// A program can reset the modification time (cp -p, rsync -t), but not the change time.
type State []os.FileInfo

// Stat returns the state of the files with these paths.
func Stat(paths []string) (State, error) {
	state := make(State, len(paths))
	for i, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		state[i] = info
	}
	return state, nil
}

// same reports whether nothing has changed.
func (s State) same(other State) bool {
	return s.Unwritten(other) && slices.EqualFunc(s, other, func(a, b os.FileInfo) bool {
		return changeTime(a).Equal(changeTime(b))
	})
}

// Unwritten reports whether no content has changed. Names and modes may have changed.
func (s State) Unwritten(other State) bool {
	return s != nil && other != nil && slices.EqualFunc(s, other, func(a, b os.FileInfo) bool {
		return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
	})
}

// settling reports whether one of the files was written less than SettleTime ago.
func (s State) settling(now time.Time) bool {
	return slices.ContainsFunc(s, func(info os.FileInfo) bool {
		age := now.Sub(info.ModTime())
		return age >= 0 && age < SettleTime
	})
}

// coarsestTime is the resolution of timestamps on the coarsest file systems (FAT). A
// file that changed less than that before it was read may change again with the same
// timestamp.
const coarsestTime = 2 * time.Second

// unsure reports whether one of the files, read at a time, may have changed since
// and look the same: it is of a file system that counts whole seconds.
func (s State) uncertain(read time.Time) bool {
	return slices.ContainsFunc(s, func(info os.FileInfo) bool {
		return info.ModTime().Nanosecond() == 0 && read.Sub(lastChange(info)) < coarsestTime
	})
}

// lastChange returns when a file was last changed: the later of its two times.
func lastChange(info os.FileInfo) time.Time {
	if at := changeTime(info); at.After(info.ModTime()) {
		return at
	}
	return info.ModTime()
}

// maxSize limits what ReadFile reads.
const maxSize = 1 << 20 // 1 MiB

// ErrNotRegular is the error for what is no file with a content of its own: a pipe, a
// socket or a device, which a reader could wait for without end.
var ErrNotRegular = errors.New("it is not a regular file; name one")

// Open opens a file for reading. It never waits, as the opening of a pipe does by
// itself; that what is opened is a regular file is for the caller to check.
func Open(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|noWait, 0)
	if err == nil {
		return f, nil
	}
	if info, statErr := os.Stat(path); statErr == nil && !info.Mode().IsRegular() && !info.IsDir() {
		return nil, fmt.Errorf("%s: %w", path, ErrNotRegular) // a socket, which can't be opened
	}
	return nil, err
}

// ReadFile reads a regular file of at most maxSize bytes.
func ReadFile(path string) ([]byte, error) { return ReadUpTo(path, maxSize) }

// ReadUpTo reads a regular file of at most limit bytes, which are whole MiB.
func ReadUpTo(path string, limit int64) (text []byte, err error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	switch info, err := f.Stat(); {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular() && !info.IsDir(): // reading a folder says what it is
		return nil, fmt.Errorf("%s: %w", path, ErrNotRegular)
	}
	text, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("the file %s is larger than %d MiB", path, limit>>20)
	}
	return text, nil
}
