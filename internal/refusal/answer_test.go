package refusal

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// TestAnswersAreDistinct checks that each reason has its own answer, except those of API
// keys, which share one so that clients can't find out which keys exist.
func TestAnswersAreDistinct(t *testing.T) {
	t.Parallel()
	ofKeys := []reason.Code{reason.UnknownAPIKey, reason.APIKeyExpired, reason.APIKeyDisabled}
	seen := map[string]reason.Code{}
	for code, a := range answers {
		if slices.Contains(ofKeys, code) {
			if a != answers[ofKeys[0]] {
				t.Errorf("%s is answered with %+v, %s with %+v", code, a, ofKeys[0], answers[ofKeys[0]])
			}
			code = ofKeys[0]
		}
		if other, ok := seen[a.Text]; ok && other != code {
			t.Errorf("%s and %s have one text", code, other)
		}
		seen[a.Text] = code
		if a.Status < 400 || a.Text == "" || strings.ContainsAny(a.Text, `"\`) {
			t.Errorf("%s: %+v", code, a)
		}
		// RFC 6750 section 3.1 binds the codes to their status.
		if want := map[string]int{invalidRequest: 400, invalidToken: 401}[a.Code]; want != 0 && a.Status != want {
			t.Errorf("%s: %s with %d", code, a.Code, a.Status)
		}
	}
	if got := CodeOf(context.Canceled); answers[got].Status != 503 {
		t.Errorf("an error without a reason is answered as %s", got)
	}
}
