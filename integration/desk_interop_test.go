package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
)

// deskAlgorithms are those that the commands sign with.
var deskAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "HS256", "HS384", "HS512"}

// Under the race detector each start of the binary takes a second, and the algorithms are the
// same code.
func init() {
	if raceEnabled {
		deskAlgorithms = []string{"RS256", "ES256", "EdDSA", "HS256"}
	}
}

// deskToken is a token that `caddy jwt sign` made with a key of `caddy jwt keygen`.
type deskToken struct {
	Alg    string          `json:"alg"`
	Token  string          `json:"token"`
	JWKS   json.RawMessage `json:"jwks,omitempty"`
	Secret string          `json:"secret,omitempty"`

	private, verifies string // files: of the key, and of what golang-jwt's command verifies with
	claims            map[string]any
}

// atDesk runs `caddy jwt` and returns what it prints.
func atDesk(t *testing.T, dir string, args ...string) string {
	t.Helper()
	made := jwtCommandIn(t, dir, nil, args...)
	if made.code != 0 {
		t.Fatalf("%q: %s", args, made)
	}
	return made.stdout
}

// makeDeskToken makes a key and a token with it.
func makeDeskToken(t *testing.T, dir, alg string) deskToken {
	t.Helper()
	d := deskToken{Alg: alg, private: filepath.Join(dir, alg)}
	args := []string{"keygen", "--alg", alg, "--out", d.private}
	flag := "--secret-file"
	if alg[0] != 'H' {
		args, flag = append(args, "--jwks", d.private+".json"), "--key"
	}
	atDesk(t, dir, args...)
	if flag == "--key" {
		set := readFile(t, d.private+".json")
		d.JWKS, d.verifies = json.RawMessage(set), d.private+".public"
		keys, err := recognize.PublicKeys([]byte(set))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, d.verifies, publicPEM(t, keys[0].Material()))
	} else {
		d.Secret, d.verifies = readFile(t, d.private), d.private
	}
	text := atDesk(t, dir, "sign", flag, d.private, "--alg", alg, "--iss", "my-app", "--sub", "user of "+alg, "--aud", "api", "--expires", "1h",
		"--jti", "auto", "--scope", "read write", "--claim", `nested:={"list":[1,2.5,"ü"],"yes":true}`, "--json")
	var signed struct {
		Token  string
		Claims map[string]any
	}
	if err := json.Unmarshal([]byte(text), &signed); err != nil {
		t.Fatal(err)
	}
	d.Token, d.claims = signed.Token, signed.Claims
	return d
}

// What keygen and sign make, other libraries take, each with all its claims, and none takes
// it changed.
func TestDesk_OthersTakeWhatIsSigned(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var tokens, forged []deskToken
	for _, alg := range deskAlgorithms {
		d := makeDeskToken(t, dir, alg)
		tokens = append(tokens, d)
		parts := strings.Split(d.Token, ".")
		d.Token = parts[0] + "." + strings.TrimRight(parts[1], "=")[:len(parts[1])-8] + "." + parts[2]
		forged = append(forged, d)
	}
	take := func(t *testing.T, command ...string) {
		t.Helper()
		request, err := json.Marshal(append(append([]deskToken{}, tokens...), forged...))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		script := exec.CommandContext(ctx, command[0], command[1:]...)
		script.Stdin = bytes.NewReader(request)
		var complaint strings.Builder
		script.Stderr = &complaint
		text, err := script.Output()
		if err != nil {
			t.Fatalf("%v\n%s", err, &complaint)
		}
		var answers []map[string]any
		if err := json.Unmarshal(text, &answers); err != nil || len(answers) != 2*len(tokens) {
			t.Fatalf("%v in %s", err, text)
		}
		for i, d := range tokens {
			if !reflect.DeepEqual(answers[i], d.claims) {
				t.Errorf("%s: %v, want %v", d.Alg, answers[i], d.claims)
			}
			if answers[len(tokens)+i]["error"] == nil {
				t.Errorf("%s: it takes another's claims", d.Alg)
			}
		}
	}
	t.Run("jose", func(t *testing.T) {
		need(t, nodeModules)
		take(t, "node", filepath.Join("npm", "jose-take.mjs"))
	})
	t.Run("PyJWT", func(t *testing.T) {
		need(t, pyJWT)
		take(t, python(), filepath.Join("python", "pyjwt_take.py"))
	})
	t.Run("golang-jwt", func(t *testing.T) {
		for i, d := range tokens {
			material := func(*jwt.Token) (any, error) {
				if d.Secret != "" {
					return []byte(d.Secret), nil
				}
				keys, err := recognize.PublicKeys(d.JWKS)
				return keys[0].Material(), err
			}
			claims := jwt.MapClaims{}
			_, err := jwt.ParseWithClaims(d.Token, claims, material, jwt.WithValidMethods([]string{d.Alg}), jwt.WithIssuer("my-app"), jwt.WithAudience("api"), jwt.WithExpirationRequired())
			if err != nil || !reflect.DeepEqual(map[string]any(claims), d.claims) {
				t.Errorf("%s: %v, %v", d.Alg, err, claims)
			}
			if _, err := jwt.Parse(forged[i].Token, material); err == nil {
				t.Errorf("%s: it takes another's claims", d.Alg)
			}
		}
	})
	t.Run("Debian's jwt", func(t *testing.T) {
		need(t, jwtCommand)
		for _, d := range tokens {
			token := tempFile(t, "token", d.Token)
			text, err := exec.CommandContext(t.Context(), "jwt", "-alg", d.Alg, "-key", d.verifies, "-compact", "-verify", token).Output()
			var claims map[string]any
			if err != nil || json.Unmarshal(text, &claims) != nil {
				t.Errorf("%s: %v: %s", d.Alg, err, text)
				continue
			}
			var decoded struct{ Claims map[string]any }
			if err := json.Unmarshal([]byte(atDesk(t, dir, "decode", "@"+token, "--json")), &decoded); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(claims, decoded.Claims) || !reflect.DeepEqual(claims, d.claims) {
				t.Errorf("%s: jwt says %v, decode %v", d.Alg, claims, decoded.Claims)
			}
		}
	})
}

// What other libraries make, decode shows.
func TestDesk_DecodeShowsTokensOfOthers(t *testing.T) {
	t.Parallel()
	claims := map[string]any{"iss": "my-app", "sub": "ünïcode", "aud": []any{"a", "b"}, "exp": float64(time.Now().Add(time.Hour).Unix()), "nested": map[string]any{"n": 1.5}}
	rsa := peers.NewKey(t, "RS256", "")
	for _, library := range []struct {
		name string
		part dependency
		sign signer
	}{
		{"jose", nodeModules, joseSigner},
		{"PyJWT", pyJWT, pyJWTSigner},
		{"golang-jwt", 0, func(t *testing.T, key *peers.Key, claims map[string]any) string { return key.Token(t, claims, nil) }},
	} {
		t.Run(library.name, func(t *testing.T) {
			t.Parallel()
			if library.name != "golang-jwt" {
				need(t, library.part)
			}
			for _, alg := range deskAlgorithms {
				key := rsa.SignAs(alg).Named("k")
				if alg[0] == 'E' || alg[0] == 'H' {
					key = peers.NewKey(t, alg, "k")
				}
				token := library.sign(t, key, claims)
				var decoded struct {
					Kind           string
					Header, Claims map[string]any
					Notes          []any
				}
				text := atDesk(t, t.TempDir(), "decode", "@"+tempFile(t, "token", token), "--json")
				if err := json.Unmarshal([]byte(text), &decoded); err != nil {
					t.Fatal(err)
				}
				if decoded.Header["alg"] != alg || !reflect.DeepEqual(decoded.Claims, claims) || len(decoded.Notes) != 0 || decoded.Kind != "jwt" {
					t.Errorf("%s: %+v", alg, decoded)
				}
			}
		})
	}
}

// A Caddy with the lines that keygen prints accepts what sign makes, and nothing of another
// key.
func TestDesk_CaddyAcceptsBoth(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var sites strings.Builder
	tokens := map[string]string{}
	for _, c := range []struct {
		host, alg string
		jwks      bool
	}{
		{"set.example.test", "ES256", true}, {"pem.example.test", "EdDSA", false}, {"pss.example.test", "PS384", false},
		{"secret.example.test", "HS256", false}, {"long.example.test", "HS512", false},
	} {
		key := filepath.Join(dir, c.host)
		args := []string{"keygen", "--alg", c.alg, "--out", key}
		if c.jwks {
			args = append(args, "--jwks", key+".json")
		}
		block := strings.ReplaceAll(atDesk(t, dir, args...), "\n", "\n\t\t")
		sites.WriteString("https://" + c.host + " {\n\tjwt {\n\t\t" + strings.TrimSpace(block) + "\n\t\tforward user X-User\n\t}\n\timport upstream\n\timport reasons\n}\n")
		flag := "--key"
		if c.alg[0] == 'H' {
			flag = "--secret-file"
		}
		tokens[c.host] = strings.TrimSpace(atDesk(t, dir, "sign", flag, key, "--alg", c.alg, "--iss", "my-app", "--sub", c.alg, "--aud", "https://api.example.com", "--expires", "1h"))
	}
	s := newFixture(t, sites.String(), options{})
	for host, token := range tokens {
		s.accepts(t, host, token)
		for other, foreign := range tokens {
			if other != host {
				if a := s.get(t, host, foreign); a.status != 401 {
					t.Errorf("%s takes a token of %s: %d", host, other, a.status)
				}
			}
		}
	}
}
