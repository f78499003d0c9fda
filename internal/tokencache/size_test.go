package tokencache

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
)

// What the cache counts for tokens is what they take three times, with what the
// garbage collector needs: the bound is one of the process's memory.
func TestTheCacheCountsWhatTokensTake(t *testing.T) { // not parallel: it measures the heap
	roles := make([]string, 40)
	for i := range roles {
		roles[i] = fmt.Sprintf("role-%04d", i)
	}
	for name, claims := range map[string]map[string]any{
		"small":  nil,
		"usual":  {"azp": "my-client-id-of-32-characters-xx", "iat": 1, "scope": "openid profile email read:orders write:orders", "roles": []string{"admin", "editor"}, "jti": "00000000000000000000000000000001"},
		"scopes": {"scope": strings.Repeat("a ", 2000) + "a"},
		"spaces": {"scope": strings.Repeat(" ", 4000)},
		"large":  {"scope": "a b c d e f g h", "roles": roles, "realm_access": map[string]any{"roles": roles}, "text": fmt.Sprint(roles, roles)},
	} {
		const n = 2000
		tokens := make([]string, n)
		for i := range tokens {
			all := map[string]any{"sub": fmt.Sprintf("auth0|%024d", i)}
			for k, v := range claims {
				all[k] = v
			}
			tokens[i] = signed(t, all)
		}
		cache := New(1 << 30)
		v := newValidator(t, cache)
		before := heapInUse()
		for _, token := range tokens {
			verified, err := v.Validate(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			verified.Scopes() // which are kept once they were asked for
		}
		cache.store.CleanUp()
		taken, counted := float64(heapInUse()-before)/n, float64(cache.Size())/n
		if counted < 3*taken || counted > 4.5*taken && name != "spaces" {
			t.Errorf("%s tokens of %d bytes: %.0f bytes each are counted, and %.0f taken; want about three times as many counted, or more where nothing is to be found", name, len(tokens[0]), counted, taken)
		}
		runtime.KeepAlive(tokens)
		runtime.KeepAlive(cache)
	}
}

func heapInUse() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
