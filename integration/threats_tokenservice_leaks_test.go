package integration

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// secretParts are the private numbers of a key.
func secretParts(t *testing.T, private crypto.Signer) [][]byte {
	t.Helper()
	switch k := private.(type) {
	case *ecdsa.PrivateKey:
		d, err := k.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{d}
	case ed25519.PrivateKey:
		return [][]byte{k.Seed()}
	case *rsa.PrivateKey:
		return [][]byte{k.D.Bytes(), k.Primes[0].Bytes(), k.Primes[1].Bytes(), k.Precomputed.Dp.Bytes(), k.Precomputed.Dq.Bytes(), k.Precomputed.Qinv.Bytes()}
	}
	t.Fatalf("%T", private)
	return nil
}

// spellings are how a secret number may have been written: as bytes, in hexadecimal, as a
// number, the way that fmt prints bytes, and in base64, wherever it begins in what is encoded.
func spellings(secret []byte) map[string]string {
	all := map[string]string{
		"raw": string(secret), "hexadecimal": hex.EncodeToString(secret), "capital hexadecimal": strings.ToUpper(hex.EncodeToString(secret)),
		"decimal": new(big.Int).SetBytes(secret).String(), "bytes": strings.Trim(fmt.Sprint(secret), "[]"), "bytes of JSON": strings.ReplaceAll(strings.Trim(fmt.Sprint(secret), "[]"), " ", ","),
	}
	for shift := range 3 {
		// What stands before it shifts its bits; the first and the last characters are shared.
		shifted := append(make([]byte, shift), secret...)
		for name, encoding := range map[string]*base64.Encoding{"base64": base64.RawStdEncoding, "base64url": base64.RawURLEncoding} {
			text := encoding.EncodeToString(shifted)
			all[fmt.Sprint(name, " ", shift)] = text[4 : len(text)-4]
		}
	}
	for name, text := range all {
		// A part of it will do.
		if half := len(text) / 2; half >= 24 {
			all[name+", the first half"], all[name+", the second half"] = text[:half], text[half:]
		}
	}
	return all
}

func TestSpellings(t *testing.T) {
	t.Parallel()
	secret := []byte("0123456789abcdefghijklmnopqrstuv")
	for what, text := range map[string]string{
		"JSON": toJSON(t, object{"d": secret}), "in DER": base64.StdEncoding.EncodeToString(append([]byte("12345"), append(secret, 1, 2, 3)...)),
		"printed": fmt.Sprintf("%v", secret), "quoted": fmt.Sprintf("%q", secret), "hexadecimal": fmt.Sprintf("%X", secret), "a number": new(big.Int).SetBytes(secret).String(),
	} {
		found := false
		for _, spelling := range spellings(secret) {
			found = found || strings.Contains(text, spelling)
		}
		if !found {
			t.Errorf("%s: it is not found in %q", what, text)
		}
	}
}

// Private keys are in their own files of the storage, which nobody else can read, and nowhere
// else: in no log at any level, config, answer, metric, profile or other file.
func TestThreat38_PrivateKeysAreNowhereElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sites := forwarding(t)
	for _, alg := range []string{"EdDSA", "RS256"} {
		host := strings.ToLower(alg) + ".example.test"
		sites += fmt.Sprintf("http://%[1]s {\n\tauthorization_server https://%[1]s {\n\t\tapi_keys partners\n\t\taudience https://api.example.test\n\t\talgorithm %[2]s\n\t}\n}\n", host, alg)
	}
	sites = strings.ReplaceAll(sites, "forward_jwt X-Internal https://backend.example.test", "forward_jwt X-Internal https://backend.example.test {\n\t\t\tissuer https://auth.example.test\n\t\t}")
	n := startService(t, fileStorage(dir), sites, nil)
	key := n.newClientKey(t, nil)
	var answers strings.Builder
	keep := func(what string, text string) { fmt.Fprintf(&answers, "\n== %s\n%s\n", what, text) }
	minted := n.minted(t, key)
	n.upstreamOf(t, site, bearer(minted))
	for _, host := range []string{authHost, "eddsa.example.test", "rs256.example.test"} {
		n.eventually("the keys of "+host+" are made", longWait, func() bool {
			return n.request(t, http.MethodGet, host, "/.well-known/jwks.json", "").status == http.StatusOK
		}, n.logs.String)
		a := n.request(t, http.MethodPost, host, tokenPath, "grant_type=client_credentials", clientBasic(key.ID, key.Key), formType)
		a.token(t)
		keep(host, toJSON(t, a.header))
	}
	var files map[string]string
	n.eventually("there are two private keys for each of three services, and two for forwarded tokens", longWait, func() bool {
		_, files = privateKeys(t, dir)
		return len(files) == 8
	}, func() string { return fmt.Sprint(files) })
	all := map[string]crypto.Signer{}
	collect := func() {
		keys, at := privateKeys(t, dir)
		for kid, private := range keys {
			all[kid], files[kid] = private, at[kid]
		}
	}
	collect()
	for kid, path := range files {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s of the key %s: %v, %v; want 0600", path, kid, info.Mode().Perm(), err)
		}
	}
	keep("rotated", fmt.Sprint(n.rotate(t, object{"issuer": authIssuer})))
	collect()
	for _, body := range []object{{"issuer": authIssuer, "retire_now": true}, {"issuer": authIssuer, "retire_now": true, "forward": true}, {"issuer": "https://rs256.example.test", "retire_now": true}} {
		keep("retired", n.ask(t, http.MethodPost, "/jwt/signing-keys", toJSON(t, body)).body)
		collect()
	}
	for _, args := range [][]string{{"rotate", "--issuer", authIssuer, "--json"}, {"rotate", "--issuer", "https://eddsa.example.test"}, {"status"}, {"status", "--json"}, {"revocations", "--json"}} {
		c := n.jwtCommand(t, args...)
		keep(strings.Join(args, " "), c.stdout+c.stderr)
	}
	collect()
	// What is wrong with an object must not be shown either: a restart reads broken ones.
	n.stop()
	broken := 0
	for kid, path := range files {
		if content, err := os.ReadFile(path); err == nil && broken < 3 {
			broken++
			writeFile(t, path, [...]string{string(content[:len(content)-9]), strings.Replace(string(content), kid, "x"+kid[1:], 1), strings.Replace(string(content), `"alg"`, `"agl"`, 1)}[broken-1])
		}
	}
	n.again()
	n.becomes(t, "the site", spread(), func() exchange { return n.send("open.example.test") }, accepted)
	for _, path := range []string{
		"/config/", "/metrics", "/jwt/status", "/jwt/signing-keys", "/jwt/audit", "/jwt/revocations", "/jwt/api-keys?store=partners",
		"/debug/vars", "/debug/pprof/cmdline", "/debug/pprof/goroutine?debug=2", "/debug/pprof/heap?debug=1",
	} {
		a, err := n.adminDo(http.MethodGet, path, longWait)
		if err != nil || a.status != http.StatusOK {
			t.Errorf("GET %s: status %d, %v", path, a.status, err)
		}
		keep(path, a.body)
	}
	for _, path := range []string{"/.well-known/jwks.json", forwardKeySet, "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		keep(path, n.request(t, http.MethodGet, authHost, path, "").body)
	}
	places := map[string][]byte{"the answers": []byte(answers.String())}
	own := map[string]bool{}
	for _, path := range files {
		own[path] = true
	}
	for _, root := range []string{dir, n.dir} {
		err := filepath.WalkDir(root, func(path string, item fs.DirEntry, err error) error {
			if err != nil || !item.Type().IsRegular() || own[path] {
				return err
			}
			content, err := os.ReadFile(path)
			places[path] = content
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(places) < 5 || !exists(n.configFile("autosave.json")) {
		t.Errorf("%d places, so this test looks at little", len(places))
	}
	n.logs.mark()
	places["the log"] = []byte(n.logs.String())
	for kid, private := range all {
		for _, secret := range secretParts(t, private) {
			for spelling, text := range spellings(secret) {
				for place, content := range places {
					if at := bytes.Index(content, []byte(text)); at >= 0 {
						t.Errorf("the private key %s is in %s, %s", kid, place, spelling)
					}
				}
			}
		}
	}
	t.Logf("%d private keys, %d places", len(all), len(places))
}

// A private key that is not the one of its name is not used: anyone who can write to the storage
// has no key that others trust put in the place of another one.
func TestThreat77_APrivateKeyInAnothersPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n := startService(t, fileStorage(dir), attackedSites(t), nil)
	key := n.newClientKey(t, nil)
	before := n.minted(t, key)
	_, files := privateKeys(t, dir)
	n.stop()
	for kid, path := range files {
		der := peers.NewKey(t, "ES256", kid).PrivateDER(t)
		writeFile(t, path, toJSON(t, object{"jwt": 1, "kid": kid, "alg": "ES256", "pkcs8": der}))
	}
	n.again()
	n.untilReady(t, spread()+longWait)
	// None is issued while there is no key that signs.
	if token, err := n.tryToken(key); err == nil && (files[kidOf(t, token)] != "" || n.keySet(t, "/.well-known/jwks.json").verifies(token, authIssuer, audience) != nil) {
		t.Errorf("a token is signed with a key that was put in the place of another one, %s", kidOf(t, token))
	}
	n.is(t, "a token of before", n.at(site, before), accepted)
	n.rotate(t, object{"issuer": authIssuer, "retire_now": true})
	token := n.minted(t, key)
	if err := n.keySet(t, "/.well-known/jwks.json").verifies(token, authIssuer, audience); err != nil {
		t.Error(err)
	}
	n.is(t, "a token of the keys that took their place", n.at(site, token), accepted)
}
