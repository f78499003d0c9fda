package integration

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// signer makes tokens with a library that is not the one under test.
type signer func(t *testing.T, key *peers.Key, claims map[string]any) string

func joseSigner(t *testing.T, key *peers.Key, claims map[string]any) string {
	t.Helper()
	return foreignToken(t, key, claims, "node", filepath.Join("npm", "jose-sign.mjs"))
}

func pyJWTSigner(t *testing.T, key *peers.Key, claims map[string]any) string {
	t.Helper()
	return foreignToken(t, key, claims, python(), filepath.Join("python", "pyjwt_sign.py"))
}

// foreignToken speaks the protocol that both scripts share: one JSON request in,
// one compact token out.
func foreignToken(t *testing.T, key *peers.Key, claims map[string]any, command ...string) string {
	t.Helper()
	request := map[string]any{
		"alg":    key.Alg,
		"header": map[string]any{"kid": key.KID, "typ": "JWT"},
		"claims": claims,
	}
	if key.Private == nil {
		request["secret"] = base64.RawURLEncoding.EncodeToString(key.Secret)
	} else {
		request["jwk"] = key.PrivateJWK()
	}
	text, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	script := exec.CommandContext(ctx, command[0], command[1:]...)
	script.Stdin = bytes.NewReader(text)
	var complaint strings.Builder
	script.Stderr = &complaint
	token, err := script.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", command[1], err, complaint.String())
	}
	return string(token)
}
