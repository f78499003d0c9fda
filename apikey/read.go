package apikey

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// maxFile bounds a key file: some ten million keys.
const maxFile = 4 << 30

// LineError is a fault in a key file.
type LineError struct {
	// Path is the file.
	Path string
	// Line counts from 1.
	Line int
	// Err says what is wrong. It shows no hash.
	Err error
}

// Error names file and line.
func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %v", e.Path, e.Line, e.Err) }

// Unwrap returns what is wrong.
func (e *LineError) Unwrap() error { return e.Err }

// Errors of a key file as a whole.
var (
	errEmpty       = errors.New("it is empty, as if its content was lost; restore it, or remove the file and create a new one with `caddy jwt api-key new --append FILE` (a file without keys has one empty line)")
	errNoNewline   = errors.New("the last line does not end with a newline, as if it was cut off; end it with one")
	errLineTooLong = fmt.Errorf("the line is longer than %d KiB", maxLine>>10)
)

// usualLine is about the length of a line. A first one that is shorter says
// nothing of the others.
const usualLine = 200

// The most room that is made for the size of a file alone: a sparse one can claim
// any. Beyond it room grows with what is read.
const (
	maxKeysHint = 1 << 16
	maxTextHint = 8 << 20
)

// readSet reads a key file: JSON Lines, one record a line, blank lines
// passed over. path is for errors, and size, if it is known, a hint. It reads as
// it goes: a file is never in memory as a whole.
func readSet(in io.Reader, path string, size int64) (*Set, error) {
	var b *builder
	err := eachRecord(in, path, parserCount(), func(r *Record, length, lineNumber int) error {
		// Once a record is read, and not before: a large file of something
		// else may have a first line of one character.
		if b == nil {
			keys := size / int64(max(length, usualLine))
			b = newBuilder(int(min(keys, maxKeysHint)), int(min(size/8, maxTextHint)))
		}
		return b.add(r, lineNumber)
	})
	switch {
	case err != nil:
		return nil, err
	case b == nil:
		b = newBuilder(0, 0)
	}
	return b.set(), nil
}

// eachLine visits the lines of a key file that are not blank. The bytes of
// a line are good until the function returns.
func eachLine(in io.Reader, path string, visit func(line []byte, lineNumber int) error) error {
	reader := bufio.NewReaderSize(in, maxLine)
	for lineNumber := 1; ; lineNumber++ {
		line, err := reader.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(line) == 0:
			if lineNumber == 1 {
				return fmt.Errorf("%s: %w", path, errEmpty)
			}
			return nil
		case errors.Is(err, io.EOF):
			return &LineError{path, lineNumber, errNoNewline}
		case errors.Is(err, bufio.ErrBufferFull):
			return &LineError{path, lineNumber, errLineTooLong}
		case err != nil:
			return fmt.Errorf("%s: %w", path, err)
		}
		if lineNumber == 1 { // some editors begin a file with it
			line = bytes.TrimPrefix(line, []byte("\ufeff"))
		}
		if line = bytes.TrimRight(line, "\r\n"); len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		if err := visit(line, lineNumber); err != nil {
			return &LineError{path, lineNumber, err}
		}
	}
}

// openedFile is a key file that is open.
type openedFile interface {
	io.ReadCloser
	Stat() (os.FileInfo, error)
}

// openFile opens a key file for reading, without ever waiting.
func openFile(path string) (openedFile, error) {
	f, err := filewatch.Open(path)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// checkOpenFile returns the state of a file that was just opened, and why it can't
// be a key file. It asks the open file and not the name, which may lead to another
// one by now.
func checkOpenFile(f openedFile, path string) (os.FileInfo, error) {
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return info, fmt.Errorf("%s: it is a folder; name the key file in it", path)
	case !info.Mode().IsRegular():
		return info, fmt.Errorf("%s: %w", path, filewatch.ErrNotRegular)
	case info.Size() > maxFile:
		return info, fmt.Errorf("%s: it is larger than 4 GiB", path)
	}
	return info, nil
}

// loadSet reads a key file, and its state as it was when it was opened: nil
// where it is not to blame for the error, and may be read the next time. A good
// one is held (see holdFile) until closed.
func loadSet(path string, open func(string) (openedFile, error)) (keys *Set, before os.FileInfo, held io.Closer, err error) {
	f, err := open(path)
	if err != nil {
		return nil, nil, nil, err
	}
	if keys, before, err = readOpen(f, path); err != nil {
		return nil, before, nil, errors.Join(err, f.Close())
	}
	keys.file = path
	return keys, before, holdFile(f), nil
}

func readOpen(f openedFile, path string) (keys *Set, before os.FileInfo, err error) {
	if before, err = checkOpenFile(f, path); err != nil {
		return nil, before, err
	}
	keys, err = readSet(io.LimitReader(f, maxFile), path, before.Size())
	if _, inLine := errors.AsType[*LineError](err); err != nil && !inLine && !errors.Is(err, errEmpty) {
		return nil, nil, err // the disk's fault, or the network's
	}
	after, statErr := f.Stat()
	switch {
	case statErr != nil:
		return nil, nil, statErr
	case !filewatch.State{before}.Unwritten(filewatch.State{after}):
		return nil, before, fmt.Errorf("%s: %w", path, filewatch.ErrChanging)
	}
	return keys, before, err
}
