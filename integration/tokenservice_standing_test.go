package integration

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// standingIssuer is of this machine, so that it needs no TLS.
const standingIssuer = "http://localhost"

const standingSites = `
http://localhost {
	authorization_server ` + standingIssuer + ` {
		api_keys partners
		audience https://api.example.test
	}
	respond 404
}
http://api.example.test {
	jwt ` + standingIssuer + ` https://api.example.test
	respond "in"
	import reasons
}
http://open.example.test {
	respond "open"
}
`

// sendForm sends a form to an endpoint of the token service, with a client's key.
func (n *node) sendForm(t *testing.T, endpoint, id, key string, form url.Values) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, standingIssuer+"/oauth2/"+endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(id, key)
	res, err := n.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	answer := map[string]any{}
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatalf("%s: %d %s", endpoint, res.StatusCode, body)
	}
	return res.StatusCode, answer
}

// mintedFor returns a token for a client by API key.
func (n *node) mintedFor(t *testing.T, id, key string) string {
	t.Helper()
	status, answer := n.sendForm(t, "token", id, key, url.Values{"grant_type": {"client_credentials"}})
	token, ok := answer["access_token"].(string)
	if status != http.StatusOK || !ok {
		t.Fatalf("no token: %d %v", status, answer)
	}
	return token
}

func (n *node) introspected(t *testing.T, id, key, token string) any {
	t.Helper()
	_, answer := n.sendForm(t, "introspect", id, key, url.Values{"token": {token}})
	return answer["active"]
}

// A token lives no longer than its client, nor than the secret that it was got with: here it
// is refused with the next request, on the other node soon. None is minted.
func TestATokenOfAServiceEndsWithItsKey(t *testing.T) {
	t.Parallel()
	global := "storage file_system " + t.TempDir() + fmt.Sprintf("\n\tjwt {\n\t\tapi_keys partners {\n\t\t\tstorage\n\t\t}\n\t\tstate {\n\t\t\tsync_interval %s\n\t\t}\n\t}", syncInterval)
	start := func() *node {
		n := newNode(t, options{global: global})
		n.sites = standingSites
		n.begin()
		n.waitUntilItRuns()
		return n
	}
	one, two := start(), start()
	const within = syncInterval + time.Second
	secrets := []string{}
	for name, end := range map[string]func(id string) (secret string){
		"deleted": func(id string) string { one.must(t, http.StatusOK, "DELETE", "/jwt/api-keys/"+id, nil); return "" },
		"disabled": func(id string) string {
			one.must(t, http.StatusOK, "PATCH", "/jwt/api-keys/"+id, map[string]any{"enabled": false})
			return ""
		},
		"expired": func(id string) string {
			one.must(t, http.StatusOK, "PATCH", "/jwt/api-keys/"+id, map[string]any{"expires": time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)})
			return ""
		},
		"revoked": func(id string) string {
			one.must(t, http.StatusCreated, "POST", "/jwt/revocations", map[string]any{"kind": "key", "value": id, "store": "partners", "reason": "test"})
			return ""
		},
		"rolled": func(id string) string {
			return one.must(t, http.StatusOK, "PUT", "/jwt/api-keys/"+id+"/secret", map[string]any{"overlap": "0s"}).Key
		},
	} {
		made := one.mustCreateKey(t)
		secrets = append(secrets, made.Key)
		token := one.mintedFor(t, made.ID, made.Key)
		// The other node has not seen the key, and perhaps not who signs.
		two.becomes(t, name+": the other node, before", within, func() exchange { return two.withToken(token) }, accepted)
		one.is(t, name+": before", one.withToken(token), accepted)
		if active := one.introspected(t, made.ID, made.Key, token); active != true {
			t.Errorf("%s: before: active is %v", name, active)
		}
		secret := end(made.ID)
		one.is(t, name, one.withToken(token), isRevoked)
		if status, answer := one.sendForm(t, "token", made.ID, made.Key, url.Values{"grant_type": {"client_credentials"}}); status != http.StatusUnauthorized {
			t.Errorf("%s: it gets a token: %d %v", name, status, answer)
		}
		two.becomes(t, name+": the other node", within, func() exchange { return two.withToken(token) }, isRevoked)
		if secret != "" {
			// Those of the new secret are good, in the same second too.
			secrets = append(secrets, secret)
			if active := one.introspected(t, made.ID, secret, token); active != false {
				t.Errorf("%s: active is %v", name, active)
			}
			one.is(t, name+": with the new secret", one.withToken(one.mintedFor(t, made.ID, secret)), accepted)
		}
	}

	// A client ends its own token, and nobody else's.
	made, other := one.mustCreateKey(t), one.mustCreateKey(t)
	token := one.mintedFor(t, made.ID, made.Key)
	form := url.Values{"token": {token}}
	if status, answer := one.sendForm(t, "revoke", other.ID, other.Key, form); status != http.StatusBadRequest || answer["error"] != "unauthorized_client" {
		t.Errorf("another's token: %d %v", status, answer)
	}
	one.is(t, "another could not revoke it", one.withToken(token), accepted)
	if status, answer := one.sendForm(t, "revoke", made.ID, made.Key, form); status != http.StatusOK {
		t.Errorf("%d %v", status, answer)
	}
	one.is(t, "revoked by its client", one.withToken(token), isRevoked)
	two.becomes(t, "revoked by its client: the other node", within, func() exchange { return two.withToken(token) }, isRevoked)
	for _, secret := range append(secrets, made.Key, other.Key, token) {
		for _, n := range []*node{one, two} {
			if strings.Contains(n.logs.String(), secret) {
				t.Error("a secret is in the log")
			}
		}
	}
}
