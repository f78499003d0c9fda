package caddyjwt

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// handmade signs a header and claims that are written by hand.
func handmade(t testing.TB, header, claims string) string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(header)) + "." + encode([]byte(claims))
	signature, err := jwt.SigningMethodES256.Sign(text, signer())
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + encode(signature)
}

// TestDetailsAreInTheWordsOfTheTable: for each detail that a token can cause, the line of the
// refusal, the access log and the placeholder have the words of the table of package reason,
// whose remedy they then get.
func TestDetailsAreInTheWordsOfTheTable(t *testing.T) {
	t.Parallel()
	const header = `{"alg":"ES256"}`
	claims := fmt.Sprintf(`{"iss":"https://issuer.example/","aud":"https://api.example","sub":"alice","exp":%d,"iat":1}`, time.Now().Add(time.Hour).Unix())
	instead := func(old, new string) string {
		t.Helper()
		if !strings.Contains(claims, old) {
			t.Fatalf("no %s", old)
		}
		return handmade(t, header, strings.Replace(claims, old, new, 1))
	}
	good := handmade(t, header, claims)
	key, _ := apikey.New("test")
	part := strings.Split(good, ".")

	pair, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// A key set with two keys that have a kid.
	set := map[string]any{"keys": []any{jwkOf(t, "a", &signer().PublicKey), jwkOf(t, "b", &pair.PublicKey)}}
	text, err := json.Marshal(set)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const tenant = "11111111-2222-3333-4444-555555555555"
	set["keys"].([]any)[0].(map[string]any)["issuer"] = "https://login.example/" + tenant + "/"
	if text, err = json.Marshal(set); err != nil {
		t.Fatal(err)
	}
	entra := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(entra, text, 0o600); err != nil {
		t.Fatal(err)
	}
	ofTenant := func(iss, tid string) string {
		return instead(`"iss":"https://issuer.example/"`, `"iss":"https://login.example/`+iss+`/","tid":"`+tid+`"`)
	}
	tenants := "issuer https://login.example/{tid}/ {\njwks_file " + entra + "\naudience https://api.example\ntenants " + tenant + "\n}\n"
	issuer := func(options string) string {
		return "issuer https://issuer.example/ {\njwks_file " + file + "\naudience https://api.example\n" + options + "\n}\n"
	}

	const theirs = opaqueText
	asked := func(answer string) string { return introspecting(t, answer) + "}\n" }
	never := func(answer string) string { return introspecting(t, answer) + "allow_no_expiry\n}\n" }

	seen := map[string]bool{}
	for _, c := range []struct{ id, token, options string }{
		{"not_a_jwt", "opaque", ""},
		{"four_parts", good + ".x", ""},
		{"encrypted", good + ".x.y", ""},
		{"header_encoding", part[0] + "=." + part[1] + "." + part[2], ""},
		{"claims_encoding", part[0] + "." + part[1] + "=." + part[2], ""},
		{"signature_encoding", part[0] + "." + part[1] + ".", ""},
		{"too_large", good + strings.Repeat("A", 17_000), ""},
		{"json_syntax", handmade(t, header, "[]"), ""},
		{"json_syntax", handmade(t, "[]", claims), ""},
		{"json_utf8", instead("alice", "M\xfcller"), ""},
		{"json_duplicate", instead(`"sub"`, `"sub":"bob","sub"`), ""},
		{"json_depth", instead(`"alice"`, strings.Repeat("[", 40)+strings.Repeat("]", 40)), ""},
		{"json_values", instead(`"alice"`, "["+strings.Repeat("0,", 2100)+"0]"), ""},
		{"alg_missing", handmade(t, `{}`, claims), ""},
		{"typ_empty", handmade(t, `{"alg":"ES256","typ":""}`, claims), ""},
		{"not_text", handmade(t, `{"alg":"ES256","kid":7}`, claims), ""},
		{"not_text", instead(`"https://issuer.example/"`, "7"), ""},
		{"not_time", instead(`"iat":1`, `"iat":"1"`), ""},
		{"nested", handmade(t, `{"alg":"ES256","cty":"JWT"}`, claims), ""},
		{"unencoded", handmade(t, `{"alg":"ES256","b64":false}`, claims), ""},
		{"critical", handmade(t, `{"alg":"ES256","crit":["x"]}`, claims), ""},
		{"enc", handmade(t, `{"alg":"ES256","enc":"A128GCM"}`, claims), ""},
		{"bound", instead(`"iat"`, `"cnf":{"jkt":"x"},"iat"`), ""},
		{"iss_missing", instead(`"iss":"https://issuer.example/",`, ""), ""},
		{"tid_missing", ofTenant(tenant, ""), tenants},
		{"tid_of_other", ofTenant("other", tenant), tenants},
		{"tenant_not_listed", ofTenant("22222222-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555"), tenants},
		{"key_of_other", handmade(t, `{"alg":"ES256","kid":"a"}`, claims), strings.Replace(issuer(""), file, entra, 1)},
		{"alg_unknown", handmade(t, `{"alg":"none"}`, claims), ""},
		{"alg_not_in_list", handmade(t, `{"alg":"HS256"}`, claims), ""},
		{"alg_of_other_key", handmade(t, `{"alg":"ES384","kid":"a"}`, claims), issuer("")},
		{"kid_unknown", handmade(t, `{"alg":"ES256","kid":"z"}`, claims), issuer("")},
		{"too_many_keys", good, issuer("kidless_keys 1")},
		{"exp_missing", instead(`"exp"`, `"e"`), ""},
		{"aud_missing", instead(`"aud"`, `"a"`), ""},
		{"aud_type", instead(`"https://api.example"`, `7`), ""},
		{"user_missing", instead(`"alice"`, `""`), ""},
		{"opaque_form", "opaque", asked("{}")},
		{"key_as_token", key, asked("{}")},
		{"only_opaque", good, asked("{}")},
		{"answer_member", theirs, asked(`{"active":true,"token_type":"Bearer","exp":"1"}`)},
		{"answer_iss", theirs, asked(`{"active":true,"token_type":"Bearer","iss":"https://other.example/"}`)},
		{"answer_kind", theirs, never(`{"active":true,"aud":"https://api.example","token_type":"refresh_token"}`)},
		{"answer_no_kind", theirs, never(`{"active":true,"aud":"https://api.example"}`)},
		{"answer_no_exp", theirs, asked(`{"active":true,"token_type":"Bearer"}`)},
		{"answer_no_aud", theirs, asked(`{"active":true,"token_type":"Bearer","exp":4000000000}`)},
	} {
		seen[c.id] = true
		make := func(options string) *site {
			if c.options != "" {
				return makeSite(t, c.options+options)
			}
			return newSite(t, options)
		}
		for _, mode := range []string{"", "mode report"} {
			s := make(mode)
			logging := &caddyhttp.Server{Logs: new(caddyhttp.ServerLogConfig)}
			res := serve(t, bearer(c.token), logging, s.Handler)
			lines := s.logs.TakeAll()
			if len(lines) != 1 {
				t.Errorf("%s: %d lines", c.id, len(lines))
				continue
			}
			detail, _ := lines[0].ContextMap()["detail"].(string)
			code, _ := lines[0].ContextMap()["reason"].(string)
			if e, ok := reason.Describe(reason.Code(code), detail); !ok || e.ID != c.id {
				t.Errorf("%s: the line has %s %q, which is %q in the table", c.id, code, detail, e.ID)
			}
			if got := res.placeholder("{http.jwt.detail}"); got != detail {
				t.Errorf("%s: {http.jwt.detail} is %q, want %q", c.id, got, detail)
			}
			if got := accessLog(t, bearer(c.token), logging, s.Handler)["jwt_detail"]; got != detail {
				t.Errorf("%s: jwt_detail is %q, want %q", c.id, got, detail)
			}
		}
	}
	// A config can't say the first; the others take a state that servers share, and its own
	// tests have them.
	elsewhere := []string{"exp_missing_lifetime", "api_key_revoked", "signing_keys_unavailable"}
	// No token has these, but messages: the tests of internal/mcp have them.
	messages := []reason.Code{reason.MalformedMessage, reason.HeaderMismatch, reason.MethodNotAllowed, reason.UnsupportedMediaType}
	for _, e := range reason.Details() {
		if slices.Contains(messages, e.Code) {
			continue
		}
		if seen[e.ID] == slices.Contains(elsewhere, e.ID) {
			t.Errorf("no token here has the detail %s", e.ID)
		}
	}
}

// jwkOf returns a public key as a JWK.
func jwkOf(t testing.TB, kid string, k *ecdsa.PublicKey) map[string]any {
	t.Helper()
	point, err := k.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return map[string]any{"kty": "EC", "crv": "P-256", "kid": kid, "x": encode(point[1:33]), "y": encode(point[33:])}
}

// TestRemediesNameWhatThereIs: an option in a remedy, or in a detail, is one of a Caddyfile,
// with a few words of others.
func TestRemediesNameWhatThereIs(t *testing.T) {
	t.Parallel()
	options := []string{
		"client_id",                                              // a claim
		"token_type", "token_use", "token_usage", "access_token", // members of answers
		"max_header_size",       // an option of Caddy
		"max_stale", "on_stale", // options of state, in another table
	}
	for _, list := range OptionNames {
		options = append(options, list...)
	}
	for _, code := range reason.All {
		options = append(options, string(code))
	}
	var texts []string
	for _, code := range reason.All {
		e, _ := reason.Describe(code, "")
		texts = append(texts, e.Meaning, e.Remedy)
	}
	for _, e := range reason.Details() {
		texts = append(texts, e.Text, e.Meaning, e.Remedy)
	}
	named := 0
	for _, text := range texts {
		for _, name := range regexp.MustCompile(`\b[a-z]+(?:_[a-z]+)+\b`).FindAllString(text, -1) {
			named++
			if !slices.Contains(options, name) {
				t.Errorf("there is no option %s: %s", name, text)
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d options are named", named)
	}
}

// TestGuides_EveryReasonHasASection of the guide from reason to remedy.
func TestGuides_EveryReasonHasASection(t *testing.T) {
	t.Parallel()
	var titles []string
	for _, m := range regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatch(docRead(t, "docs/guides/from-reason-to-remedy.md"), -1) {
		titles = append(titles, strings.Split(m[1], ", ")...)
	}
	for _, code := range reason.All {
		if !slices.Contains(titles, string(code)) {
			t.Errorf("%s has no section", code)
		}
	}
	for _, title := range titles {
		if !slices.Contains(reason.All, reason.Code(title)) {
			t.Errorf("there is a section for %s, which is no reason", title)
		}
	}
}
