package caddyjwt

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/grammar"
)

// TestWordsOfOtherProducts checks that each gets its counterpart, and that no suggestion
// lets more requests pass than what was written.
func TestWordsOfOtherProducts(t *testing.T) {
	t.Parallel()
	read := func(line string) string {
		err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser("jwt https://auth.example.com/ https://api.example.com {\n" + line + "\n}"))
		if err == nil {
			t.Fatalf("%s is accepted", line)
		}
		return err.Error()
	}
	for line, want := range map[string]string{
		"allow roles admin":                        "write require claim roles admin",
		"allow":                                    "require claim roles admin",
		"acl rule {\ncomment x\n}":                 "require claim roles admin",
		"deny roles guest":                         "require expression",
		"hide_credentials":                         "that is the default here",
		"hideCredentials true":                     "that is the default here",
		"sign_key {env.X}":                         "secret {env.JWT_SECRET}",
		"crypto key verify abc":                    "secret {env.JWT_SECRET}",
		"from_header X-Token":                      "write token_from header X-Token",
		"from_query token":                         "write token_from query token",
		"from_cookies session":                     "write token_from cookie session",
		"issuer_whitelist https://a.b/":            "issuer https://a.b/",
		"audience_whitelist a b":                   "write audience a b",
		"key_names apikey":                         "write api_key_from header apikey",
		"claims_to_headers email":                  "forward email X-Email",
		"claim_to_headers":                         "forward email X-Email",
		"inject headers with claims":               "forward email X-Email",
		"scope orders:read":                        "write require scope orders:read",
		"scopes a b":                               "write require scope a b",
		"roles admin":                              "write require claim roles admin",
		"jwksUrl https://a/jwks":                   "jwks_url https://auth.example.com/jwks.json",
		"auth_jwt_key_file /k":                     "jwks_file",
		"auth_jwt_leeway 5s":                       "leeway 60s",
		"maximum_expiration 3600":                  "max_lifetime 1h",
		"run_on_preflight false":                   "remove it",
		"skip_verification":                        "signatures are always verified",
		"set auth url /auth":                       "there is no login here",
		"sign_key " + strings.Repeat("s3cr3t", 5):  "secret {env.JWT_SECRET}",
		"key_names " + strings.Repeat("s3cr3t", 5): "api_key_from header X-API-Key",
		"optionl":                                  "write optional",
		"keep_credential":                          "write keep_credentials",
		"requires scope a":                         "write require",
	} {
		got := read(line)
		if !strings.Contains(got, want) || strings.Contains(got, "s3cr3t") {
			t.Errorf("%s: %s\nwant in it: %s", line, got, want)
		}
	}
	// Nothing but a slip of the pen leads to an option that lets more pass.
	for _, word := range []string{"allow", "allowed", "opt", "keep", "hide", "mod", "ignore", "insecure", "log", "allow_no", "allow_b", "options", "allow_all", "keep_alive", "allow_expired"} {
		got := read(word)
		for lax := range laxer {
			if strings.HasSuffix(strings.SplitN(got, ", at ", 2)[0], "write "+lax) {
				t.Errorf("%s: %s", word, got)
			}
		}
	}
	for word, line := range grammar.ForeignLines() {
		if grammar.ForeignWord(word, nil) == "" {
			t.Errorf("%s can't be found", word)
		}
		// What the advice says to write loads, in its place.
		if line != "" && !strings.HasPrefix(line, "jwt {") && !strings.HasPrefix(line, "ca ") {
			block := "jwt {\nissuer https://login.example.net/ {\naudience a\n}\nissuer https://other.example.net/ {\n" + map[bool]string{false: "audience a\n"}[strings.HasPrefix(line, "audience")] + "}\n" + strings.NewReplacer("{ ", "{\naudience a\n", " }", "\n}").Replace(line)
			if strings.HasPrefix(line, "api_key_from") {
				block += "\napi_keys /etc/caddy/keys.jsonl"
			}
			if strings.HasPrefix(line, "issuer https://auth.example.com/") && !strings.Contains(line, "{") {
				block += " {\naudience a\n}"
			}
			if err := new(Handler).UnmarshalCaddyfile(caddyfile.NewTestDispenser(block + "\n}")); err != nil {
				t.Errorf("%s: %s: %v", word, line, err)
			}
		}
	}
}
