package caddyjwt

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/credential"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// newAPIKey makes a key and its hash as the config has it.
func newAPIKey() (text, hash string) {
	text, _ = apikey.New("test")
	return text, apikey.DigestOf(text).String()
}

// keyFileOf writes a key file and returns its path.
func keyFileOf(t testing.TB, lines ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys.jsonl")
	if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// allPlaces are the places where an API key can stand.
const allPlaces = "api_key_from header X-API-Key\napi_key_from header Authorization ApiKey\napi_key_from query api_key\napi_key_from cookie key\napi_key_from basic"

// inPlaces are requests with a key in each of them.
func inPlaces(key string) map[string]*http.Request {
	basic := func(user, password string) string {
		return "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
	}
	return map[string]*http.Request{
		"header":                        request(key, "", "?a=1", "", "X-API-Key: %G"),
		"header in another case":        request(key, "", "?a=1", "", "x-api-key: %G"),
		"header with a scheme":          request(key, "", "?a=1", "", "Authorization: ApiKey %G"),
		"scheme in another case":        request(key, "", "?a=1", "", "Authorization: apikey   %G"),
		"query":                         request(key, "", "?a=1&api_key=%G", ""),
		"query with an escaped name":    request(key, "", "?%61pi_key=%G&a=1", ""),
		"cookie":                        request(key, "", "?a=1", "key=%G; b=2"),
		"quoted cookie":                 request(key, "", "?a=1", "b=2; key=\"%G\""),
		"basic, the password":           request(key, "", "?a=1", "", basic("x", key)),
		"basic, the user":               request(key, "", "?a=1", "", basic(key, "")),
		"basic, both":                   request(key, "", "?a=1", "", basic(key, key)),
		"basic in another case":         request(key, "", "?a=1", "", strings.Replace(basic("", key), "Basic", "bAsIc", 1)),
		"the same in two places":        request(key, "", "?api_key=%G&a=1", "key=%G; b=2", "X-API-Key: %G"),
		"the same header twice":         request(key, "", "?a=1", "", "X-API-Key: %G", "X-API-Key: %G"),
		"the same parameter twice":      request(key, "", "?api_key=%G&a=1&api_key=%G", ""),
		"the same cookie in two lines":  request(key, "", "?a=1", "key=%G; b=2", "Cookie: key=%G"),
		"an empty cookie beside it":     request(key, "", "?a=1", "key=; b=2", "X-API-Key: %G"),
		"Bearer is nothing to this one": request(key, "", "?a=1", "", "X-API-Key: %G", "Authorization: Bearer x.y.z"),
	}
}

func TestAnAPIKeyPassesWithItsIdentity(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	bare, bareHash := newAPIKey()
	options := "api_key partner " + hash + " {\nconsumer \"Partner Ltd.\"\nscopes orders:read orders:write\nexpires 2999-12-31T23:59:59+02:00\nmeta plan gold\nmeta x {env.HOME}\n}\n" +
		"api_key bare " + bareHash + "\nclaim meta.plan\nclaim scope may\nclaim key_id key\nclaim iss\n" + allPlaces + "\n"
	for prefix, s := range map[string]*site{"": makeSite(t, options), "key:": makeSite(t, options+"api_key_user_prefix key:")} {
		check := func(t *testing.T, r *http.Request, want map[string]string) {
			t.Helper()
			res := serve(t, r, nil, s.Handler)
			if res.err != nil || res.next == nil {
				t.Fatalf("refused: %v %d %s", res.err, res.Code, res.reason())
			}
			for placeholder, want := range want {
				if got := res.placeholder(placeholder); got != want {
					t.Errorf("%s is %q, want %q", placeholder, got, want)
				}
			}
			if s.logs.Len() != 0 {
				t.Errorf("a good request was logged: %v", s.logs.TakeAll())
			}
		}
		for place, r := range inPlaces(text) {
			t.Run(place, func(t *testing.T) {
				check(t, r, map[string]string{
					"{http.auth.user.id}": prefix + "Partner Ltd.", "{http.auth.user.plan}": "gold", "{http.auth.user.may}": "orders:read orders:write",
					"{http.auth.user.key}": "partner", "{http.auth.user.iss}": "", "{http.jwt.auth_method}": "api_key", "{http.jwt.key_id}": "partner",
					"{http.jwt.scopes}": "orders:read orders:write", "{http.jwt.expires_at}": "2999-12-31T21:59:59Z", "{http.jwt.issuer}": "",
					"{http.jwt.kid}": "", "{http.jwt.reason}": "", "{http.jwt.error}": "", "{http.jwt.claims.sub}": "Partner Ltd.",
					"{http.jwt.claims.scope}": "orders:read orders:write", "{http.jwt.claims.key_id}": "partner", "{http.jwt.claims.meta.plan}": "gold",
					"{http.jwt.claims.meta.x}": "{env.HOME}", "{http.jwt.claims.meta.y}": "", "{http.jwt.claims.hash}": "",
					"{http.jwt.claims}": `{"sub":"Partner Ltd.","scope":"orders:read orders:write","key_id":"partner","meta":{"plan":"gold","x":"{env.HOME}"}}`,
				})
			})
		}
		t.Run("of a key with nothing but an id", func(t *testing.T) {
			check(t, inPlaces(bare)["header"], map[string]string{
				"{http.auth.user.id}": prefix + "bare", "{http.auth.user.plan}": "", "{http.auth.user.may}": "", "{http.jwt.scopes}": "",
				"{http.jwt.expires_at}": "", "{http.jwt.key_id}": "bare", "{http.jwt.auth_method}": "api_key",
				"{http.jwt.claims}": `{"sub":"bare","key_id":"bare"}`, "{http.jwt.claims.meta}": "",
			})
		})
	}
}

func TestThreat25_ValuesOfAnAPIKeyAreNotExpandedAgain(t *testing.T) {
	t.Parallel()
	const trick = "{env.HOME}{file./etc/passwd}{http.request.host}"
	text, hash := newAPIKey()
	filed, filedHash := newAPIKey()
	path := keyFileOf(t, fmt.Sprintf(`{"id":"filed","hash":%q,"consumer":%q,"meta":{"trick":%q}}`, filedHash, trick, trick))
	s := makeSite(t, "api_key written "+hash+" {\nconsumer "+trick+"\nmeta trick "+trick+"\n}\napi_keys "+path+"\nclaim meta.trick")
	for _, key := range []string{text, filed} {
		res := serve(t, request(key, "", "", "", "X-API-Key: %G"), nil, s.Handler)
		for _, p := range []string{"{http.auth.user.id}", "{http.auth.user.trick}", "{http.jwt.claims.sub}", "{http.jwt.claims.meta.trick}"} {
			if got := res.placeholder(p); got != trick {
				t.Errorf("%s became %q", p, got)
			}
		}
	}
}

func TestThreat22_MoreThanOneAPIKey(t *testing.T) {
	t.Parallel()
	good, hash := newAPIKey()
	other, otherHash := newAPIKey()
	s := makeSite(t, "api_key one "+hash+"\napi_key other "+otherHash+"\n"+allPlaces)
	basic := base64.StdEncoding.EncodeToString([]byte("x:" + other))
	for name, r := range map[string]*http.Request{
		"one header twice":                     request(good, other, "", "", "X-API-Key: %G", "X-API-Key: %B"),
		"header and query":                     request(good, other, "?api_key=%B", "", "X-API-Key: %G"),
		"header and cookie":                    request(good, other, "", "key=%B", "X-API-Key: %G"),
		"header and scheme":                    request(good, other, "", "", "X-API-Key: %G", "Authorization: ApiKey %B"),
		"header and Basic":                     request(good, other, "", "", "X-API-Key: %G", "Authorization: Basic "+basic),
		"header and garbage":                   request(good, "x", "?api_key=%B", "", "X-API-Key: %G"),
		"cookie twice":                         request(good, other, "", "key=%G; key=%B"),
		"cookie twice in two lines":            request(good, other, "", "key=%G", "Cookie: key=%B"),
		"cookie twice, once empty":             request(good, other, "", "key=%G; key="),
		"query twice":                          request(good, other, "?api_key=%G&api_key=%B", ""),
		"query twice, once with escaped name":  request(good, other, "?api_key=%G&api%5Fkey=%B", ""),
		"query twice, once empty":              request(good, other, "?api_key=&api_key=%G", ""),
		"Authorization twice, the same":        request(good, other, "", "", "Authorization: ApiKey %G", "Authorization: ApiKey %G"),
		"Authorization twice, Basic and ours":  request(good, other, "", "", "Authorization: ApiKey %G", "Authorization: Basic "+basic),
		"Authorization twice, once of no kind": request(good, other, "", "", "Authorization: ApiKey %G", "Authorization: Bearer x"),
	} {
		t.Run(name, func(t *testing.T) {
			if res := serve(t, r, nil, s.Handler); res.next != nil || res.Code != 400 || res.reason() != "multiple_credentials" {
				t.Errorf("%d %q", res.Code, res.reason())
			}
		})
	}
	t.Run("Authorization twice where Basic alone is read", func(t *testing.T) {
		s := makeSite(t, "api_key other "+otherHash+"\napi_key_from basic")
		for _, second := range []string{"Basic " + basic, "Bearer x"} {
			r := request("", "", "", "", "Authorization: Basic "+basic, "Authorization: "+second)
			if res := serve(t, r, nil, s.Handler); res.next != nil || res.Code != 400 || res.reason() != "multiple_credentials" {
				t.Errorf("%s: %d %q", second, res.Code, res.reason())
			}
		}
	})
}

func TestThreat31_TheStoredHashIsNoKey(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	filed, filedHash := newAPIKey()
	s := makeSite(t, "api_key written "+hash+"\napi_keys "+keyFileOf(t, `{"id":"filed","hash":"`+filedHash+`"}`)+"\n"+allPlaces)
	for _, c := range []struct{ text, hash string }{{text, hash}, {filed, filedHash}} {
		digest := apikey.DigestOf(c.text)
		for _, presented := range []string{
			c.hash, strings.TrimPrefix(c.hash, "sha256:"), strings.ToUpper(c.hash), "SHA256:" + strings.TrimPrefix(c.hash, "sha256:"),
			base64.URLEncoding.EncodeToString(digest[:]), base64.RawURLEncoding.EncodeToString(digest[:]),
		} {
			for place, r := range inPlaces(presented) {
				if res := serve(t, r, nil, s.Handler); res.next != nil || res.Code != 401 || res.reason() != "unknown_api_key" {
					t.Errorf("%s, %s: %d %q", presented, place, res.Code, res.reason())
				}
			}
		}
		if res := serve(t, inPlaces(c.text)["header"], nil, s.Handler); res.next == nil {
			t.Errorf("the key itself is refused: %s", res.reason())
		}
	}
}

func TestThreat32_ExpiredAndDisabledKeysAreRefused(t *testing.T) {
	t.Parallel()
	expiring, expiringHash := newAPIKey()
	off, offHash := newAPIKey()
	both, bothHash := newAPIKey()
	filed, filedHash := newAPIKey()
	expires := time.Date(2040, 1, 2, 3, 4, 5, 678e6, time.UTC)
	s := makeSite(t, "api_key expiring "+expiringHash+" {\nexpires 2040-01-02T03:04:05.678Z\n}\napi_key both "+bothHash+"\napi_keys "+keyFileOf(t,
		`{"id":"off","hash":"`+offHash+`","enabled":false}`,
		`{"id":"both","hash":"`+bothHash+`","enabled":false}`,
		`{"id":"filed","hash":"`+filedHash+`","expires":"2040-01-02T04:04:05.678+01:00"}`))
	for name, c := range map[string]struct {
		key    string
		at     time.Time
		reason string
	}{
		"a millisecond before":            {expiring, expires.Add(-time.Millisecond), ""},
		"at its time":                     {expiring, expires, "api_key_expired"},
		"later":                           {expiring, expires.AddDate(100, 0, 0), "api_key_expired"},
		"of a file, a millisecond before": {filed, expires.Add(-time.Millisecond), ""},
		"of a file, at its time":          {filed, expires, "api_key_expired"},
		"disabled":                        {off, time.Now(), "api_key_disabled"},
		"in the config, but disabled in the file": {both, time.Now(), "api_key_disabled"},
	} {
		t.Run(name, func(t *testing.T) {
			h, keys := *s.Handler, *s.apiKeys
			keys.Clock = clock.NewFake(c.at)
			h.apiKeys = &keys
			res := serve(t, inPlaces(c.key)["header"], nil, &h)
			if res.reason() != c.reason || (res.next != nil) != (c.reason == "") {
				t.Errorf("%d %q, want %q", res.Code, res.reason(), c.reason)
			}
			if got := res.placeholder("{http.auth.user.id}{http.jwt.key_id}{http.jwt.scopes}{http.jwt.claims}"); c.reason != "" && got != "" {
				t.Errorf("an identity is left: %s", got)
			}
		})
	}
}

// downKeys are an issuer's keys that can't be had.
type downKeys struct{}

func (downKeys) Keys(context.Context, string) ([]key.Key, error) { return nil, key.ErrUnavailable }

func (downKeys) Version(string, time.Time) uint64 { return 0 }

func TestThreat33_AKeyLendsNothingToAToken(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	unknown, _ := newAPIKey()
	s := newSite(t, "api_key partner "+hash+" {\nconsumer boss\nscopes admin\nmeta plan gold\n}\nclaim meta.plan\nclaim scope may\napi_key_user_prefix key:")
	good, bad := signed(t, map[string]any{"scope": "read"}), signed(t, map[string]any{"exp": 1})
	down, err := validator.New([]validator.Policy{{Issuer: "https://issuer.example/", AnyAudience: true, Keys: downKeys{}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	outage := *s.Handler
	outage.validator = down
	for name, c := range map[string]struct {
		h          *Handler
		token, key string
		status     int
		reason     string
	}{
		"both good":                              {s.Handler, good, text, 200, ""},
		"the token alone":                        {s.Handler, good, "", 200, ""},
		"the key alone":                          {s.Handler, "", text, 200, ""},
		"an unknown key, a good token":           {s.Handler, good, unknown, 401, "unknown_api_key"},
		"a good key, a bad token":                {s.Handler, bad, text, 401, "expired"},
		"both bad":                               {s.Handler, bad, unknown, 401, "unknown_api_key"},
		"a good key, the issuer's keys down":     {&outage, good, text, 503, "keys_unavailable"},
		"an unknown key, the issuer's keys down": {&outage, good, unknown, 401, "unknown_api_key"},
		"the key alone, the issuer's keys down":  {&outage, "", text, 200, ""},
		"neither":                                {s.Handler, "", "", 401, "missing_credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			if c.key != "" {
				r.Header.Set("X-API-Key", c.key)
			}
			res := serve(t, r, nil, c.h)
			if res.reason() != c.reason || (res.next != nil) != (c.status == 200) || c.status != 200 && res.Code != c.status {
				t.Fatalf("%d %q, want %d %q", res.Code, res.reason(), c.status, c.reason)
			}
			got := res.placeholder("{http.auth.user.id}|{http.auth.user.plan}|{http.auth.user.may}|{http.jwt.scopes}|{http.jwt.claims.sub}|{http.jwt.claims.key_id}|{http.jwt.issuer}|{http.jwt.auth_method}|{http.jwt.key_id}")
			want := map[bool]string{
				true:  "alice||read|read|alice||https://issuer.example/|jwt|",
				false: "key:boss|gold|admin|admin|boss|partner||api_key|",
			}[c.token != ""]
			if c.key != "" {
				want += "partner"
			}
			if c.status != 200 {
				want = "|||||||anonymous|"
			}
			if got != want {
				t.Errorf("identity %s, want %s", got, want)
			}
		})
	}
}

// TestThreat50_NobodyLearnsWhichKeysThereAre: the answers to an unknown, an
// expired and a disabled key are the same to the byte.
func TestThreat50_NobodyLearnsWhichKeysThereAre(t *testing.T) {
	t.Parallel()
	expired, expiredHash := newAPIKey()
	off, offHash := newAPIKey()
	unknown, _ := newAPIKey()
	keys := "api_key expired " + expiredHash + " {\nexpires 2020-01-01T00:00:00Z\n}\napi_keys " + keyFileOf(t, `{"id":"off","hash":"`+offHash+`","enabled":false}`) + "\n" + allPlaces + "\n"
	for _, format := range []string{"json", "aws", "none"} {
		for kind, s := range map[string]*site{"keys": makeSite(t, keys+"error_format "+format), "both": newSite(t, keys+"error_format "+format)} {
			places := []map[string]*http.Request{inPlaces(unknown), inPlaces(expired), inPlaces(off), inPlaces("short"), inPlaces(strings.Repeat("long", 200))}
			reasons := []string{"unknown_api_key", "api_key_expired", "api_key_disabled", "unknown_api_key", "unknown_api_key"}
			for place := range places[0] {
				if kind == "both" && strings.HasPrefix(place, "Bearer") {
					continue // there, the token is bad too
				}
				first := ""
				for n, want := range reasons {
					res := serve(t, places[n][place], nil, s.Handler)
					if res.next != nil || res.reason() != want {
						t.Errorf("%s, %s, %s: reason %q, want %q", format, kind, place, res.reason(), want)
					}
					answer := fmt.Sprintf("%d %v %s|%s|%s", res.Code, res.Header(), res.Body, res.placeholder("{http.jwt.error}"), res.placeholder("{http.jwt.error_description}"))
					if first == "" {
						first = answer
					}
					if answer != first {
						t.Errorf("%s, %s, %s: %s is answered with\n%s\nand %s with\n%s", format, kind, place, reasons[0], first, want, answer)
					}
				}
			}
		}
	}
}

func TestThreat48_APIKeysAreNotPassedOn(t *testing.T) {
	t.Parallel()
	good, hash := newAPIKey()
	bad, _ := newAPIKey()
	options := "api_key partner " + hash + "\n" + allPlaces
	removing, keeping := makeSite(t, options), makeSite(t, options+"\nkeep_credentials")
	shows := func(res result, r *http.Request, key string) (places []string) {
		basic := base64.StdEncoding.EncodeToString([]byte("x:" + key))[4:40]
		original := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
		for name, text := range map[string]string{
			"the headers": sprint(r.Header), "the URL": r.URL.String(), "RequestURI": r.RequestURI,
			"the original URL": original.URL.String(), "the original RequestURI": original.RequestURI,
			"{http.request.orig_uri}": res.placeholder("{http.request.orig_uri}"), "{http.request.uri}": res.placeholder("{http.request.uri}"),
			"{http.request.orig_uri.query}": res.placeholder("{http.request.orig_uri.query}"),
		} {
			if strings.Contains(text, key) || strings.Contains(text, basic) || strings.Contains(text, base64.StdEncoding.EncodeToString([]byte(key))[:40]) {
				places = append(places, name)
			}
		}
		return places
	}
	for place, r := range inPlaces(good) {
		res := serve(t, r, nil, removing.Handler)
		if res.next == nil {
			t.Fatalf("%s: %s", place, res.reason())
		}
		if at := shows(res, res.next, good); len(at) > 0 {
			t.Errorf("%s: the key is passed on in %s", place, at)
		}
		if got := res.next.URL.RawQuery; got != "a=1" {
			t.Errorf("%s: of the query is left %q", place, got)
		}
		if strings.Contains(place, "cookie") && strings.TrimSpace(res.next.Header.Get("Cookie")) != "b=2" {
			t.Errorf("%s: of the cookies is left %q", place, res.next.Header.Get("Cookie"))
		}
		for _, text := range []string{sprint(requestState(res.next)), sprint(&requestState(res.next).Removed)} {
			if strings.Contains(text, good) {
				t.Errorf("%s: the state shows the key: %s", place, text)
			}
		}
	}
	for place, r := range inPlaces(bad) {
		var seen *http.Request
		watch := middleware(func(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
			seen = r
			return next.ServeHTTP(w, r)
		})
		res := serve(t, r, nil, watch, removing.Handler)
		if res.next != nil || res.Code != 401 {
			t.Fatalf("%s: %d %s", place, res.Code, res.reason())
		}
		if at := shows(res, seen, bad); len(at) > 0 {
			t.Errorf("%s: the refused key is left in %s", place, at)
		}
	}
	for place, r := range inPlaces(good) {
		want := sprint(r.Header) + r.URL.String()
		if res := serve(t, r, nil, keeping.Handler); res.next == nil || sprint(res.next.Header)+res.next.URL.String() != want {
			t.Errorf("%s: keep_credentials does not keep it: %s", place, res.reason())
		}
	}
}

// TestWhatIsNotOfferedIsNotTaken: a kind without anything to vouch for it is
// neither read nor removed.
func TestWhatIsNotOfferedIsNotTaken(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	good := signed(t, nil)
	r := func() *http.Request {
		return request(good, text, "?api_key=x", "", "Authorization: Bearer %G", "X-API-Key: %B")
	}
	res := serve(t, r(), nil, makeSite(t, "api_key partner "+hash).Handler)
	if res.next == nil || res.next.Header.Get("Authorization") != "Bearer "+good || res.next.Header.Get("X-API-Key") != "" || res.placeholder("{http.auth.user.id}") != "partner" {
		t.Errorf("with keys alone: %s %v", res.reason(), res.next)
	}
	res = serve(t, r(), nil, newSite(t, "").Handler)
	if res.next == nil || res.next.Header.Get("Authorization") != "" || res.next.Header.Get("X-API-Key") != text || res.placeholder("{http.auth.user.id}{http.jwt.key_id}") != "alice" {
		t.Errorf("with tokens alone: %s %v", res.reason(), res.next)
	}
	onlyQuery := makeSite(t, "api_key partner "+hash+"\napi_key_from query k")
	if res := serve(t, request(text, "", "", "", "X-API-Key: %G"), nil, onlyQuery.Handler); res.reason() != "missing_credentials" {
		t.Errorf("a place that is not named is read: %q", res.reason())
	}
	if res := serve(t, request(text, "", "?k=%G", "", "X-API-Key: x"), nil, onlyQuery.Handler); res.next == nil || res.next.Header.Get("X-API-Key") != "x" {
		t.Errorf("a place that is not named is read or emptied: %q", res.reason())
	}
}

func TestAPIKeysThatAreNone(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	long := strings.Repeat("k", apikey.MaxLength) + "x"
	s := makeSite(t, "api_key partner "+hash+"\napi_key long "+apikey.DigestOf(long).String()+"\napi_key most "+apikey.DigestOf(long[1:]).String()+"\n"+allPlaces)
	basic := func(text string) *http.Request {
		return request("", "", "", "", "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte(text)))
	}
	for name, c := range map[string]struct {
		r      *http.Request
		reason string
	}{
		"an empty X-API-Key":               {request("", "", "", "", "X-API-Key: "), "malformed_request"},
		"an empty one beside a good query": {request(text, "", "?api_key=%G", "", "X-API-Key: "), "malformed_request"},
		"a scheme alone":                   {request("", "", "", "", "Authorization: ApiKey"), "malformed_request"},
		"an empty parameter":               {request("", "", "?api_key=", ""), "malformed_request"},
		"an empty cookie":                  {request("", "", "", "key="), "missing_credentials"},
		"nothing":                          {request("", "", "", ""), "missing_credentials"},
		"Basic alone":                      {request("", "", "", "", "Authorization: Basic"), "malformed_request"},
		"Basic with no base64":             {request("", "", "", "", "Authorization: Basic !!!!"), "malformed_request"},
		"Basic without padding":            {request("", "", "", "", "Authorization: Basic eDp5eg"), "malformed_request"},
		"Basic without a colon":            {basic(text), "malformed_request"},
		"Basic with nothing but a colon":   {basic(":"), "malformed_request"},
		"Basic with spaces":                {basic("x: " + text), "unknown_api_key"},
		"Basic with a colon in the key":    {basic("x:" + text + ":"), "unknown_api_key"},
		"with a space behind":              {request(text, "", "?api_key=%G%%20", ""), "unknown_api_key"},
		"in quotes":                        {request(text, "", "", "", `X-API-Key: "%G"`), "unknown_api_key"},
		"in another case":                  {request(strings.ToUpper(text), "", "", "", "X-API-Key: %G"), "unknown_api_key"},
		"cut off":                          {request(text[:len(text)-1], "", "", "", "X-API-Key: %G"), "unknown_api_key"},
		"the id":                           {request("partner", "", "", "", "X-API-Key: %G"), "unknown_api_key"},
		"512 characters":                   {request(long[1:], "", "", "", "X-API-Key: %G"), ""},
		"513 characters":                   {request(long, "", "", "", "X-API-Key: %G"), "unknown_api_key"},
		"a mebibyte":                       {request(strings.Repeat("x", 1<<20), "", "", "", "X-API-Key: %G"), "unknown_api_key"},
		"with ApiKey in X-API-Key":         {request(text, "", "", "", "X-API-Key: ApiKey %G"), "unknown_api_key"},
	} {
		t.Run(name, func(t *testing.T) {
			res := serve(t, c.r, nil, s.Handler)
			if res.reason() != c.reason || (res.next != nil) != (c.reason == "") {
				t.Errorf("%d %q, want %q", res.Code, res.reason(), c.reason)
			}
		})
	}
}

func TestThreat43_APIKeysInCookiesFromAnotherSite(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	s := newSite(t, "api_key partner "+hash+"\n"+allPlaces+"\ntrusted_origins https://app.example")
	token := "Authorization: Bearer " + signed(t, nil)
	for name, c := range map[string]struct {
		method  string
		headers []string
		refused bool
	}{
		"POST from another site":                  {"POST", []string{"Sec-Fetch-Site: cross-site"}, true},
		"POST with a foreign Origin alone":        {"POST", []string{"Origin: https://evil.example"}, true},
		"WebSocket upgrade with a foreign Origin": {"GET", []string{"Origin: https://evil.example", "Upgrade: websocket"}, true},
		"a token in a header beside it":           {"POST", []string{"Sec-Fetch-Site: cross-site", token}, true},
		"POST from the site itself":               {"POST", []string{"Sec-Fetch-Site: same-origin"}, false},
		"POST from a trusted origin":              {"POST", []string{"Sec-Fetch-Site: cross-site", "Origin: https://app.example"}, false},
		"POST by a program that is no browser":    {"POST", nil, false},
		"GET from another site":                   {"GET", []string{"Sec-Fetch-Site: cross-site"}, false},
		"the same key in a header":                {"POST", []string{"Sec-Fetch-Site: cross-site", "X-API-Key: " + text}, false},
	} {
		t.Run(name, func(t *testing.T) {
			r := request(text, "", "", "key=%G", c.headers...)
			r.Method = c.method
			res := serve(t, r, nil, s.Handler)
			if c.refused != (res.next == nil) || c.refused && (res.Code != 403 || res.reason() != "cross_origin") {
				t.Errorf("%d %s", res.Code, res.reason())
			}
		})
	}
}

// TestOnePlaceForBothKinds: the form decides there, and there alone.
func TestOnePlaceForBothKinds(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	dotted, dottedHash := text+".a.b", apikey.DigestOf(text+".a.b").String()
	threeDots := text + ".a.b.c"
	good := signed(t, nil)
	options := "api_key partner " + hash + "\napi_key dotted " + dottedHash + "\napi_key dots " + apikey.DigestOf(threeDots).String() + "\n"
	shared := newSite(t, options+"token_from header Authorization\ntoken_from query t\napi_key_from header Authorization\napi_key_from query k\napi_key_from query t")
	apart := newSite(t, options)
	for name, c := range map[string]struct {
		s      *site
		r      *http.Request
		reason string
		user   string
	}{
		"a token":               {shared, bearer(good), "", "alice"},
		"a key":                 {shared, bearer(text), "", "partner"},
		"a key with three dots": {shared, bearer(threeDots), "", "dots"},
		"a key with two dots":   {shared, bearer(dotted), "", "dotted"},
		"a key with two dots in a place of its own":    {shared, request(dotted, "", "?k=%G", ""), "", "dotted"},
		"a bad token with two dots":                    {shared, bearer("a.b.c"), "malformed_token", ""},
		"a bad token with one dot is an unknown key":   {shared, bearer("a.b"), "unknown_api_key", ""},
		"a key in the header, a token in the query":    {shared, request(good, text, "?t=%G", "", "Authorization: Bearer %B"), "", "alice"},
		"a token in the header, a key in the query":    {shared, request(good, text, "?t=%B", "", "Authorization: Bearer %G"), "", "alice"},
		"two keys in shared places":                    {shared, request(threeDots, text, "?t=%B", "", "Authorization: Bearer %G"), "multiple_credentials", ""},
		"a token where only keys stand is a bad key":   {apart, request(good, "", "", "", "X-API-Key: %G"), "unknown_api_key", ""},
		"a key where only tokens stand is a bad token": {apart, bearer(text), "malformed_token", ""},
		"a key with two dots beside a token":           {apart, request(good, dotted, "", "", "X-API-Key: %B", "Authorization: Bearer %G"), "", "alice"},
	} {
		t.Run(name, func(t *testing.T) {
			res := serve(t, c.r, nil, c.s.Handler)
			if res.reason() != c.reason || (res.next != nil) != (c.reason == "") || res.placeholder("{http.auth.user.id}") != c.user {
				t.Errorf("%d %q %q", res.Code, res.reason(), res.placeholder("{http.auth.user.id}"))
			}
			if res.next != nil && (len(res.next.Header["Authorization"]) > 0 || res.next.URL.RawQuery != "" && res.next.URL.RawQuery != "a=1") {
				t.Errorf("left: %v %s", res.next.Header, res.next.URL)
			}
		})
	}
}

func TestAHandlerFurtherInFindsTheAPIKey(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	_, otherHash := newAPIKey()
	outer := makeSite(t, "api_key outer "+hash+"\n"+allPlaces)
	inner := makeSite(t, "api_key inner "+hash+" {\nscopes inner\n}\n"+allPlaces)
	strict := makeSite(t, "api_key other "+otherHash+"\n"+allPlaces)
	for place, r := range inPlaces(text) {
		res := serve(t, r, nil, outer.Handler, inner.Handler)
		if got := res.placeholder("{http.auth.user.id} {http.jwt.key_id} {http.jwt.scopes}"); res.next == nil || got != "inner inner inner" {
			t.Errorf("%s: %s %s", place, res.reason(), got)
		}
	}
	for place, r := range inPlaces(text) {
		res := serve(t, r, nil, outer.Handler, strict.Handler)
		if res.next != nil || res.reason() != "unknown_api_key" || res.placeholder("{http.auth.user.id}{http.jwt.key_id}") != "" {
			t.Errorf("%s: the inner one's keys don't decide: %q", place, res.reason())
		}
	}
	t.Run("and a token in front of it", func(t *testing.T) {
		r := request(signed(t, nil), text, "", "", "Authorization: Bearer %G", "X-API-Key: %B")
		if res := serve(t, r, nil, newSite(t, "").Handler, inner.Handler); res.placeholder("{http.auth.user.id} {http.jwt.auth_method}") != "inner api_key" {
			t.Errorf("%s %s", res.reason(), res.placeholder("{http.auth.user.id} {http.jwt.auth_method}"))
		}
	})
}

// TestRefusalsOfAPIKeys: exact bytes, as clients of AWS API Gateway and of RFC
// 6750 read them.
func TestRefusalsOfAPIKeys(t *testing.T) {
	t.Parallel()
	_, hash := newAPIKey()
	bad, _ := newAPIKey()
	keys := "api_key partner " + hash + "\nrealm api\nerror_format "
	const (
		forbidden    = `{"message":"Forbidden"}`
		unauthorized = `{"message":"Unauthorized"}`
		badRequest   = `{"message":"Bad Request"}`
		notValid     = `, error="invalid_token", error_description="the API key is not valid"`
	)
	nothing, unknown, empty := "", "X-API-Key: "+bad, "X-API-Key: "
	badToken, emptyToken := "Authorization: Bearer x", "Authorization: Bearer"
	type want struct {
		status          int
		challenge, body string
	}
	for name, c := range map[string]struct {
		s    *site
		want map[string]want // by header
	}{
		"aws, keys": {makeSite(t, keys+"aws"), map[string]want{
			nothing: {403, `ApiKey realm="api"`, forbidden},
			unknown: {403, `ApiKey realm="api"` + notValid, forbidden},
			empty:   {403, `ApiKey realm="api", error="invalid_request", error_description="the request has an empty credential"`, forbidden},
		}},
		"aws, tokens": {newSite(t, "realm api\nerror_format aws"), map[string]want{
			nothing:    {401, `Bearer realm="api"`, unauthorized},
			badToken:   {401, `Bearer realm="api", error="invalid_token", error_description="the token is not a JWT"`, unauthorized},
			emptyToken: {400, "", badRequest},
			unknown:    {401, `Bearer realm="api"`, unauthorized},
		}},
		"aws, both": {newSite(t, keys+"aws"), map[string]want{
			nothing:    {401, `Bearer realm="api"`, unauthorized},
			badToken:   {401, `Bearer realm="api", error="invalid_token", error_description="the token is not a JWT"`, unauthorized},
			unknown:    {403, `Bearer realm="api"` + notValid, forbidden},
			empty:      {400, "", badRequest},
			emptyToken: {400, "", badRequest},
		}},
		"json, keys": {makeSite(t, keys+"json"), map[string]want{
			nothing: {401, `ApiKey realm="api"`, `{"error":"missing_credentials","error_description":"an API key is required, in the header X-Api-Key"}`},
			unknown: {401, `ApiKey realm="api"` + notValid, `{"error":"invalid_token","error_description":"the API key is not valid"}`},
			empty:   {400, "", `{"error":"invalid_request","error_description":"the request has an empty credential"}`},
		}},
		"json, both": {newSite(t, keys+"json"), map[string]want{
			nothing: {401, `Bearer realm="api"`, `{"error":"missing_credentials","error_description":"a token or an API key is required: a token in the header Authorization with the scheme Bearer, or an API key in the header X-Api-Key"}`},
			unknown: {401, `Bearer realm="api"` + notValid, `{"error":"invalid_token","error_description":"the API key is not valid"}`},
			empty:   {400, "", `{"error":"invalid_request","error_description":"the request has an empty credential"}`},
		}},
		"none, keys": {makeSite(t, keys+"none"), map[string]want{
			nothing: {401, `ApiKey realm="api"`, ""},
			unknown: {401, `ApiKey realm="api"` + notValid, ""},
			empty:   {400, "", ""},
		}},
	} {
		for header, want := range c.want {
			t.Run(name+"/"+strings.ReplaceAll(header, bad, "unknown"), func(t *testing.T) {
				var headers []string
				if header != "" {
					headers = []string{header}
				}
				res := serve(t, request("", "", "", "", headers...), nil, c.s.Handler)
				if res.next != nil || res.Code != want.status || res.Header().Get("WWW-Authenticate") != want.challenge || res.Body.String() != want.body {
					t.Errorf("got  %d %s %s\nwant %d %s %s", res.Code, res.Header().Get("WWW-Authenticate"), res.Body, want.status, want.challenge, want.body)
				}
				if got := res.Header().Get("Content-Type"); (got == "application/json") != (want.body != "") || res.Header().Get("Cache-Control") != "no-store" {
					t.Errorf("headers %v", res.Header())
				}
			})
		}
	}
}

func TestAKeyFileOfANamedStore(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	path := keyFileOf(t, `{"id":"partner","hash":"`+hash+`","consumer":"corp"}`)
	h := &Handler{APIKeys: []*APIKeySource{{Name: "partners"}}}
	s := makeSite(t, "api_keys "+path)
	s.app.APIKeys = map[string]*APIKeyStore{"partners": {File: path}}
	h.logger, h.app = s.logger, s.app
	if err := h.provision(bareContext()); err != nil {
		t.Fatal(err)
	}
	if res := serve(t, request(text, "", "", "", "X-API-Key: %G"), nil, h); res.placeholder("{http.auth.user.id}") != "corp" {
		t.Error(res.reason())
	}
	if n := len(s.app.sources.KeyFileList()); n != 1 {
		t.Errorf("two sites with one file read %d", n)
	}
}

func TestARefusedKeyIsOneDebugLineWithoutTheKey(t *testing.T) {
	t.Parallel()
	_, hash := newAPIKey()
	bad, _ := newAPIKey()
	s := makeSite(t, "api_key partner "+hash)
	serve(t, request(bad, "", "", "", "X-API-Key: %G"), nil, s.Handler)
	lines := s.logs.All()
	if len(lines) != 1 || lines[0].ContextMap()["reason"] != "unknown_api_key" {
		t.Fatalf("%v", lines)
	}
	if text := sprint(lines[0].ContextMap()) + lines[0].Message; strings.Contains(text, bad) || strings.Contains(text, bad[5:15]) || strings.Contains(text, strings.TrimPrefix(apikey.DigestOf(bad).String(), "sha256:")) {
		t.Errorf("the log shows the key: %s", text)
	}
}

// TestLoadWarnsOfLogsWithAPIKeys: where Caddy's logs would show a key.
func TestLoadWarnsOfLogsWithAPIKeys(t *testing.T) {
	t.Parallel()
	scheme := "ApiKey"
	for name, c := range map[string]struct {
		from []*CredentialSource
		want []string // what each text has in it
	}{
		"the default":              {nil, []string{"format filter { request>headers>X-Api-Key delete }, as docs/security.md#logs shows"}},
		"a query parameter":        {[]*CredentialSource{{From: credential.FromQuery, Name: "api_key"}}, []string{"format filter { request>uri query { delete api_key } }, as docs/security.md#logs shows"}},
		"Authorization":            {[]*CredentialSource{{From: credential.FromHeader, Name: "authorization", Scheme: &scheme}}, nil},
		"a cookie":                 {[]*CredentialSource{{From: credential.FromCookie, Name: "key"}}, nil},
		"Basic":                    {[]*CredentialSource{{From: credential.FromBasic}}, nil},
		"a header with _":          {[]*CredentialSource{{From: credential.FromHeader, Name: "x_api_key"}}, []string{"expected_underscore_headers", "request>headers>X_api_key delete"}},
		"a header and a parameter": {[]*CredentialSource{{From: credential.FromHeader, Name: "X-Key"}, {From: credential.FromQuery, Name: "k"}}, []string{"request>headers>X-Key delete", "delete k }"}},
	} {
		read, err := credential.New(credential.Settings{APIKeys: true, APIKeyFrom: sources(c.from)})
		if err != nil {
			t.Fatal(err)
		}
		texts := append(read.DroppedWarnings(), read.LogWarnings()...)
		if len(texts) != len(c.want) {
			t.Errorf("%s: %q; want %d", name, texts, len(c.want))
			continue
		}
		for n, text := range texts {
			if !strings.Contains(text, c.want[n]) {
				t.Errorf("%s: %s\nwant in it: %s", name, text, c.want[n])
			}
		}
	}
}

// A browser that knows a password for Basic sends it by itself, as it does cookies.
func TestThreat43_APIKeysAsBasicFromAnotherSite(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	s := makeSite(t, "api_key partner "+hash+"\napi_key_from basic\ntrusted_origins https://app.example")
	for origin, refused := range map[string]bool{"": false, "https://evil.example": true, "https://app.example": false} {
		r := httptest.NewRequest(http.MethodPost, "https://api.example/", nil)
		r.SetBasicAuth("x", text)
		if origin != "" {
			r.Header.Set("Origin", origin)
		}
		res := serve(t, r, nil, s.Handler)
		if refused != (res.next == nil) || refused && res.reason() != "cross_origin" {
			t.Errorf("Origin %q: %d %s", origin, res.Code, res.reason())
		}
	}
}

// One place is one place in whatever case its scheme is written.
func TestSchemesOfOnePlace(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	s := newSite(t, "api_key partner "+hash+"\ntoken_from header Authorization Bearer\napi_key_from header Authorization bearer")
	for user, credential := range map[string]string{"alice": signed(t, nil), "partner": text} {
		if res := serve(t, bearer(credential), nil, s.Handler); res.next == nil || res.placeholder("{http.auth.user.id}") != user {
			t.Errorf("%s: %d %s", user, res.Code, res.reason())
		}
	}
}

// A key that stands where it must not is refused, and not shown.
func TestKeyInTheWrongPlace(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	for _, options := range []string{
		"api_key " + text + " " + hash, "api_key " + text + " partner", "api_key partner " + hash + " {\nconsumer " + text + "\n}",
		"api_keys " + text, "api_key partner " + text,
	} {
		h := new(Handler)
		err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser("jwt {\n" + options + "\n}"))
		if err == nil {
			t.Errorf("accepted: %s", strings.ReplaceAll(strings.ReplaceAll(options, text, "KEY"), hash, "HASH"))
		} else if strings.Contains(err.Error(), text) {
			t.Errorf("the error shows the key: %s", strings.ReplaceAll(err.Error(), text, "KEY"))
		}
	}
}

// TestBasicIsOffered: who sends a password only when asked for it is asked.
func TestBasicIsOffered(t *testing.T) {
	t.Parallel()
	_, hash := newAPIKey()
	for from, want := range map[string][]string{
		"basic":        {`ApiKey realm="restricted"`, `Basic realm="restricted"`},
		"header X-Key": {`ApiKey realm="restricted"`},
	} {
		s := makeSite(t, "api_key partner "+hash+"\napi_key_from "+from)
		if got := serve(t, bearer("x"), nil, s.Handler).Header()["Www-Authenticate"]; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", from, got, want)
		}
	}
}

// TestTheWholeHeaderIsTheKey: an empty scheme is none, in Authorization too.
func TestTheWholeHeaderIsTheKey(t *testing.T) {
	t.Parallel()
	text, hash := newAPIKey()
	whole := makeSite(t, "api_key partner "+hash+"\napi_key_from header Authorization \"\"")
	byDefault := makeSite(t, "api_key partner "+hash+"\napi_key_from header Authorization")
	for value, s := range map[string]*site{"%G": whole, "Bearer %G": byDefault} {
		for _, other := range []*site{whole, byDefault} {
			res := serve(t, request(text, "", "", "", "Authorization: "+value), nil, other.Handler)
			if passed := res.next != nil; passed != (other == s) {
				t.Errorf("%s: passed %v, %s", value, passed, res.reason())
			} else if passed && len(res.next.Header["Authorization"]) > 0 {
				t.Errorf("%s is left", value)
			}
		}
	}
}
