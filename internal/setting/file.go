package setting

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// BearerToken reads a file that holds one bearer token.
func BearerToken(path string) (string, error) {
	text, err := ReadFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, " \r\n\t") {
		return "", fmt.Errorf("the file %s must hold one token and nothing else", path)
	}
	return token, nil
}

// MaxFile is the largest size of a file that a config names.
const MaxFile = 1 << 20

// Located adds to the error for a missing file which folder its relative path is
// relative to.
func Located(err error) error {
	var missing *fs.PathError
	if !errors.As(err, &missing) || !errors.Is(err, fs.ErrNotExist) || filepath.IsAbs(missing.Path) {
		return err
	}
	dir, unknown := os.Getwd()
	if unknown != nil {
		return err
	}
	return fmt.Errorf("%w (relative to %s, where Caddy runs; write a full path)", err, dir)
}

// ReadFile reads a regular file of at most 1 MiB that a config names.
func ReadFile(path string) ([]byte, error) {
	text, err := filewatch.ReadFile(path)
	if err != nil {
		return nil, Located(err)
	}
	return text, nil
}

// ReadUpTo reads a regular file of at most limit bytes, which are whole MiB, that a
// command names.
func ReadUpTo(path string, limit int64) ([]byte, error) { return filewatch.ReadUpTo(path, limit) }
