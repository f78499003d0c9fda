package tokenservice

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// ofKey returns a form with an API key as the secret.
func ofKey(id, secret string) url.Values {
	return with(clientCredentials, "client_id", id, "client_secret", secret)
}

func TestThreat67Clients(t *testing.T) {
	t.Parallel()
	header := func(r *http.Request, name, value string) *http.Request {
		r.Header.Set(name, value)
		return r
	}
	plain := func() *http.Request { return tokenRequest(clientCredentials) }
	const same = "the client is unknown or its credential is not valid"
	for name, c := range map[string]struct {
		r    *http.Request
		text string
		// id is the client in the event, which there is
		id string
	}{
		"unknown client":                    {tokenRequest(ofKey("nobody", unknownText)), same, ""},
		"unknown client, Basic":             {basic(plain(), "nobody", unknownText), same, ""},
		"wrong secret":                      {tokenRequest(ofKey("partner001", unknownText)), same, ""},
		"wrong secret, Basic":               {basic(plain(), "partner001", unknownText), same, ""},
		"wrong key in the header":           {header(plain(), "X-API-Key", unknownText), same, ""},
		"digest as the secret":              {tokenRequest(ofKey("partner001", apikey.DigestOf(partnerKey).String())), same, ""},
		"very long secret":                  {tokenRequest(ofKey("partner001", strings.Repeat("x", 4000))), same, ""},
		"disabled":                          {tokenRequest(ofKey("disabled", disabledText)), same, "disabled"},
		"expired":                           {tokenRequest(ofKey("expired", expiredText)), same, "expired"},
		"short key":                         {tokenRequest(ofKey("short", shortText)), same, "short"},
		"key of another":                    {tokenRequest(ofKey("wordy", partnerKey)), same, ""},
		"key of another, Basic":             {basic(plain(), "wordy", partnerKey), same, ""},
		"key of another in the header":      {header(tokenRequest(with(clientCredentials, "client_id", "wordy")), "X-API-Key", partnerKey), same, ""},
		"other ids in Basic and form":       {basic(tokenRequest(with(clientCredentials, "client_id", "wordy")), "partner001", partnerKey), same, ""},
		"other ids, that of the key second": {basic(tokenRequest(with(clientCredentials, "client_id", "partner001")), "wordy", partnerKey), same, ""},
		"case of the id":                    {tokenRequest(ofKey("Partner001", partnerKey)), same, ""},
		"space behind the id":               {tokenRequest(ofKey("partner001 ", partnerKey)), same, ""},
		"stored key named like a client":    {tokenRequest(ofKey("deploy-bot", deployText)), same, ""},
		"the same in the header":            {header(plain(), "X-API-Key", deployText), same, ""},
		"secret for a signing client":       {tokenRequest(ofKey("deploy-bot", partnerKey)), same, ""},
		"secret for a client of federates":  {tokenRequest(ofKey("ci", partnerKey)), same, ""},
		"assertion of an unknown client":    {tokenRequest(with(clientCredentials, "client_id", "nobody", "client_assertion_type", assertionType, "client_assertion", "a.b.c")), same, ""},
		"assertion of an API key":           {tokenRequest(with(clientCredentials, "client_id", "partner001", "client_assertion_type", assertionType, "client_assertion", "a.b.c")), same, ""},
		"assertion of one without keys":     {tokenRequest(with(clientCredentials, "client_id", "ci", "client_assertion_type", assertionType, "client_assertion", "a.b.c")), same, "ci"},
		"assertion of another type":         {tokenRequest(with(clientCredentials, "client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer", "client_assertion", "a")), same, ""},
		"nothing":                           {plain(), noCredential.description, ""},
		"id alone":                          {tokenRequest(with(clientCredentials, "client_id", "partner001")), noCredential.description, ""},
		"empty secret":                      {tokenRequest(ofKey("partner001", "")), noCredential.description, ""},
		"secret without an id":              {tokenRequest(ofKey("", partnerKey)), noCredential.description, ""},
		"empty header of the key":           {header(plain(), "X-API-Key", ""), noCredential.description, ""},
		"empty secret, Basic":               {basic(plain(), "partner001", ""), badBasic.description, ""},
		"empty id, Basic":                   {basic(plain(), "", partnerKey), badBasic.description, ""},
		"Basic without a colon":             {header(plain(), "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(partnerKey))), badBasic.description, ""},
		"Basic with more behind it":         {header(plain(), "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("partner001:"+partnerKey+"=="))+"!"), badBasic.description, ""},
		"Basic in two parts":                {header(plain(), "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("partner001:"+partnerKey))+" x"), badBasic.description, ""},
		"Basic that is not base64":          {header(plain(), "Authorization", "Basic "+partnerKey), badBasic.description, ""},
		"Bearer":                            {header(plain(), "Authorization", "Bearer "+partnerKey), otherScheme.description, ""},
		"empty Authorization":               {header(plain(), "Authorization", ""), otherScheme.description, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			if got := w.refused(w.ask(c.r), 401, "invalid_client", partnerKey, unknownText, disabledText, expiredText, shortText, deployText, "nobody"); got != c.text {
				t.Errorf("the text is %q, want %q", got, c.text)
			}
			if e := w.event(); e.Client != c.id || e.Grant != "client_credentials" {
				t.Errorf("the event is %+v", e)
			}
		})
	}
}

func TestThreat67TwoWays(t *testing.T) {
	t.Parallel()
	set := func(r *http.Request, names ...string) *http.Request {
		for _, name := range names {
			switch name {
			case "Authorization":
				basic(r, "partner001", partnerKey)
			default:
				r.Header.Add("X-API-Key", partnerKey)
			}
		}
		return r
	}
	bearer := set(tokenRequest(clientCredentials), "X-API-Key")
	bearer.Header.Set("Authorization", "Bearer x")
	two := set(tokenRequest(clientCredentials), "Authorization")
	two.Header.Add("Authorization", two.Header.Get("Authorization"))
	assertion := []string{"client_assertion_type", assertionType, "client_assertion", "a.b.c"}
	for name, r := range map[string]*http.Request{
		"Basic and form":              set(tokenRequest(ofKey("partner001", partnerKey)), "Authorization"),
		"Basic and the header":        set(tokenRequest(clientCredentials), "Authorization", "X-API-Key"),
		"form and the header":         set(tokenRequest(ofKey("partner001", partnerKey)), "X-API-Key"),
		"Basic and an assertion":      set(tokenRequest(with(clientCredentials, assertion...)), "Authorization"),
		"form and an assertion":       tokenRequest(with(ofKey("partner001", partnerKey), assertion...)),
		"the header and an assertion": set(tokenRequest(with(clientCredentials, assertion...)), "X-API-Key"),
		"form and half an assertion":  tokenRequest(with(ofKey("partner001", partnerKey), assertion[:2]...)),
		"Bearer and the header":       bearer,
		"two keys":                    set(tokenRequest(clientCredentials), "X-API-Key", "X-API-Key"),
		"two Basic":                   two,
		"a type alone":                tokenRequest(with(clientCredentials, assertion[:2]...)),
		"an assertion alone":          tokenRequest(with(clientCredentials, assertion[2:]...)),
	} {
		w := newWorld(t, nil)
		t.Log(name)
		w.refused(w.ask(r), 400, "invalid_request", partnerKey)
	}
}

func TestAClientIsToldOfOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	for range 3 {
		w.ask(tokenRequest(ofKey("deploy-bot", deployText)))
	}
	if len(w.warnings) != 1 || w.warnings[0].Client != "deploy-bot" || w.warnings[0].Store != "partners" {
		t.Errorf("warnings: %+v", w.warnings)
	}
}

// TestBasicIsFormEncoded: RFC 6749 section 2.3.1. Clients that leave it out, as curl does,
// are understood too.
func TestBasicIsFormEncoded(t *testing.T) {
	t.Parallel()
	bare := tokenRequest(clientCredentials)
	bare.SetBasicAuth("wordy", wordyText)
	plus := tokenRequest(clientCredentials)
	plus.SetBasicAuth("plus", plusText)
	lower := basic(tokenRequest(clientCredentials), "wordy", wordyText)
	lower.Header.Set("Authorization", strings.Replace(lower.Header.Get("Authorization"), "Basic ", "bAsIc   ", 1))
	for name, r := range map[string]*http.Request{
		"encoded": basic(tokenRequest(clientCredentials), "wordy", wordyText), "not encoded": bare,
		"plus, encoded": basic(tokenRequest(clientCredentials), "plus", plusText), "plus, not encoded": plus, "case of the scheme": lower,
	} {
		if out := newWorld(t, nil).ask(r); out.Code != 200 {
			t.Errorf("%s: %d %s", name, out.Code, out.Body)
		}
	}
}

// awayStore is a store of API keys that is not available.
type awayStore struct{ apikey.Stored }

func (awayStore) Unavailable(context.Context, time.Time) bool { return true }

func TestWhatIsNotAvailable(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Config){
		"a store": func(c *Config) { c.APIKeys[0].Keys.Stores = []apikey.Stored{awayStore{}} },
		"another store": func(c *Config) {
			c.APIKeys = append(c.APIKeys, KeyClients{Keys: &apikey.Lookup{Stores: []apikey.Stored{awayStore{}}}})
		},
		"the rules":        func(c *Config) { c.Rules = &fakeRules{unknown: true} },
		"no rules at all":  func(c *Config) { c.Rules = nil },
		"the signing keys": func(c *Config) { c.Keys = signingKeys{err: ErrKeysUnavailable} },
	} {
		w := newWorld(t, change)
		t.Log(name)
		w.refused(w.ask(tokenRequest(ofKey("partner001", partnerKey))), 503, "temporarily_unavailable", partnerKey)
		if name == "the signing keys" {
			continue
		}
		// The same for one that is unknown: it may be one.
		w.refused(w.ask(tokenRequest(ofKey("partner001", unknownText))), 503, "temporarily_unavailable")
	}
}

func TestAKeyInSeveralPlacesMustBeValidInEach(t *testing.T) {
	t.Parallel()
	set := func(id, text string, disabled bool) KeyClients {
		s, err := apikey.NewSet([]apikey.Record{{ID: id, Hash: apikey.DigestOf(text), Disabled: disabled}})
		if err != nil {
			t.Fatal(err)
		}
		return KeyClients{Name: "second", Keys: &apikey.Lookup{Written: s}}
	}
	for _, c := range []struct {
		more   KeyClients
		id     string
		status int
	}{
		{set("partner-b", partnerKey, false), "partner001", 200},
		{set("partner-b", partnerKey, false), "partner-b", 200},
		{set("partner-b", partnerKey, false), "partner-c", 401},
		{set("partner-b", partnerKey, true), "partner001", 401},
		{set("partner-b", partnerKey, true), "partner-b", 401},
	} {
		for _, first := range []bool{true, false} {
			w := newWorld(t, func(config *Config) {
				if config.APIKeys = append(config.APIKeys, c.more); first {
					config.APIKeys[0], config.APIKeys[1] = config.APIKeys[1], config.APIKeys[0]
				}
			})
			if out := w.ask(tokenRequest(ofKey(c.id, partnerKey))); out.Code != c.status {
				t.Errorf("%s, in front %t: %d %s", c.id, first, out.Code, out.Body)
			} else if out.Code == 200 {
				if _, body := w.token(out); text(body, "sub") != c.id {
					t.Errorf("%s: %v", c.id, text(body, "sub"))
				}
			}
		}
	}
}

// TestThreat63RevokedInAnyPlace: a rule may be about any of the ids that a key has, wherever it
// is.
func TestThreat63RevokedInAnyPlace(t *testing.T) {
	t.Parallel()
	named := func(id string) *apikey.Set {
		s, err := apikey.NewSet([]apikey.Record{{ID: id, Hash: apikey.DigestOf(partnerKey)}})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	both := newStore("both", map[string]apikey.Standing{"in-both": apikey.StandingValid})
	both.byText = named("in-both")
	alone := newStore("alone", map[string]apikey.Standing{"in-alone": apikey.StandingValid})
	alone.byText = named("in-alone")
	for name, c := range map[string]struct {
		rule   revocation.Rule
		status int
	}{
		"none":                        {revocation.Rule{Kind: revocation.KindKey, Value: "other"}, 200},
		"the first":                   {revocation.Rule{Kind: revocation.KindKey, Value: "partner001"}, 401},
		"the store beside it":         {revocation.Rule{Kind: revocation.KindKey, Value: "in-both"}, 401},
		"the place of its own":        {revocation.Rule{Kind: revocation.KindKey, Value: "in-alone"}, 401},
		"a third place":               {revocation.Rule{Kind: revocation.KindKey, Value: "in-written"}, 401},
		"of another id in both":       {revocation.Rule{Kind: revocation.KindKey, Value: "in-alone", Store: "both"}, 200},
		"a client that is the second": {revocation.Rule{Kind: revocation.KindClient, Value: "in-alone"}, 200},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(config *Config) {
				config.APIKeys[0].Keys.Stores = []apikey.Stored{both}
				config.APIKeys = append(config.APIKeys,
					KeyClients{Name: "alone", Keys: &apikey.Lookup{Stores: []apikey.Stored{alone}}},
					KeyClients{Name: "written", Keys: &apikey.Lookup{Written: named("in-written")}})
			})
			w.rules.rules = []revocation.Rule{c.rule}
			// Without an id the first is meant.
			r := tokenRequest(clientCredentials)
			r.Header.Set("X-API-Key", partnerKey)
			for _, r := range []*http.Request{r, tokenRequest(ofKey("partner001", partnerKey))} {
				out := w.ask(r)
				if out.Code != c.status {
					t.Fatalf("%d %s, want %d", out.Code, out.Body, c.status)
				}
				if out.Code == 200 {
					if _, body := w.token(out); text(body, "sub") != "partner001" {
						t.Errorf("it is %s", text(body, "sub"))
					}
				}
			}
		})
	}
}

// TestThreat63IDsOfAnother: the tokens of a key whose id another key has would live and die
// with that one.
func TestThreat63IDsOfAnother(t *testing.T) {
	t.Parallel()
	second, err := apikey.NewSet([]apikey.Record{{ID: "partner001", Hash: apikey.DigestOf(unknownText)}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, func(c *Config) {
		c.APIKeys = append(c.APIKeys, KeyClients{Name: "second", Keys: &apikey.Lookup{Written: second}})
	})
	w.refused(w.ask(tokenRequest(ofKey("partner001", unknownText))), 401, "invalid_client")
	if len(w.warnings) != 1 || w.warnings[0].Client != "partner001" {
		t.Errorf("warnings: %+v", w.warnings)
	}
	w.token(w.ask(tokenRequest(ofKey("partner001", partnerKey))))
}

func TestThreat63RevokedClientsGetNoToken(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		rule revocation.Rule
		code string
	}{
		"key":                       {revocation.Rule{Kind: revocation.KindKey, Value: "partner001"}, "invalid_client"},
		"key of another store":      {revocation.Rule{Kind: revocation.KindKey, Value: "partner001", Store: "x"}, ""},
		"another key":               {revocation.Rule{Kind: revocation.KindKey, Value: "wordy"}, ""},
		"client":                    {revocation.Rule{Kind: revocation.KindClient, Value: "partner001"}, "invalid_client"},
		"client of this issuer":     {revocation.Rule{Kind: revocation.KindClient, Value: "partner001", Issuer: testIssuer}, "invalid_client"},
		"client of another":         {revocation.Rule{Kind: revocation.KindClient, Value: "partner001", Issuer: "https://x.example"}, ""},
		"subject":                   {revocation.Rule{Kind: revocation.KindSub, Value: "partner001"}, "invalid_client"},
		"issuer":                    {revocation.Rule{Kind: revocation.KindIssuer, Value: testIssuer}, "invalid_client"},
		"client, before an hour":    {revocation.Rule{Kind: revocation.KindClient, Value: "partner001", NotBefore: noon.Add(-time.Hour)}, ""},
		"client, for another hour":  {revocation.Rule{Kind: revocation.KindClient, Value: "partner001", NotBefore: noon.Add(time.Hour)}, "invalid_client"},
		"client, until an hour ago": {revocation.Rule{Kind: revocation.KindClient, Value: "partner001", End: noon.Add(-time.Hour)}, ""},
		"signing key":               {revocation.Rule{Kind: revocation.KindKid, Value: signers()[serviceAlgorithm].ID(), Issuer: testIssuer}, "temporarily_unavailable"},
	} {
		w := newWorld(t, nil)
		w.rules.rules = []revocation.Rule{c.rule}
		out := w.ask(tokenRequest(ofKey("partner001", partnerKey)))
		t.Log(name)
		switch c.code {
		case "":
			w.token(out)
		case "invalid_client":
			w.refused(out, 401, c.code)
		default:
			w.refused(out, 503, c.code)
		}
	}
}

// countingStore counts how often it is asked, by what.
type countingStore struct {
	apikey.Stored // nil: what else is asked panics
	found         apikey.Key
	code          reason.Code
	finds, awaits int
}

func (*countingStore) Unavailable(context.Context, time.Time) bool { return false }
func (*countingStore) Name() string                                { return "counting" }
func (c *countingStore) AwaitNews(context.Context, string) bool    { c.awaits++; return false }
func (c *countingStore) Find(apikey.Digest, time.Time) (apikey.Key, reason.Code) {
	c.finds++
	return c.found, c.code
}

// TestRefusedKeysTakeTheSameTime: the same is asked for unknown clients, wrong secrets, and
// keys that are disabled or have expired.
func TestRefusedKeysTakeTheSameTime(t *testing.T) {
	t.Parallel()
	set, err := apikey.NewSet(testRecords())
	if err != nil {
		t.Fatal(err)
	}
	held, _ := set.Find(apikey.DigestOf(disabledText))
	for _, id := range []string{"nobody", "partner001", "disabled", "deploy-bot", "ci"} {
		for _, code := range []reason.Code{reason.UnknownAPIKey, reason.APIKeyDisabled, reason.APIKeyExpired} {
			store := &countingStore{found: held, code: code}
			w := newWorld(t, func(c *Config) {
				c.APIKeys = append(c.APIKeys, KeyClients{Name: "counting", Keys: &apikey.Lookup{Stores: []apikey.Stored{store}}})
			})
			w.refused(w.ask(tokenRequest(ofKey(id, unknownText))), 401, "invalid_client")
			if store.finds != 1 || store.awaits != 1 {
				t.Errorf("%s, %s: %d look-ups, %d waits", id, code, store.finds, store.awaits)
			}
		}
	}
}

// A key that is only ever a client is in use too: keys that are not are listed, and disabled.
func TestAKeyIsUsedByItsClient(t *testing.T) {
	t.Parallel()
	var used []string
	w := newWorld(t, func(c *Config) {
		c.Used = func(k apikey.Key, now time.Time) { used = append(used, k.ID()+" "+now.Format(time.TimeOnly)) }
	})
	w.token(w.ask(tokenRequest(ofKey("partner001", partnerKey))))
	w.clock.Advance(time.Second)
	w.token(w.ask(tokenRequest(ofKey("partner001", partnerKey))))
	if want := []string{"partner001 12:00:00", "partner001 12:00:01"}; !slices.Equal(used, want) {
		t.Errorf("%q, not %q", used, want)
	}
	used = nil
	w.refused(w.ask(tokenRequest(ofKey("expiring", partnerKey))), 401, "invalid_client")
	w.rules.rules = []revocation.Rule{{Kind: revocation.KindClient, Value: "partner001"}}
	w.refused(w.ask(tokenRequest(ofKey("partner001", partnerKey))), 401, "invalid_client")
	w.token(w.ask(tokenRequest(ofAssertion(signed(t, signers()[key.ES256], assertionHeader(), assertionBody())))))
	if len(used) > 0 {
		t.Errorf("%q by clients that are refused, or that sign", used)
	}
}
