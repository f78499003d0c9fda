package replica

import (
	"context"
	"errors"

	"github.com/caddyserver/certmagic"
)

// Folder returns the door to a folder of a storage.
func Folder(storage certmagic.Storage, path string) Objects { return folder{} }

// IsLocal reports whether a storage is this machine's file system.
func IsLocal(storage certmagic.Storage) bool {
	_, ok := storage.(*certmagic.FileStorage)
	return ok
}

// SameStorage reports whether two storages hold the same: both are the file system with
// the same path, or both are of one type that is not the file system.
func SameStorage(a, b certmagic.Storage) bool { return false }

type folder struct{}

func (folder) List(context.Context) ([]string, error)       { return nil, errors.ErrUnsupported }
func (folder) Load(context.Context, string) ([]byte, error) { return nil, errors.ErrUnsupported }
func (folder) Store(context.Context, string, []byte) error  { return errors.ErrUnsupported }
func (folder) Delete(context.Context, string) error         { return errors.ErrUnsupported }
func (folder) Probe(context.Context) error                  { return errors.ErrUnsupported }
