package caddyjwt

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestForward(t *testing.T) {
	t.Parallel()
	token := map[string]any{
		"scope": "read write", "email": "ann@corp.example", "n": json.Number("12345678901234567890"), "yes": true, "no": false, "f": json.Number("1.50"),
		"roles": []string{"admin", "user"}, "mixed": []any{1, true, "x"}, "realm": map[string]any{"roles": []string{"a"}, "level": 3},
		"null": json.RawMessage("null"), "empty": "", "none": []any{}, "object": map[string]any{}, "name": "Ann \"Ü\" 李", "user": "not the sub", "names": []string{"Cem Özdemir", "\U0001f511\u007f"},
		"https://x.example/t": "acme", "space": "a b", "zero": 0, "nulls": []any{nil}, "objects": []any{map[string]any{"a": 1}},
	}
	for line, want := range map[string]string{
		"user": "alice", "issuer": "https://issuer.example/", "scopes": "read write", "auth_method": "jwt", "key_id": "-", "email": "ann@corp.example",
		"n": "12345678901234567890", "yes": "true", "no": "false", "f": "1.50", "roles": "admin,user", "roles.1": "user", "mixed": "1,true,x", "zero": "0",
		"realm.roles": "a", "realm": `{"level":3,"roles":["a"]}`, "null": "-", "empty": "-", "none": "-", "absent": "-", "object": "{}", "name": "Ann \"Ü\" 李",
		"https://x.example/t": "acme", "space": "a b", "sub": "alice", "nulls": "-", "objects": `{"a":1}`,
		"user json": `"alice"`, "scopes json": `["read","write"]`, "n json": "12345678901234567890", "yes json": "true", "f json": "1.50", "roles json": `["admin","user"]`,
		"mixed json": `[1,true,"x"]`, "realm json": `{"level":3,"roles":["a"]}`, "null json": "-", "absent json": "-", "empty json": `""`, "none json": "[]", "nulls json": "[null]",
		"name json": `"Ann \"\u00dc\" \u674e"`, "names json": `["Cem \u00d6zdemir","\ud83d\udd11\u007f"]`,
		"auth_method json": `"jwt"`, "issuer json": `"https://issuer.example/"`, "space json": `"a b"`,
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			what, mode, _ := strings.Cut(line, " ")
			s := newSite(t, "forward "+what+" x-VALUE "+mode)
			r := bearer(signed(t, token))
			r.Header.Set("X-Value", "forged")
			res := serve(t, r, nil, s.Handler)
			if res.next == nil {
				t.Fatalf("refused: %s", res.reason())
			}
			got := res.next.Header["X-Value"]
			if want == "-" && got != nil || want != "-" && (len(got) != 1 || got[0] != want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func TestForwardOfAnAPIKey(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"user": "key:corp", "issuer": "-", "scopes": "a b", "scopes json": `["a","b"]`, "auth_method": "api_key", "key_id": "partner", "sub": "corp",
		"meta.plan": "gold", "meta.nope": "-", "meta json": `{"plan":"gold","trick":"{env.HOME}"}`, "meta.trick": "{env.HOME}", "issuer json": `""`,
	} {
		s, ask := keySite(t, "scopes a b\nmeta plan gold\nmeta trick {env.HOME}", "api_key_user_prefix key:\nforward "+strings.Replace(line, " ", " X-Value ", 1)+map[bool]string{true: "", false: " X-Value"}[strings.Contains(line, " ")])
		res := serve(t, ask(), nil, s.Handler)
		if res.next == nil {
			t.Errorf("%s: refused: %s", line, res.reason())
			continue
		}
		if got := res.next.Header["X-Value"]; want == "-" && got != nil || want != "-" && (len(got) != 1 || got[0] != want) {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	t.Run("without scopes", func(t *testing.T) {
		s, ask := keySite(t, "", "forward scopes X-Scopes\nforward scopes X-List json")
		res := serve(t, ask(), nil, s.Handler)
		if res.next == nil || res.next.Header["X-Scopes"] != nil || res.next.Header.Get("X-List") != "[]" {
			t.Errorf("%s %v", res.reason(), res.next.Header)
		}
	})
}

func TestForwardPayload(t *testing.T) {
	t.Parallel()
	s := newSite(t, "forward_payload X-JWT-Payload\nforward user X-User")
	token := signed(t, map[string]any{"n": json.Number("1.0"), "name": "Ü\r\n", "trick": "{env.HOME}"})
	r := bearer(token)
	r.Header["X-Jwt-Payload"] = []string{"forged", "twice"}
	res := serve(t, r, nil, s.Handler)
	if res.next == nil {
		t.Fatal(res.reason())
	}
	payload, err := base64.RawURLEncoding.DecodeString(res.next.Header.Get("X-JWT-Payload"))
	if err != nil || len(res.next.Header["X-Jwt-Payload"]) != 1 {
		t.Fatal(err, res.next.Header)
	}
	want, _ := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	var a, b map[string]any
	if json.Unmarshal(payload, &a) != nil || json.Unmarshal(want, &b) != nil || len(a) != len(b) || a["name"] != "Ü\r\n" || !strings.Contains(string(payload), `"n":1.0`) || !strings.Contains(string(payload), "{env.HOME}") {
		t.Errorf("%s, want %s", payload, want)
	}
	if res.next.Header.Get("X-User") != "alice" {
		t.Errorf("%v", res.next.Header)
	}
}

func TestThreat24_ClaimsThatAHeaderCanNotHold(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 8<<10)
	for name, c := range map[string]struct {
		claim    any
		want     string // empty for a refusal
		wantJSON string // what json writes
	}{
		"CR LF":                     {"a\r\nX-Admin: yes", "", `"a\r\nX-Admin: yes"`},
		"CR":                        {"a\rb", "", `"a\rb"`},
		"LF":                        {"a\nb", "", `"a\nb"`},
		"LF at the end":             {"a\n", "", `"a\n"`},
		"NUL":                       {"a\x00b", "", `"a\u0000b"`},
		"DEL":                       {"a\x7fb", "", `"a\u007fb"`},
		"tab":                       {"a\tb", "", `"a\tb"`},
		"a space in front":          {" a", "", `" a"`},
		"a space behind":            {"a ", "", `"a "`},
		"a space alone":             {" ", "", `" "`},
		"a space within":            {"a b", "a b", `"a b"`},
		"8 KiB":                     {long, long, `"` + long + `"`},
		"not ASCII":                 {"Ünïcödé 李 🎉", "Ünïcödé 李 🎉", `"\u00dcn\u00efc\u00f6d\u00e9 \u674e \ud83c\udf89"`},
		"not ASCII, with a control": {"é\x7f", "", `"\u00e9\u007f"`},
		"not ASCII in a list":       {[]string{"ä", "b"}, "ä,b", `["\u00e4","b"]`},
		"a comma":                   {"a,b", "a,b", `"a,b"`},
		"an element with a comma":   {[]string{"a,b"}, "", `["a,b"]`},
		"one of them has a comma":   {[]string{"a", "b,c"}, "", `["a","b,c"]`},
		"an element with CR LF":     {[]string{"a", "b\r\n"}, "", `["a","b\r\n"]`},
		"a space before one":        {[]string{"a", " b"}, "", `["a"," b"]`},
		"a space behind one":        {[]string{"a ", "b"}, "", `["a ","b"]`},
		"a space within one":        {[]string{"a b", "c"}, "a b,c", `["a b","c"]`},
		"a list in a list":          {[]any{[]string{"a", "b"}}, "", `[["a","b"]]`},
		"an object in a list":       {[]any{map[string]any{"a": 1, "b": 2}}, "", `[{"a":1,"b":2}]`},
		"an object":                 {map[string]any{"a": "x\r\n"}, `{"a":"x\r\n"}`, `{"a":"x\r\n"}`},
		"a name with CR LF":         {map[string]any{"a\r\n": 1}, `{"a\r\n":1}`, `{"a\r\n":1}`},
		"an object with DEL in it":  {map[string]any{"a": "\x7f"}, `{"a":"\u007f"}`, `{"a":"\u007f"}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			token := signed(t, map[string]any{"c": c.claim})
			plain, asJSON := newSite(t, "forward user X-User\nforward c X-C"), newSite(t, "forward user X-User\nforward c X-C json")
			r := bearer(token)
			r.Header.Set("X-C", "forged")
			res := serve(t, r, nil, plain.Handler)
			if c.want == "" {
				if res.next != nil || res.Code != 403 || res.reason() != "unforwardable_claim" || res.placeholder("{http.auth.user.id}") != "" {
					t.Errorf("%d %s %v", res.Code, res.reason(), res.next)
				}
				if got := res.Header().Get("WWW-Authenticate"); got != `Bearer realm="restricted"` {
					t.Error(got)
				}
			} else if res.next == nil || res.next.Header.Get("X-C") != c.want {
				t.Errorf("plain: %s %v", res.reason(), res.next)
			}
			res = serve(t, bearer(token), nil, asJSON.Handler)
			if res.next == nil || res.next.Header.Get("X-C") != c.wantJSON {
				t.Errorf("json: %s %v", res.reason(), res.next)
			}
		})
	}
	t.Run("of the user", func(t *testing.T) {
		s := newSite(t, "forward user X-User\nforward email X-Email")
		if res := serve(t, bearer(signed(t, map[string]any{"sub": "a\r\nb", "email": "x"})), nil, s.Handler); res.next != nil || res.reason() != "unforwardable_claim" {
			t.Error(res.reason())
		}
	})
	t.Run("of an API key", func(t *testing.T) {
		s, ask := keySite(t, "meta note \"a  \"", "forward meta.note X-Note")
		if res := serve(t, ask(), nil, s.Handler); res.next != nil || res.reason() != "unforwardable_claim" {
			t.Error(res.reason())
		}
	})
}

func TestThreat25_ForwardedClaimsAreNotExpanded(t *testing.T) {
	t.Parallel()
	const trick = "{env.HOME}{file./etc/passwd}{http.request.host}"
	s := newSite(t, "forward user X-User\nforward c X-C\nforward list X-List\nforward c X-Json json")
	res := serve(t, bearer(signed(t, map[string]any{"sub": trick, "c": trick, "list": []string{trick, trick}})), nil, s.Handler)
	if res.next == nil {
		t.Fatal(res.reason())
	}
	for header, want := range map[string]string{"X-User": trick, "X-C": trick, "X-List": trick + "," + trick, "X-Json": `"` + trick + `"`} {
		if got := res.next.Header.Get(header); got != want {
			t.Errorf("%s: %s", header, got)
		}
	}
}

// TestForwardLeavesTheRestAlone checks that other headers are unchanged.
func TestForwardLeavesTheRestAlone(t *testing.T) {
	t.Parallel()
	s := newSite(t, "forward user X-User\nclear X-Role")
	r := bearer(signed(t, nil))
	for name, values := range map[string][]string{"X-Users": {"a"}, "X-Use": {"b"}, "User": {"c"}, "X-User-Agent": {"d"}, "XUser": {"e"}, "Accept": {"f", "g"}, "X--User": {"h"}, "X-Ŭser": {"i"}} {
		r.Header[name] = values
	}
	res := serve(t, r, nil, s.Handler)
	if len(res.next.Header) != 9 || len(res.next.Header["Accept"]) != 2 || res.next.Header.Get("X-User") != "alice" {
		t.Errorf("%v", res.next.Header)
	}
	if res := serve(t, bearer(signed(t, nil)), nil, s.Handler); !equalHeaders(res.next.Header, http.Header{"X-User": {"alice"}}) {
		t.Errorf("%v", res.next.Header)
	}
}

func equalHeaders(a, b http.Header) bool { return sprint(a) == sprint(b) }

// TestForwardOfAUserInJSON: the user is ASCII in JSON too, wherever the text is from.
func TestForwardOfAUserInJSON(t *testing.T) {
	t.Parallel()
	s := newSite(t, "forward user X-User json")
	res := serve(t, bearer(signed(t, map[string]any{"sub": "Cem Özdemir"})), nil, s.Handler)
	if res.next == nil || res.next.Header.Get("X-User") != `"Cem \u00d6zdemir"` {
		t.Errorf("%d %s", res.Code, res.reason())
	}
}
