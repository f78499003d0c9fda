package revocation

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// made is a rule as New returns it. It is made at noon.
func made(t testing.TB, r Rule) Rule {
	t.Helper()
	if r.At.IsZero() {
		r.At = noon
	}
	r, err := New(r)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

var anyDigest = TokenValue("any")

func TestNewRefusesWhatIsNoRule(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		rule   Rule
		member string
		says   string
	}{
		"an unknown kind":                {Rule{Kind: kinds, Value: "a"}, "kind", "jti, sub, client, key, kid, issuer, token"},
		"no value":                       {Rule{Kind: KindJTI}, "value", "must not be empty"},
		"no issuer in the value":         {Rule{Kind: KindIssuer, Issuer: "i", NotBefore: noon}, "value", "must be the issuer"},
		"a value too long":               {Rule{Kind: KindSub, Value: strings.Repeat("a", 1025)}, "value", "1024 bytes"},
		"a value of other bytes":         {Rule{Kind: KindSub, Value: "a\xff"}, "value", "UTF-8"},
		"a line break":                   {Rule{Kind: KindSub, Value: "a\nb"}, "value", "control"},
		"a control character beyond":     {Rule{Kind: KindSub, Value: "a\u0085b"}, "value", "control"},
		"a kid without issuer":           {Rule{Kind: KindKid, Value: "1"}, "issuer", "must be given"},
		"an issuer of a key":             {Rule{Kind: KindKey, Value: "a", Issuer: "i"}, "issuer", "must not be given"},
		"an issuer twice":                {Rule{Kind: KindIssuer, Value: "i", Issuer: "i", NotBefore: noon}, "issuer", "whose value is the issuer"},
		"an issuer too long":             {Rule{Kind: KindSub, Value: "a", Issuer: strings.Repeat("i", 1025)}, "issuer", "1024"},
		"a store of a token":             {Rule{Kind: KindJTI, Value: "a", Store: "s"}, "store", "only for kind key"},
		"a store too long":               {Rule{Kind: KindKey, Value: "a", Store: strings.Repeat("s", 257)}, "store", "256"},
		"a not-before of a jti":          {Rule{Kind: KindJTI, Value: "a", NotBefore: noon}, "not_before", "sub, client and issuer"},
		"a not-before of a key":          {Rule{Kind: KindKey, Value: "a", NotBefore: noon}, "not_before", "sub, client and issuer"},
		"a not-before of a kid":          {Rule{Kind: KindKid, Value: "a", Issuer: "i", NotBefore: noon}, "not_before", "sub, client and issuer"},
		"a not-before of a token":        {Rule{Kind: KindToken, Value: anyDigest, NotBefore: noon}, "not_before", "sub, client and issuer"},
		"an issuer without not-before":   {Rule{Kind: KindIssuer, Value: "i"}, "not_before", "must be given"},
		"a not-before of long ago":       {Rule{Kind: KindSub, Value: "a", NotBefore: time.Unix(0, 0)}, "not_before", "after 1970"},
		"an end that is now":             {Rule{Kind: KindSub, Value: "a", End: noon}, "end", "in the future"},
		"an end in the past":             {Rule{Kind: KindSub, Value: "a", End: noon.Add(-time.Hour)}, "end", "in the future"},
		"an end that can't be written":   {Rule{Kind: KindSub, Value: "a", End: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}, "end", "10000"},
		"a reason too long":              {Rule{Kind: KindSub, Value: "a", Reason: strings.Repeat("r", 1025)}, "reason", "1024"},
		"a reason of two lines":          {Rule{Kind: KindSub, Value: "a", Reason: "a\r\nb"}, "reason", "control"},
		"a token in place of its digest": {Rule{Kind: KindToken, Value: "eyJ.eyJ.sig"}, "value", "sha256:"},
		"a digest without its name":      {Rule{Kind: KindToken, Value: strings.TrimPrefix(anyDigest, "sha256:")}, "value", "sha256:"},
		"a digest of capitals":           {Rule{Kind: KindToken, Value: "sha256:" + strings.Repeat("A", 64)}, "value", "lower-case"},
		"a digest cut short":             {Rule{Kind: KindToken, Value: anyDigest[:70]}, "value", "64"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test.rule.At = noon
			_, err := New(test.rule)
			var invalid *InvalidError
			if !errors.As(err, &invalid) || invalid.Member != test.member || !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v, want one of %s that says %q", err, test.member, test.says)
			}
		})
	}
}

func TestNewTakesRulesOfAllKinds(t *testing.T) {
	t.Parallel()
	for _, r := range []Rule{
		{Kind: KindJTI, Value: strings.Repeat("a", 1024)},
		{Kind: KindJTI, Value: "a", Issuer: "https://a.example", End: noon.Add(1)},
		{Kind: KindSub, Value: "corp/älice", NotBefore: noon},
		{Kind: KindClient, Value: "c", Issuer: "i", NotBefore: noon, Reason: "left"},
		{Kind: KindKey, Value: "k"},
		{Kind: KindKey, Value: "k", Store: "partners"},
		{Kind: KindKid, Value: "1", Issuer: "i"},
		{Kind: KindIssuer, Value: "i", NotBefore: noon},
		{Kind: KindToken, Value: anyDigest, Issuer: "i"},
	} {
		r.At = noon
		if _, err := New(r); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

func TestTimesAreWholeSeconds(t *testing.T) {
	t.Parallel()
	r := made(t, Rule{Kind: KindSub, Value: "a", At: noon.Add(900 * time.Millisecond), NotBefore: noon.Add(1), End: noon.Add(time.Second + 1)})
	if !r.At.Equal(noon) || !r.NotBefore.Equal(noon.Add(time.Second)) || !r.End.Equal(noon.Add(2*time.Second)) {
		t.Errorf("made at %s, not before %s, to %s", r.At, r.NotBefore, r.End)
	}
	r = made(t, Rule{Kind: KindSub, Value: "a", NotBefore: noon, End: noon.Add(time.Second)})
	if !r.NotBefore.Equal(noon) || !r.End.Equal(noon.Add(time.Second)) {
		t.Errorf("not before %s, to %s", r.NotBefore, r.End)
	}
	if r, err := New(Rule{Kind: KindSub, Value: "a"}); err != nil || clock.System().Now().Sub(r.At) > time.Minute {
		t.Errorf("made at %s, %v", r.At, err)
	}
}

func TestANotBeforeAheadOfAllClocksIsRefused(t *testing.T) {
	t.Parallel()
	const skew = 30 * time.Second
	for ahead, ok := range map[time.Duration]bool{
		-time.Hour: true, 0: true, skew: true, skew + 1: false, skew + time.Second: false, time.Hour: false,
	} {
		r := made(t, Rule{Kind: KindSub, Value: "a", NotBefore: noon.Add(ahead)})
		if err := r.CheckNotBefore(noon, skew); (err == nil) != ok {
			t.Errorf("%s ahead: %v", ahead, err)
		} else if err != nil && !strings.Contains(err.Error(), "30s") {
			t.Error(err)
		}
	}
	if r := made(t, Rule{Kind: KindSub, Value: "a"}); r.CheckNotBefore(noon, 0) != nil {
		t.Error("a rule without not-before is refused")
	}
}

// What the system says of who and where can't keep a rule from being made.
func TestWhoAndWhereAreMadeToFit(t *testing.T) {
	t.Parallel()
	r := made(t, Rule{Kind: KindSub, Value: "a", By: "a\nb\xff", Node: strings.Repeat("ä", 200), Gone: true})
	if r.By != "a\ufffdb\ufffd" || r.Node != strings.Repeat("ä", 128) || r.Gone {
		t.Errorf("by %q at %q, gone %v", r.By, r.Node, r.Gone)
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, k := range Kinds {
		if parsed, err := ParseKind(k.String()); err != nil || parsed != k {
			t.Errorf("%s is %v, %v", k, parsed, err)
		}
	}
	var invalid *InvalidError
	if _, err := ParseKind("JTI"); !errors.As(err, &invalid) || invalid.Member != "kind" {
		t.Error(err)
	}
}
