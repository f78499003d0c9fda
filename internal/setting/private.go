package setting

import (
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// ReadPrivate reads a regular file of at most 1 MiB that holds a secret, and reports whether
// users besides its owner may read it. Where files have no such permissions, as on Windows,
// nobody else may. The permissions are those of the file that was read, whatever takes its
// name meanwhile.
func ReadPrivate(path string) (text []byte, others bool, err error) {
	f, err := filewatch.Open(path)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, false, err
	case !info.Mode().IsRegular() && !info.IsDir(): // reading a folder says what it is
		return nil, false, fmt.Errorf("%s: %w", path, filewatch.ErrNotRegular)
	}
	others = info.Mode().Perm()&0o077 != 0 && runtime.GOOS != "windows"
	text, err = io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err == nil && len(text) > MaxFile {
		err = fmt.Errorf("the file %s is larger than 1 MiB", path)
	}
	return text, others, err
}
