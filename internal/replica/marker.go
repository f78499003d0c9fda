package replica

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
)

// storeMarker stores the marker of a set that has the objects of a listing. If one of these
// is not signed, though there is a key, neither is the marker: a signed one says that what is
// ignored for lack of a signature does not matter.
func (r *Replica[F]) storeMarker(ctx context.Context, place int, l listing) error {
	keys := r.bound.Load().Keys
	if len(keys) > 0 {
		signed, err := r.allSigned(ctx, place, l)
		if err != nil {
			return err
		}
		if !signed {
			keys = nil
		}
	}
	if err := r.store(ctx, place, marker, markerContent(r.config.Name, keys)); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := &r.state; !s.isReady {
		s.wroteAt, s.complete = r.clock.Now(), 0
	}
	return nil
}

// allSigned reports whether all objects of a listing that can be read are signed.
func (r *Replica[F]) allSigned(ctx context.Context, place int, l listing) (bool, error) {
	for name := range l.names {
		stored, err := r.load(ctx, place, name)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, fs.ErrPermission):
			continue
		case err != nil:
			return false, err
		}
		if _, err := open(name, stored, r.config.Name, r.bound.Load().Keys); errors.Is(err, ErrUnsigned) {
			return false, nil
		}
	}
	return true, nil
}

// mendMarker gives the marker its content again, if it has none though it is listed. Some
// storages, as that in Redis, store a name first and then the content: the node that made the set
// may have been killed between. Other reasons for a missing content are errors.
func (r *Replica[F]) mendMarker(ctx context.Context, place int) error {
	var l listing
	for range lists - 1 {
		var err error
		if l, err = r.list(ctx, place); err != nil {
			return err
		}
		if !l.marker {
			return errCutShort
		}
		if _, err = r.load(ctx, place, marker); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if !r.started.Load() {
		return ErrNoSet
	}
	return r.storeMarker(ctx, place, l)
}

// checkMarker looks, if there are keys, whether the marker is signed, until it is.
func (r *Replica[F]) checkMarker(ctx context.Context, place int) error {
	keys := r.bound.Load().Keys
	r.mu.Lock()
	done := len(keys) == 0 || r.state.signed
	r.mu.Unlock()
	if done || !r.knobs.marker {
		return nil
	}
	content, err := r.load(ctx, place, marker)
	if errors.Is(err, fs.ErrNotExist) {
		if err = r.mendMarker(ctx, place); err == nil {
			content, err = r.load(ctx, place, marker)
		}
	}
	if err != nil {
		return fmt.Errorf("the set's marker can't be read: %w", err)
	}
	signed := verifyMAC(content, r.config.Name, keys) >= 0
	r.mu.Lock()
	r.state.signed, r.state.unsigned = signed, !signed
	r.mu.Unlock()
	return nil
}
