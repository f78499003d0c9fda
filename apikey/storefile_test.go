package apikey

import (
	"fmt"
	"sync"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
)

// Two nodes share a folder of Caddy's file storage, and both change keys and count uses at
// the same time: none is lost.
func TestStoresInTheFileSystem(t *testing.T) {
	t.Parallel()
	storage := storagetest.Files(t)
	open := func() replica.Objects { return replica.Folder(storage, "jwt/default/keys-partners") }
	c := clock.NewFake(noon)
	nodes := []*Store{newNode(t, open(), c), newNode(t, open(), c)}
	counts := func() *Usage {
		return NewUsage(UsageConfig{Objects: replica.Folder(storage, "jwt/default/usage-partners"), Clock: c})
	}
	usages := []*Usage{counts(), counts()}
	const each = 20
	var running sync.WaitGroup
	for n, s := range nodes {
		running.Go(func() {
			for i := range each {
				r := record(fmt.Sprintf("n%d-%02d", n, i))
				if err := s.Create(t.Context(), r, ann); err != nil {
					t.Error(err)
					return
				}
				k, _ := s.Find(r.Hash, noon)
				usages[n].Used(k, noon)
			}
			if _, err := s.Delete(t.Context(), fmt.Sprintf("n%d-00", n), ann); err != nil {
				t.Error(err)
			}
			usages[n].Close(t.Context())
		})
	}
	running.Wait()
	synced(t, nodes...)
	fresh := newNode(t, open(), c)
	for _, s := range nodes {
		if s.Len() != 2*each-2 || s.dump() != fresh.dump() {
			t.Errorf("%d keys:\n%s\n%s", s.Len(), s.dump(), fresh.dump())
		}
	}
	if got := uses(t, counts()); len(got) != 2*each || got["n1-07"] != (Uses{noon, 1, 1}) {
		t.Errorf("%v", got)
	}
}
