package keystore

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

func nth(n int) (d tokenDigest) {
	binary.BigEndian.PutUint64(d[:], uint64(n))
	d[0] = byte(n)
	return d
}

func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// Not parallel: it measures the memory of the process.
func TestIntrospectionMemoryIsBounded(t *testing.T) {
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	body := func(size int) []byte {
		return []byte(`{"active":true,"token_type":"Bearer","a":"` + strings.Repeat("a", size) + `"}`)
	}
	for name, c := range map[string]struct {
		fill func(k *keptAnswers)
		most int // bytes
	}{
		"many active tokens": {func(k *keptAnswers) {
			for n := range maxActive * 5 / 4 {
				j, err := judge(body(20), "", false)
				if err != nil {
					t.Fatal(err)
				}
				k.addActive(nth(n), j.value, j.bytes, now, now.Add(time.Minute))
			}
		}, maxActiveBytes * 3 / 2},
		"active tokens with large answers": {func(k *keptAnswers) {
			for n := range 800 {
				j, err := judge(body(60<<10), "", false)
				if err != nil {
					t.Fatal(err)
				}
				k.addActive(nth(n), j.value, j.bytes, now, now.Add(time.Minute))
			}
		}, maxActiveBytes * 3 / 2},
		"many values": {func(k *keptAnswers) {
			for n := range 1000 {
				j, err := judge([]byte(`{"active":true,"typ":"Bearer","a":[`+strings.Repeat("1,", 1900)+`1]}`), "", false)
				if err != nil {
					t.Fatal(err)
				}
				k.addActive(nth(n), j.value, j.bytes, now, now.Add(time.Minute))
			}
		}, maxActiveBytes * 3 / 2},
		"a flood": {func(k *keptAnswers) {
			for n := range 4 * maxInactive {
				k.addInactive(nth(n), claims.Value{}, now)
			}
		}, 8 << 20},
		"a flood of refresh tokens": {func(k *keptAnswers) {
			for n := range 2 * maxInactive {
				j, err := judge([]byte(`{"active":true,"typ":"Refresh","iss":"https://`+strings.Repeat("a", 40)+`","a":"`+strings.Repeat("a", 1000)+`"}`), "x", false)
				if err != nil {
					t.Fatal(err)
				}
				k.addInactive(nth(n), j.value, now)
			}
		}, 16 << 20},
	} {
		before := heap()
		k := new(keptAnswers)
		c.fill(k)
		if took := heap() - before; took > c.most {
			t.Errorf("%s take %d MiB", name, took>>20)
		}
		active, inactive := 0, 0
		for n := range k {
			s := &k[n]
			active, inactive = active+len(s.active), inactive+len(s.inactive)
			bytes := 0
			for _, a := range s.active {
				bytes += a.bytes
			}
			if bytes != s.bytes || bytes > maxActiveBytes/keptShards {
				t.Errorf("%s: %d bytes, counted as %d", name, bytes, s.bytes)
			}
		}
		if active > maxActive || inactive > maxInactive || active+inactive < 100 {
			t.Errorf("%s: %d active, %d inactive", name, active, inactive)
		}
		runtime.KeepAlive(k)
	}
}

// Tokens that are not active never push out those that are.
func TestIntrospectionAFloodPushesNothingOut(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	k := new(keptAnswers)
	j, err := judge([]byte(saysActive), "", false)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 1000 {
		k.addActive(nth(n), j.value, j.bytes, now, now.Add(30*time.Second))
	}
	for n := range 5 * maxInactive {
		k.addInactive(nth(10_000+n), claims.Value{}, now)
	}
	for n := range 1000 {
		if _, active, ok := k.get(nth(n), now.Add(29*time.Second)); !active || !ok {
			t.Fatalf("token %d is pushed out", n)
		}
	}
	if _, active := k.counts(); active != 1000 {
		t.Errorf("%d are kept", active)
	}
}

func TestIntrospectionMakesRoomWhereItCan(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	k := new(keptAnswers)
	// In one part, half of the entries have ended.
	for n := range maxInactive / keptShards {
		at := now
		if n%2 == 0 {
			at = now.Add(-inactiveTime)
		}
		k.addInactive(nth(n<<8), claims.Value{}, at)
	}
	for n := range maxInactive / keptShards / 8 {
		k.addInactive(nth((1_000_000+n)<<8), claims.Value{}, now)
	}
	lost := 0
	for n := range maxInactive / keptShards {
		if _, _, ok := k.get(nth(n<<8), now); !ok && n%2 == 1 {
			lost++
		}
	}
	// By chance all of those that are looked at may still hold.
	if lost > 8 {
		t.Errorf("%d entries were dropped that still hold, beside those that do not", lost)
	}
}

func TestIntrospectionKnowsTheLatest(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	var k knownTokens
	for n := range maxKnown * 5 / 4 {
		k.add(sequential(n), now.Add(time.Duration(n)*10*time.Millisecond))
	}
	if len(k) != maxKnown {
		t.Errorf("%d are known", len(k))
	}
	later := now.Add(maxKnown * 5 / 4 * 10 * time.Millisecond)
	late := 0
	for n := range 1000 {
		if k.has(sequential(maxKnown*5/4-1-n), later) {
			late++
		}
	}
	if late < 990 {
		t.Errorf("of the latest 1,000 only %d are known", late)
	}
}

// sequential has its counter where nth has the part of the store.
func sequential(n int) (d tokenDigest) {
	binary.BigEndian.PutUint64(d[:], uint64(n))
	return d
}

func TestIntrospectionAnAnswerTakesThePlaceOfTheOther(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	k := new(keptAnswers)
	v := claims.ObjectValue()
	k.addInactive(nth(1), claims.Value{}, now)
	k.addActive(nth(1), v, 10, now, now.Add(time.Minute))
	if _, active, ok := k.get(nth(1), now); !ok || !active {
		t.Error("not active")
	}
	k.addActive(nth(1), v, 20, now, now.Add(time.Minute))
	k.addInactive(nth(1), claims.Value{}, now)
	if _, active, ok := k.get(nth(1), now); !ok || active {
		t.Error("active")
	}
	if hits, active := k.counts(); hits != 2 || active != 0 || k[1].bytes != 0 {
		t.Errorf("%d hits, %d active, %d bytes", hits, active, k[1].bytes)
	}
}
