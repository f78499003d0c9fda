package replica

import "context"

// Objects is the door to one flat folder of a storage. Names are 1 to 64 characters of
// [0-9a-z-]; a door hides whatever else is there. It is safe for concurrent use, and every
// method ends when ctx does, even if the storage hangs.
type Objects interface {
	// List returns the names of all objects: each that was there all the time while
	// it was called. An incomplete listing is an error.
	List(ctx context.Context) ([]string, error)
	// Load returns the content of an object. For one that does not exist the error is
	// fs.ErrNotExist, which some storages also return when they are down; for one
	// that may not be read it is fs.ErrPermission.
	Load(ctx context.Context, name string) ([]byte, error)
	// Store stores an object, and returns once it survives the end of the process.
	Store(ctx context.Context, name string, content []byte) error
	// Delete deletes an object. It is no error if there is none.
	Delete(ctx context.Context, name string) error
	// Probe returns an error if the storage can't be read at present. It is how a
	// missing object is told from a storage that is down.
	Probe(ctx context.Context) error
}
