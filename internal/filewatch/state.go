package filewatch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// State is what changes of files when they do. os.SameFile tells of another file
// under the same name, the times and size of a write in place. Whoever writes can
// put the time of the last write back (cp -p, rsync -t), but not that of the last
// change.
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

// Unwritten reports whether no content has changed. Files may have got another
// name or mode.
func (s State) Unwritten(other State) bool {
	return s != nil && other != nil && slices.EqualFunc(s, other, func(a, b os.FileInfo) bool {
		return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
	})
}

// settling reports whether one of the files was written a moment ago.
func (s State) settling(now time.Time) bool {
	return slices.ContainsFunc(s, func(info os.FileInfo) bool {
		age := now.Sub(info.ModTime())
		return age >= 0 && age < SettleTime
	})
}

// coarsestTime is the step of the times of the coarsest file systems (FAT). There
// a file that changed less than that before it was read may change again and look
// the same.
const coarsestTime = 2 * time.Second

// unsure reports whether one of the files, read at a time, may have changed since
// and look the same: it is of a file system that counts whole seconds.
func (s State) unsure(read time.Time) bool {
	return slices.ContainsFunc(s, func(info os.FileInfo) bool {
		return info.ModTime().Nanosecond() == 0 && read.Sub(lastChange(info)) < coarsestTime
	})
}

// lastChange is when a file was changed last, by whichever of its times.
func lastChange(info os.FileInfo) time.Time {
	if at := changeTime(info); at.After(info.ModTime()) {
		return at
	}
	return info.ModTime()
}

// maxSize bounds what ReadFile reads.
const maxSize = 1 << 20

// ReadFile reads a file of at most maxSize.
func ReadFile(path string) (text []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	text, err = io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxSize {
		return nil, fmt.Errorf("the file %s is larger than 1 MiB", path)
	}
	return text, nil
}
