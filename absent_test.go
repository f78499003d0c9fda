package caddyjwt

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// A site must not be opened by what is missing: a variable that is not set, an empty
// list, a null. These tests leave out or empty each option in turn.

// TestAbsent_ArgumentsThatAreNotSet checks that an option whose only value is a variable
// that is not set is an error, but for those that have no value.
func TestAbsent_ArgumentsThatAreNotSet(t *testing.T) {
	t.Parallel()
	const site = "jwt https://auth.example.com/ https://api.example.com {\n"
	read := func(text string) error {
		return new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
	}
	flags := []string{"keep_credentials", "optional", "allow_preflight", "allow_no_expiry", "allow_bound_tokens", "insecure_http", "ignore_kid", "log_credentials_filtered", "mcp"}
	for _, o := range handlerOptions() {
		if err := read(site + o.name + " {$CADDY_JWT_NOT_SET}\n}"); (err == nil) != slices.Contains(flags, o.name) {
			t.Errorf("%s: %v", o.name, err)
		}
		if err := read(site + o.name + ` "{$CADDY_JWT_NOT_SET}"` + "\n}"); err == nil {
			t.Errorf("%s with an empty value is accepted", o.name)
		}
	}
	for _, o := range issuerOptions() {
		line := "jwt {\nissuer https://auth.example.com/ {\naudience https://api.example.com\n"
		if o.name == "audience" {
			line = "jwt {\nissuer https://auth.example.com/ {\n"
		}
		err := read(line + o.name + " {$CADDY_JWT_NOT_SET}\n}\n}")
		// discovery alone says what is the default anyway.
		if (err == nil) != (slices.Contains(flags, o.name) || o.name == "discovery") {
			t.Errorf("issuer, %s: %v", o.name, err)
		}
		if err := read(line + o.name + ` "{$CADDY_JWT_NOT_SET}"` + "\n}\n}"); err == nil {
			t.Errorf("issuer, %s with an empty value is accepted", o.name)
		}
	}
	for _, o := range apiKeyOptions() {
		line := "jwt {\napi_key partner sha256:" + strings.Repeat("a", 64) + " {\n" + o.name + " "
		for _, value := range []string{"{$CADDY_JWT_NOT_SET}", `"{$CADDY_JWT_NOT_SET}"`} {
			if err := read(line + value + "\n}\n}"); err == nil {
				t.Errorf("api_key, %s %s is accepted", o.name, value)
			}
		}
	}
	for _, text := range []string{
		"jwt {$CADDY_JWT_NOT_SET} {$CADDY_JWT_NOT_SET} {\nclear X-User\n}", "jwt {$CADDY_JWT_NOT_SET}", "jwt * {$CADDY_JWT_NOT_SET} {\nclear X-User\n}",
		"jwt {\napi_keys {$CADDY_JWT_NOT_SET}\n}", "jwt {\nissuer {$CADDY_JWT_NOT_SET} {\naudience a\n}\n}", "jwt {\nmode clear\nclear {$CADDY_JWT_NOT_SET}\n}",
		"jwt {$CADDY_JWT_NOT_SET} {\nforward user X-User\n}", "jwt {$CADDY_JWT_NOT_SET} {\nmode {$CADDY_JWT_NOT_SET}\nclear X-User\n}",
	} {
		if err := read(text); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

// TestAbsent_JSON sets each field to what is empty, or leaves it out, and checks that a
// handler that still loads refuses everybody whom the whole one refuses.
func TestAbsent_JSON(t *testing.T) {
	t.Parallel()
	whole := map[string]any{
		"issuer":   []any{map[string]any{"iss": "https://issuer.example/", "public_key": []string{publicPEM(t, signer().Public())}, "audience": []string{"https://api.example"}, "algorithms": []string{"ES256"}}},
		"audience": []string{"https://api.example"}, "require": []any{map[string]any{"scope": []string{"read"}}},
		"forward": []any{map[string]any{"what": "user", "header": "X-User"}}, "clear": []string{"X-Role"}, "mode": "enforce",
	}
	refused := map[string]*http.Request{
		"nobody": httptest.NewRequest("GET", "/", nil), "garbage": bearer("x.y.z"),
		"another audience": bearer(signed(t, map[string]any{"aud": "other", "scope": "read"})), "expired": bearer(signed(t, map[string]any{"exp": 1, "scope": "read"})),
		"another issuer": bearer(signed(t, map[string]any{"iss": "https://other.example/", "scope": "read"})),
	}
	empty := []any{nil, "", []any{}, map[string]any{}, false, 0, []any{nil}, []any{""}, []any{map[string]any{}}}
	loaded := 0
	try := func(what string, config map[string]any) {
		text, err := json.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		h := new(Handler)
		d := json.NewDecoder(strings.NewReader(string(text)))
		d.DisallowUnknownFields() // as Caddy does
		if d.Decode(h) != nil {
			return
		}
		h.logger, h.app = testApp(t).logger, testApp(t)
		if h.provision(bareContext()) != nil {
			return
		}
		loaded++
		if res := serve(t, bearer(signed(t, map[string]any{"scope": "read"})), nil, h); what == "whole" && res.next == nil {
			t.Errorf("the whole handler refuses a good token: %s", res.reason())
		}
		for name, r := range refused {
			if res := serve(t, r.Clone(r.Context()), nil, h); res.next != nil {
				t.Errorf("%s: %s passes", what, name)
			}
		}
	}
	fields := func(of reflect.Type) (names []string) {
		for f := range of.Fields() {
			if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
				names = append(names, name)
			}
		}
		return names
	}
	try("whole", whole)
	for _, name := range fields(reflect.TypeFor[Handler]()) {
		for _, value := range append(empty, "absent") {
			config := maps.Clone(whole)
			if config[name] = value; value == "absent" {
				delete(config, name)
			}
			try(name+" "+string(mustJSON(t, value)), config)
		}
	}
	for _, name := range fields(reflect.TypeFor[Issuer]()) {
		for _, value := range append(empty, "absent") {
			config := maps.Clone(whole)
			issuer := maps.Clone(whole["issuer"].([]any)[0].(map[string]any))
			if issuer[name] = value; value == "absent" {
				delete(issuer, name)
			}
			delete(config, "audience")
			config["issuer"] = []any{issuer}
			try("issuer "+name+" "+string(mustJSON(t, value)), config)
		}
	}
	if loaded < 50 {
		t.Errorf("only %d configs load", loaded)
	}
}

func mustJSON(t *testing.T, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
