package replica

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/caddyserver/certmagic"
)

// markerName is the object that every set has. It sorts last, so that a sorted listing
// that was cut short lacks it.
const markerName = "zz-caddy-jwt-1"

// Errors of a folder, besides those of its storage.
var (
	// ErrPath: the path can't be that of a folder in every storage.
	ErrPath = errors.New("a folder of a storage has a relative path without . and .. in it")
	// ErrName: the name can't be that of an object.
	ErrName = errors.New("an object's name is 1 to 64 characters of a-z, 0-9 and -, not digits alone")
	// ErrEmpty: there are no objects without content.
	ErrEmpty = errors.New("an object without content can't be stored")
	// ErrIncomplete: the storage left out what it has.
	ErrIncomplete = errors.New("the storage's listing is incomplete")
)

// Folder returns the door to a folder of a storage. Whatever the storage does otherwise than
// Objects says is cured here or made an error. If the path is invalid, every method returns
// ErrPath.
func Folder(storage certmagic.Storage, path string) Objects {
	d := &door{calls: callsOf(storage), path: path}
	switch s := storage.(type) {
	case nil:
		d.invalid = errors.New("there is no storage")
	case *certmagic.FileStorage:
		d.folder = newFileFolder(s, path)
	default:
		d.folder = newPluginFolder(s, path)
	}
	// A colon or backslash means something else on Windows.
	if !fs.ValidPath(path) || path == "." || strings.ContainsAny(path, `:\`) {
		d.invalid = fmt.Errorf("%q: %w", path, ErrPath)
	}
	return d
}

// IsLocal reports whether a storage is this machine's file system.
func IsLocal(storage certmagic.Storage) bool {
	_, ok := storage.(*certmagic.FileStorage)
	return ok
}

// SameStorage reports whether two storages hold the same: both are the file system with
// the same path, or both are of one type that is not the file system. Storages don't say
// more of themselves; so one that was moved to another host counts as the same, and gets
// what the set holds.
func SameStorage(a, b certmagic.Storage) bool {
	if a == nil || b == nil {
		return false
	}
	x, xok := a.(*certmagic.FileStorage)
	y, yok := b.(*certmagic.FileStorage)
	if xok && yok {
		return absolute(x.Path) == absolute(y.Path)
	}
	// Not ==, which panics for some: a storage need not be comparable.
	return reflect.TypeOf(a) == reflect.TypeOf(b)
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return filepath.Clean(path)
}

// validName reports whether a name is one of an object. Names of digits alone are those of
// the temporary files that certmagic writes beside its files, and leaves if it is killed.
func validName(name string) bool {
	digits := true
	for _, c := range []byte(name) {
		switch {
		case c >= '0' && c <= '9':
		case c >= 'a' && c <= 'z', c == '-':
			digits = false
		default:
			return false
		}
	}
	return !digits && len(name) <= 64
}

// folder is a folder of one kind of storage. Its methods get valid names and may hang.
type folder interface {
	// list returns names in any order, perhaps several times, perhaps foreign ones.
	list(ctx context.Context) ([]string, error)
	load(ctx context.Context, name string) ([]byte, error)
	store(ctx context.Context, name string, content []byte) error
	remove(ctx context.Context, name string) error
}

// door is a folder as Objects describes it.
type door struct {
	folder  folder
	path    string
	calls   *calls
	invalid error // why it can't be used at all
}

func (d *door) List(ctx context.Context) ([]string, error) {
	if d.invalid != nil {
		return nil, d.invalid
	}
	names, err := within(ctx, d.calls, d.folder.list)
	if err == nil {
		// Some storages end a listing with the context, without an error.
		err = ended(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("listing %s: %w", d.path, err)
	}
	return objectNames(names), nil
}

func (d *door) Load(ctx context.Context, name string) ([]byte, error) {
	if err := d.check(name); err != nil {
		return nil, err
	}
	content, err := within(ctx, d.calls, func(ctx context.Context) ([]byte, error) { return d.folder.load(ctx, name) })
	if err == nil && len(content) == 0 {
		// None was ever stored, so this is what is left of a Store that was cut short.
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", path.Join(d.path, name), err)
	}
	return content, nil
}

func (d *door) Store(ctx context.Context, name string, content []byte) error {
	if err := d.check(name); err != nil {
		return err
	}
	if len(content) == 0 {
		return fmt.Errorf("storing %s: %w", path.Join(d.path, name), ErrEmpty)
	}
	content = bytes.Clone(content) // a storage that hangs may read it when the caller has gone on
	_, err := within(ctx, d.calls, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, d.folder.store(ctx, name, content)
	})
	if err != nil {
		return fmt.Errorf("storing %s: %w", path.Join(d.path, name), err)
	}
	return nil
}

func (d *door) Delete(ctx context.Context, name string) error {
	if err := d.check(name); err != nil {
		return err
	}
	_, err := within(ctx, d.calls, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, d.folder.remove(ctx, name)
	})
	// Some return this for nothing to delete, though certmagic says not to.
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting %s: %w", path.Join(d.path, name), err)
	}
	return nil
}

// Probe loads the marker. Its error is fs.ErrNotExist if there is none, which may mean that
// there is no set, or that the storage is down.
func (d *door) Probe(ctx context.Context) error {
	_, err := d.Load(ctx, markerName)
	return err
}

func (d *door) check(name string) error {
	if d.invalid != nil {
		return d.invalid
	}
	if !validName(name) {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}
