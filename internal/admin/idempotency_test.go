package admin

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

func TestARepeatedRequest(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const key = "Idempotency-Key"
	body := `{"store":"partners","consumer":"acme"}`
	first := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", body, key, "one")
	again := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", body, key, "one")
	if first.Key == "" || first.Repeated || again.Key != "" || !again.Repeated || again.ID != first.ID || len(s.store("partners").keys) != 1 {
		t.Errorf("%+v %+v", first, again)
	}
	if line := s.last(); line.Outcome != "repeated" || line.Status != 201 {
		t.Errorf("%+v", line)
	}
	s.fails(422, "another body was sent with it", "POST", "/jwt/api-keys", `{"store":"partners"}`, key, "one")
	rolled := want[KeyAnswer](s, 200, "PUT", "/jwt/api-keys/"+first.ID+"/secret", `{"overlap":"1h"}`, key, "one") // another path
	if rolled.Key == "" || rolled.Repeated {
		t.Errorf("%+v", rolled)
	}
	again = want[KeyAnswer](s, 200, "PUT", "/jwt/api-keys/"+first.ID+"/secret", `{"overlap":"1h"}`, key, "one")
	if again.Key != "" || !again.OldUntil.Equal(rolled.OldUntil) {
		t.Errorf("%+v", again)
	}
	revoked := want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", changes[0].body, key, "one")
	if again := want[RevocationAnswer](s, 201, "POST", "/jwt/revocations", changes[0].body, key, "one"); again.ID != revoked.ID || !again.Repeated || len(s.rules.rules) != 1 {
		t.Errorf("%+v", again)
	}
	want[RevocationItem](s, 200, "DELETE", "/jwt/revocations/"+revoked.ID+"?reason=x", "", key, "one")
	want[RevocationItem](s, 200, "DELETE", "/jwt/revocations/"+revoked.ID+"?reason=x", "", key, "one")
	if other := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", body, key, "two"); other.Repeated {
		t.Errorf("%+v", other)
	}
	if none := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", body); none.Repeated {
		t.Errorf("%+v", none)
	}
	s.clock.Advance(repeatTime)
	if later := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", body, key, "one"); later.Repeated {
		t.Error("it is remembered for more than a day")
	}
	s.noSecrets(first.Key, rolled.Key)
	for _, bad := range []string{"", " ", "a b", "é", strings.Repeat("x", 256)} {
		s.fails(400, "Idempotency-Key: ", "POST", "/jwt/api-keys", body, key, bad)
	}
}

// TestWhatFailedIsTriedAgain: only what was done is remembered.
func TestWhatFailedIsTriedAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.store("partners").err = replica.ErrNotStored
	s.fails(503, "may still appear", "POST", "/jwt/api-keys", `{"store":"partners"}`, "Idempotency-Key", "one")
	s.fails(400, "store: ", "POST", "/jwt/api-keys", `{"store":"x"}`, "Idempotency-Key", "two")
	s.store("partners").err = nil
	for _, id := range []string{"one", "two"} {
		if made := want[KeyAnswer](s, 201, "POST", "/jwt/api-keys", `{"store":"partners"}`, "Idempotency-Key", id); made.Key == "" {
			t.Errorf("%+v", made)
		}
	}
}

// TestRepeatsAtTheSameTime: the change is made once, and one answer has the secret.
func TestRepeatsAtTheSameTime(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	var wg sync.WaitGroup
	var mu sync.Mutex
	secrets := 0
	for range 20 {
		wg.Go(func() {
			w := s.send("POST", "/jwt/api-keys", `{"store":"partners"}`, "Idempotency-Key", "one")
			mu.Lock()
			defer mu.Unlock()
			if strings.Contains(w.Body.String(), `"key":`) {
				secrets++
			}
			if w.Code != 201 {
				t.Errorf("%d %s", w.Code, w.Body)
			}
		})
	}
	wg.Wait()
	if keys := s.store("partners").keys; secrets != 1 || len(keys) != 1 {
		t.Errorf("%d secrets, %d keys", secrets, len(keys))
	}
}

func TestRepeatsAreBounded(t *testing.T) {
	t.Parallel()
	now := noon
	r := newRepeats(func() time.Time { return now })
	for i := range maxRepeats + 500 {
		_, end, err := r.begin(t.Context(), repeatKey{id: fmt.Sprint(i)}, nil)
		if err != nil {
			t.Fatal(err)
		}
		end(200, i)
	}
	if r.order.Len() != maxRepeats || len(r.byKey) != maxRepeats {
		t.Errorf("%d, %d", r.order.Len(), len(r.byKey))
	}
	if before, _, _ := r.begin(t.Context(), repeatKey{id: fmt.Sprint(maxRepeats)}, nil); before == nil || before.answer != maxRepeats {
		t.Error("a new one is forgotten")
	}
	now = now.Add(repeatTime)
	if _, end, _ := r.begin(t.Context(), repeatKey{id: "x"}, nil); end == nil || r.order.Len() != 1 {
		t.Error("old ones are kept")
	}
}

// TestWaitingForARepeatEnds with the request.
func TestWaitingForARepeatEnds(t *testing.T) {
	t.Parallel()
	r := newRepeats(time.Now)
	if _, _, err := r.begin(t.Context(), repeatKey{id: "x"}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := contextThatEnds(t)
	cancel()
	if _, _, err := r.begin(ctx, repeatKey{id: "x"}, nil); err == nil || !strings.Contains(err.Error(), "still under way") {
		t.Error(err)
	}
}
