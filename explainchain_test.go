package caddyjwt

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/tokencache"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// TestExplainShowsEachRequirement: also behind one that is not met.
func TestExplainShowsEachRequirement(t *testing.T) {
	t.Parallel()
	s := newSite(t, "require scope a b\nrequire scope read\nrequire claim role admin \"site owner\"\n"+requiring("claims.age > 17")+"\n"+requiring("claims.none == 1")+"\nforward name X-Name\nforward other X-Other json")
	token := signed(t, map[string]any{"scope": "a read", "role": "guest", "age": 18, "name": "a\nb", "other": "c\nd"})
	h := agrees(t, func() *http.Request { return bearer(token) }, s.Handler)
	var got []string
	for _, c := range h.Checks {
		switch c.Name {
		case reason.CheckScope, reason.CheckClaim, reason.CheckExpression, reason.CheckForward:
			got = append(got, string(c.Name)+" "+string(c.Outcome)+" "+c.Seen+" / "+c.Option)
		}
	}
	want := []string{
		"scope failed a read / require scope a b", "scope passed a read / require scope read", "claim failed \"guest\" / require claim role admin `site owner`",
		"expression passed true / require expression claims.age > 17", "expression failed it can't be evaluated: no such key / require expression claims.none == 1",
		"forward skipped  / forward name X-Name", "forward skipped  / forward other X-Other json",
	}
	// Why a rule does not hold is CEL's to say.
	for i := range got {
		if strings.HasPrefix(got[i], "expression failed it can't be evaluated: ") {
			got[i] = want[4]
		}
	}
	if strings.Join(got[:5], "\n") != strings.Join(want[:5], "\n") || len(got) != len(want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if h.Requirement != "require scope a b read" {
		t.Errorf("requirement %q", h.Requirement)
	}
}

// TestExplainGoesOnBehindAFailure: all that is wrong is shown, of an API key and a token.
func TestExplainGoesOnBehindAFailure(t *testing.T) {
	t.Parallel()
	_, hash := newAPIKey()
	s := newSite(t, "api_key one "+hash)
	token := signed(t, map[string]any{"exp": hourAgo(), "aud": "x"})
	e := explainTo(t, request(token, "not-a-known-key-0123456789", "", "", "Authorization: Bearer %G", "X-API-Key: %B"), explain.Question{}, s.Handler)
	if got := strings.Join(failed(e.last()), " "); got != "api_key=unknown_api_key expires=expired audience=wrong_audience" || e.last().Reason != reason.UnknownAPIKey {
		t.Errorf("%s; %s", got, e.last().Reason)
	}
	if c := check(t, e.last(), reason.CheckSignature); c.Outcome != reason.Passed {
		t.Errorf("%+v", c)
	}
}

// TestExplainNamesKeysAndRules: where an API key is, and which rule revokes it, or a token.
func TestExplainNamesKeysAndRules(t *testing.T) {
	t.Parallel()
	s := newStored(t, true)
	e := explainTo(t, withKey(s.key), explain.Question{}, s.site)
	if c := check(t, e.last(), reason.CheckAPIKey); !strings.Contains(c.Seen, "the key acme of Acme in the store partners") || c.Option != "api_keys partners" {
		t.Errorf("%+v", c)
	}
	if c := check(t, e.last(), reason.CheckRevocations); c.Outcome != reason.Passed || c.Seen == "" {
		t.Errorf("%+v", c)
	}
	id := s.revoke(t, revocation.Rule{Kind: revocation.KindKey, Value: "acme"})
	h := agrees(t, func() *http.Request { return withKey(s.key) }, s.site)
	if c := check(t, h, reason.CheckRevocations); h.Reason != reason.Revoked || !strings.Contains(c.Seen, id) || c.Outcome != reason.Failed {
		t.Errorf("%s %+v", h.Reason, c)
	}
	id = s.revoke(t, revocation.Rule{Kind: revocation.KindJTI, Value: "one", Issuer: "https://issuer.example/"})
	token := signed(t, map[string]any{"jti": "one"})
	h = agrees(t, func() *http.Request { return bearer(token) }, s.site)
	if c := check(t, h, reason.CheckRevocations); !strings.Contains(c.Seen, id) || !strings.Contains(c.Seen, "kind jti") {
		t.Errorf("%+v", c)
	}
}

// TestExplainChains: several handlers, of which an outer one has taken the credential.
func TestExplainChains(t *testing.T) {
	t.Parallel()
	token := signed(t, map[string]any{"scope": "read", "email": "a@x"})
	other := otherToken(t)
	one := func() *http.Request { return bearer(token) }
	both := func() *http.Request {
		r := one()
		r.Header.Set("X-Other", other)
		r.Header.Set("X-User", "mallory")
		return r
	}
	outer := newSite(t, "claim email\nforward user X-User\nforward email X-Email").Handler
	for name, c := range map[string]struct {
		request func() *http.Request
		inner   *Handler
		want    explain.Verdict
	}{
		"the same token":         {one, newSite(t, "forward user X-Inner").Handler, explain.Accepted},
		"a rule inside":          {one, newSite(t, "require scope admin").Handler, explain.Refused},
		"another issuer":         {both, otherSite(t, "forward user X-User").Handler, explain.Accepted},
		"optional inside":        {one, otherSite(t, "optional\nforward user X-User").Handler, explain.Anonymous},
		"report inside":          {one, newSite(t, "mode report\nrequire scope admin\nforward user X-User").Handler, explain.Anonymous},
		"nothing for it":         {one, otherSite(t, "").Handler, explain.Refused},
		"only clears":            {both, makeSite(t, "mode clear\nclear X-User X-Inner").Handler, explain.Anonymous},
		"of the identity before": {one, otherSite(t, "optional\n"+requiring("{http.auth.user.id} == ''")).Handler, explain.Anonymous},
	} {
		if h := agrees(t, c.request, outer, c.inner); h.Verdict != c.want {
			t.Errorf("%s: %s, %v", name, h.Verdict, failed(h))
		}
	}
}

// TestExplainPutsTheCredential: into the first place of its kind of the first handler that
// takes it, unless the request has one.
func TestExplainPutsTheCredential(t *testing.T) {
	t.Parallel()
	key, hash := newAPIKey()
	unknown, _ := newAPIKey()
	token := signed(t, nil)
	tokens := newSite(t, "").Handler
	optional := newSite(t, "optional").Handler
	keys := makeSite(t, "api_key one "+hash).Handler
	keys.app = tokens.app
	optional.app.accepted.addKeys(keys.apiKeys)
	mixed := newSite(t, "api_key one "+hash+"\ntoken_from cookie session\napi_key_from query k").Handler
	dotted := "a.known.key-with-dots-0123456789"
	third := newSite(t, "api_key dotted "+digestText(dotted)).Handler
	empty := func() *http.Request { return httptest.NewRequest(http.MethodGet, "https://api.example/", nil) }
	for name, c := range map[string]struct {
		credential string
		request    *http.Request
		handlers   []*Handler
		want       explain.Verdict
		code       reason.Code
		seen       string // in the check of the credentials of the last handler
	}{
		"a token":                        {token, empty(), []*Handler{tokens}, explain.Accepted, "", "was put in the header Authorization with the scheme Bearer"},
		"a key":                          {key, empty(), []*Handler{keys}, explain.Accepted, "", "was put in the header X-Api-Key"},
		"a token in a cookie":            {token, empty(), []*Handler{mixed}, explain.Accepted, "", "was put in the cookie session"},
		"a key in a query":               {key, empty(), []*Handler{mixed}, explain.Accepted, "", "was put in the query parameter k"},
		"an unknown key":                 {unknown, empty(), []*Handler{mixed}, explain.Refused, reason.UnknownAPIKey, "an API key in the query parameter k"},
		"a known key with two dots":      {dotted, empty(), []*Handler{third}, explain.Accepted, "", "was put in the header X-Api-Key"},
		"no token, where only these are": {"nothing-known-here", empty(), []*Handler{tokens}, explain.Refused, reason.MalformedToken, "a token in the header Authorization"},
		"a key, where only tokens are":   {unknown, empty(), []*Handler{tokens}, explain.Refused, reason.MissingCredentials, "an API key, which this jwt does not take"},
		"a token, where only keys are":   {token, empty(), []*Handler{keys}, explain.Refused, reason.MissingCredentials, "a token, which this jwt does not take"},
		"the request has one":            {"nothing-known-here", bearer(token), []*Handler{tokens}, explain.Accepted, "", "a token in the header Authorization with the scheme Bearer"},
		"the request has the other kind": {key, withCookie("session=" + token), []*Handler{mixed}, explain.Accepted, "", "was put in the query parameter k"},
		"the place is taken":             {token, request("", "", "", "", "Authorization: Digest x"), []*Handler{tokens}, explain.Refused, reason.MissingCredentials, "there is no room"},
		"an outer handler has taken it":  {token, empty(), []*Handler{tokens, newSite(t, "token_from header Authorization Bearer\ntoken_from header X-Token").Handler}, explain.Accepted, "", "a token in the header Authorization with the scheme Bearer"},
		"it is not put twice":            {token, empty(), []*Handler{tokens, newSite(t, "token_from header X-Token").Handler}, explain.Refused, reason.MissingCredentials, "none"},
		"a key past an optional token":   {key, empty(), []*Handler{optional, keys}, explain.Accepted, "", "was put in the header X-Api-Key"},
	} {
		e := explainTo(t, c.request, explain.Question{Credential: c.credential}, c.handlers...)
		h := e.last()
		if h.Verdict != c.want || h.Reason != c.code || len(e.handlers) != len(c.handlers) {
			t.Errorf("%s: %s %s, %v", name, h.Verdict, h.Reason, failed(h))
		}
		if seen := check(t, h, reason.CheckCredentials).Seen; !strings.Contains(seen, c.seen) || strings.Contains(seen, c.credential) {
			t.Errorf("%s: %s", name, seen)
		}
		if text, err := json.Marshal(e.handlers); err != nil || strings.Contains(string(text), c.credential) {
			t.Errorf("%s: the credential shows: %s %v", name, text, err)
		}
	}
}

// TestExplainLeavesNoTrace: nothing is counted, cached, logged or watched.
func TestExplainLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := newSite(t, "mode report\nforward_jwt X-Identity https://orders.internal")
	signsWith(t, s)
	cache := tokencache.New(tokencache.DefaultSize)
	since := counted(t, s)
	s.validator = s.validator.Cached(cache)
	good, bad := signed(t, nil), signed(t, map[string]any{"exp": hourAgo()})
	since()
	ask := func() {
		for _, token := range []string{good, bad, good[:len(good)-8] + "AAAAAAAA"} {
			explainTo(t, bearer(token), explain.Question{}, s.Handler)
		}
	}
	ask()
	hits, misses := cache.Lookups()
	if news := since(); len(news) > 0 || cache.Len() > 0 || hits+misses > 0 || s.logs.Len() > 0 {
		t.Errorf("counted %v, %d tokens cached, %d lookups, logs %v", news, cache.Len(), hits+misses, s.logs.All())
	}
	serve(t, bearer(good), nil, s.Handler)
	serve(t, bearer(bad), nil, s.Handler)
	if news := since(); len(news) == 0 || cache.Len() != 1 || s.logs.Len() == 0 {
		t.Errorf("serving leaves no trace: %v, %d, %v", news, cache.Len(), s.logs.All())
	}
	stored := newStored(t, true)
	usage := stored.app.state.Usage("partners")
	e := explainTo(t, withKey(stored.key), explain.Question{}, stored.site)
	if e.last().Verdict != explain.Accepted || usage.Total() != 0 {
		t.Errorf("%s, %d uses", e.last().Verdict, usage.Total())
	}
	serve(t, withKey(stored.key), nil, stored.site)
	if usage.Total() != 1 {
		t.Errorf("%d uses after one", usage.Total())
	}
}

// TestExplainAnotherTime: tokens and API keys are judged at the time of the question.
func TestExplainAnotherTime(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	s := newSite(t, "api_key one "+hash+" {\nexpires "+time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339)+"\n}")
	for name, c := range map[string]struct {
		request *http.Request
		after   time.Duration
		code    reason.Code
	}{
		"a token now":    {bearer(signed(t, nil)), 0, ""},
		"a token later":  {bearer(signed(t, nil)), 2 * time.Hour, reason.Expired},
		"a token before": {bearer(signed(t, map[string]any{"nbf": time.Now().Unix()})), -2 * time.Hour, reason.NotYetValid},
		"a key now":      {withKey(text), 0, ""},
		"a key later":    {withKey(text), 25 * time.Hour, reason.APIKeyExpired},
	} {
		q := explain.Question{}
		if c.after != 0 {
			q.At = time.Now().Add(c.after)
		}
		if e := explainTo(t, c.request, q, s.Handler); e.last().Reason != c.code || len(failed(e.last())) > 1 {
			t.Errorf("%s: %s, %v", name, e.last().Reason, failed(e.last()))
		}
	}
}

func digestText(key string) string { return apikey.DigestOf(key).String() }
