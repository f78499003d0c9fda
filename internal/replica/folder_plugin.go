package replica

import (
	"context"
	"errors"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
)

// pluginFolder is a folder of a storage other than the file system. It never uses Stat and
// Exists, which some storages answer from what they have cached or with an outage as
// absence, nor any lock, which most of them get wrong, and never deletes a folder.
type pluginFolder struct {
	storage certmagic.Storage
	path    string
	// pause waits before another attempt; a test replaces it.
	pause func(context.Context) error
}

func newPluginFolder(storage certmagic.Storage, path string) *pluginFolder {
	return &pluginFolder{storage: storage, path: path, pause: shortPause}
}

// listAttempts is how often a listing that failed with fs.ErrNotExist is tried.
const listAttempts = 6

// list asks again if the answer is fs.ErrNotExist: it is that of a storage that wraps the
// file system, when another process stores something during the listing. With one writer
// this is the answer to every third listing, with two to two of three, so that six attempts
// in each of two ways almost never all fail. It asks again for an incomplete listing too:
// the marker may just have been stored. Other errors are not asked again: no such short
// pause cures them, storages make their own attempts, and the next sync comes in seconds.
func (f *pluginFolder) list(ctx context.Context) ([]string, error) {
	for attempt := 1; ; attempt++ {
		names, err := f.listOnce(ctx)
		switch {
		case err == nil:
			return names, nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrIncomplete):
			return nil, err
		case attempt < listAttempts:
		case errors.Is(err, ErrIncomplete):
			return nil, err
		default:
			// Of a folder that does not exist, this is what Consul says each time.
			return nil, f.complete(ctx, nil)
		}
		if err := f.pause(ctx); err != nil {
			return nil, err
		}
	}
}

// listOnce returns the names in a listing that is not known to be incomplete.
func (f *pluginFolder) listOnce(ctx context.Context) ([]string, error) {
	keys, refused, err := f.keys(ctx)
	if err != nil {
		return nil, err
	}
	names := namesIn(f.path, keys)
	if err := f.complete(ctx, names); err != nil {
		return nil, errors.Join(err, refused)
	}
	return names, nil
}

// keys lists recursively, as every storage but two can do it and certmagic itself does most.
// PostgreSQL's and MySQL's first plugins refuse that, and list all levels if asked for one:
// then refused is why. Others, asked for one, list the folder's own name or nothing.
func (f *pluginFolder) keys(ctx context.Context) (keys []string, refused, err error) {
	keys, refused = f.storage.List(ctx, f.path, true)
	if refused == nil {
		return keys, nil, nil
	}
	keys, err = f.storage.List(ctx, f.path, false)
	if err != nil && !errors.Is(refused, fs.ErrNotExist) {
		err = refused // the folder does not exist only if both say so
	}
	return keys, refused, err
}

// complete returns an error for a listing that shows itself to be incomplete: it lacks the
// marker, but the marker is there. Several plugins return an outage as a short or empty
// listing without an error, and end one with its time limit; most of them list in order,
// the marker last.
func (f *pluginFolder) complete(ctx context.Context, names []string) error {
	if slices.Contains(names, markerName) {
		return nil
	}
	switch _, err := f.storage.Load(ctx, path.Join(f.path, markerName)); {
	case err == nil:
		return ErrIncomplete
	case errors.Is(err, fs.ErrNotExist):
		return nil
	default:
		return err
	}
}

// load asks for a listing if the object is said not to exist. Redis's plugin (v1.8.1) and
// one of those for S3 say so whatever has failed, but a listing of Redis's has the true
// error. If the object is in it, the storage may have come back in between.
func (f *pluginFolder) load(ctx context.Context, name string) ([]byte, error) {
	content, err := f.storage.Load(ctx, path.Join(f.path, name))
	if !errors.Is(err, fs.ErrNotExist) {
		return content, err
	}
	keys, _, listErr := f.keys(ctx)
	switch {
	case listErr != nil && !errors.Is(listErr, fs.ErrNotExist):
		return nil, listErr
	case slices.Contains(namesIn(f.path, keys), name):
		return f.storage.Load(ctx, path.Join(f.path, name))
	}
	return nil, err
}

func (f *pluginFolder) store(ctx context.Context, name string, content []byte) error {
	return f.storage.Store(ctx, path.Join(f.path, name), content)
}

func (f *pluginFolder) remove(ctx context.Context, name string) error {
	return f.storage.Delete(ctx, path.Join(f.path, name))
}

// namesIn returns the last parts of those keys that are directly in a folder. Consul, Google
// Cloud Storage and others list every key that begins with the text of the path, so those
// of a folder beside it with a longer name too. Of the plugins for S3 one lists the whole
// bucket and leaves the bucket's prefix in front of the keys, another one puts a slash
// there. Other Caddys may use a longer prefix in the same bucket: only keys with the
// shortest one can be this folder's.
func namesIn(folder string, keys []string) []string {
	var names []string
	shortest := -1
	for _, key := range keys {
		around, name := path.Split(key)
		prefix, ok := strings.CutSuffix(strings.TrimSuffix(around, "/"), folder)
		if !ok || prefix != "" && !strings.HasSuffix(prefix, "/") {
			continue
		}
		switch {
		case shortest < 0 || len(prefix) < shortest:
			shortest, names = len(prefix), append(names[:0], name)
		case len(prefix) == shortest:
			names = append(names, name)
		}
	}
	return names
}

// shortPause waits 5 to 20 ms: longer than a file is renamed, and so short that all pauses
// together are not noticed.
func shortPause(ctx context.Context) error {
	timer := time.NewTimer(5*time.Millisecond + rand.N(15*time.Millisecond))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
