package replica

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/filewatch"
)

// fileFolder is a folder of certmagic's file storage. It reads and writes the same files
// as the storage does, but neither lists nor stores through it.
type fileFolder struct {
	root string // the storage's folder
	path string // this one, below it
	// placed is whether the folders above are known to survive a loss of power.
	placed atomic.Bool
	// sync makes what is in a folder survive a loss of power; a test replaces it.
	sync func(path string) error
}

func newFileFolder(storage *certmagic.FileStorage, path string) *fileFolder {
	return &fileFolder{root: filepath.Clean(storage.Path), path: storage.Filename(path), sync: filewatch.SyncFolder}
}

// list reads the names that are in the folder. FileStorage.List also asks for the state of
// each file, and fails with fs.ErrNotExist if one was renamed or deleted meanwhile: with
// one writer every third listing, and with the answer of a folder that does not exist. A
// name that is there all the time is always among those that are read.
func (f *fileFolder) list(context.Context) ([]string, error) {
	d, err := os.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names, err := d.Readdirnames(-1)
	return names, errors.Join(err, d.Close())
}

// mostContent is the size of the largest file that is read, many times that of any object.
const mostContent = 16 << 20

// ErrNotObject: what has an object's name is no regular file, or far larger than an object.
var ErrNotObject = errors.New("not a regular file of at most 16 MiB; remove it")

// load reads a file. Unlike FileStorage.Load it does not wait for somebody to write into a
// pipe, and does not read what would fill the memory.
func (f *fileFolder) load(_ context.Context, name string) ([]byte, error) {
	file, err := os.OpenFile(filepath.Join(f.path, name), os.O_RDONLY|dontBlock, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > mostContent) {
		err = &fs.PathError{Op: "read", Path: file.Name(), Err: ErrNotObject}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	content, err := io.ReadAll(io.LimitReader(file, mostContent))
	return content, errors.Join(err, file.Close())
}

// remove deletes a file. FileStorage.Delete would delete a folder with all that is in it.
func (f *fileFolder) remove(_ context.Context, name string) error {
	return os.Remove(filepath.Join(f.path, name))
}

// store writes a file under another name and renames it, as FileStorage.Store does, with
// two differences. The folder is synced, without which a loss of power takes back an
// acknowledged file. And the file has its owner and mode before it has its name: a command
// that is run as root must not leave files, not even for a moment, that Caddy can't read.
func (f *fileFolder) store(_ context.Context, name string, content []byte) (err error) {
	file, err := f.create()
	if err != nil {
		return err
	}
	closed := false
	defer func() {
		if err != nil {
			if !closed {
				_ = file.Close() // what it was closed for has failed already
			}
			_ = os.Remove(file.Name()) // others ignore it
		}
	}()
	if err := f.adopt(file); err != nil {
		return err
	}
	if _, err := file.Write(content); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	closed = true // Windows can't rename an open file
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), filepath.Join(f.path, name)); err != nil {
		return err
	}
	return f.place()
}

// create makes a file with a name that no object has, and the folder if it is not there.
func (f *fileFolder) create() (*os.File, error) {
	const pattern = ".new-*"
	file, err := os.CreateTemp(f.path, pattern)
	if !errors.Is(err, fs.ErrNotExist) {
		return file, err
	}
	f.placed.Store(false)
	if err := f.makeFolder(f.path); err != nil {
		return nil, err
	}
	return os.CreateTemp(f.path, pattern)
}

// makeFolder makes a folder and those above it. Those in the storage get the owner and mode
// of the folder around them.
func (f *fileFolder) makeFolder(path string) error {
	if path == f.root {
		return os.MkdirAll(path, 0o700) // as FileStorage.Store
	}
	around := filepath.Dir(path)
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.makeFolder(around); err != nil {
			return err
		}
		err = os.Mkdir(path, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil // another was faster
	}
	if err != nil {
		return err
	}
	info, err := os.Stat(around)
	if err != nil {
		return err
	}
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(copyOwnerAndMode(folder, info, info.Mode()&(fs.ModePerm|fs.ModeSetgid)), folder.Close())
}

// adopt gives a new file the owner and mode of the marker, or where there is none yet the
// owner of the folder.
func (f *fileFolder) adopt(file *os.File) error {
	// A link could lead to a file whose owner and mode are meant for something else.
	like, err := os.Lstat(filepath.Join(f.path, markerName))
	if err == nil && like.Mode().IsRegular() {
		return copyOwnerAndMode(file, like, like.Mode()&0o666)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if like, err = os.Stat(f.path); err != nil {
		return err
	}
	return copyOwnerAndMode(file, like, 0o600)
}

// place makes the names of a new file and, the first time, of the folders above it survive
// a loss of power. The first time is that of this process: an earlier one that made the folders may
// have been killed before they were synced.
func (f *fileFolder) place() error {
	if err := f.sync(f.path); err != nil || f.placed.Load() {
		return err
	}
	for path := f.path; path != f.root; {
		path = filepath.Dir(path)
		if err := f.sync(path); err != nil {
			return err
		}
	}
	// The storage's own folder is certmagic's, and what is above may not be readable.
	if err := f.sync(filepath.Dir(f.root)); err != nil && !errors.Is(err, fs.ErrPermission) {
		return err
	}
	f.placed.Store(true)
	return nil
}
