package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// adminRole is a role of docs/reference/admin.md, and what it may do.
type adminRole struct {
	name, path, method string
	may                []string // of adminRequests
}

var adminRoles = []adminRole{
	{"revoke", "/jwt/revocations", "POST", []string{"revoke"}},
	{"unrevoke", "/jwt/revocations", "DELETE", []string{"remove a rule"}},
	{"makekeys", "/jwt/api-keys", "POST", []string{"make a key"}},
	{"roll", "/jwt/api-keys", "PUT", []string{"roll a key"}},
	{"edit", "/jwt/api-keys", "PATCH", []string{"edit a key"}},
	{"delete", "/jwt/api-keys", "DELETE", []string{"delete a key"}},
	{"read", "/jwt", "GET", []string{"list rules", "list keys", "read a key", "read the audit log", "status", "list signing keys"}},
	{"rotate", "/jwt/signing-keys", "POST", []string{"rotate signing keys"}},
	{"accept", "/jwt/state/accept", "POST", []string{"accept"}},
}

// adminRequests are what roles may do; the path may name a key or rule that there is not.
var adminRequests = map[string]struct{ method, path, body string }{
	"revoke":              {"POST", "/jwt/revocations", `{"kind":"jti","value":"x","any_issuer":true}`},
	"remove a rule":       {"DELETE", "/jwt/revocations/jti-000000000000000000000000?reason=x", ""},
	"make a key":          {"POST", "/jwt/api-keys", `{}`},
	"roll a key":          {"PUT", "/jwt/api-keys/none/secret", `{"overlap":"1h"}`},
	"edit a key":          {"PATCH", "/jwt/api-keys/none", `{"enabled":true}`},
	"delete a key":        {"DELETE", "/jwt/api-keys/none", ""},
	"list rules":          {"GET", "/jwt/revocations", ""},
	"list keys":           {"GET", "/jwt/api-keys", ""},
	"read a key":          {"GET", "/jwt/api-keys/none", ""},
	"read the audit log":  {"GET", "/jwt/audit", ""},
	"status":              {"GET", "/jwt/status", ""},
	"list signing keys":   {"GET", "/jwt/signing-keys", ""},
	"rotate signing keys": {"POST", "/jwt/signing-keys", `{"retire_now":true}`},
	"accept":              {"POST", "/jwt/state/accept", `{}`},
	"a long way":          {"POST", "/jwt/revocations/../api-keys", `{}`},
	"the config":          {"GET", "/config/", ""},
	"stop":                {"POST", "/stop", ""},
}

// operator makes a client certificate, and a client that shows it.
func operator(t *testing.T, name string) (certificate string, client *http.Client) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der), &http.Client{
		Timeout: patience,
		// The path must reach the server as it is written.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
			InsecureSkipVerify: true, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private}}, ServerName: "localhost",
		}},
	}
}

// withRemoteAdmin loads the running config again with a remote admin endpoint for the roles.
func (c *caddy) withRemoteAdmin(t *testing.T, port int, certificates map[string]string) {
	t.Helper()
	text, err := c.adminGet("/config/")
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		t.Fatal(err)
	}
	var access []any
	for _, role := range adminRoles {
		access = append(access, map[string]any{
			"public_keys": []string{certificates[role.name]},
			"permissions": []any{map[string]any{"paths": []string{role.path}, "methods": []string{role.method}}},
		})
	}
	endpoint := config["admin"].(map[string]any)
	endpoint["identity"] = map[string]any{"identifiers": []string{"localhost"}, "issuers": []any{map[string]any{"module": "internal"}}}
	endpoint["remote"] = map[string]any{"listen": fmt.Sprintf("127.0.0.1:%d", port), "access_control": access}
	body, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.Post("http://"+c.adminAddress()+"/load", "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if answer, _ := io.ReadAll(response.Body); response.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", response.StatusCode, answer)
	}
}

// Each role of the reference may do what it is for, and nothing else; and the audit log says
// who did it.
func TestThreat65_NarrowRolesOfTheAdminEndpoint(t *testing.T) {
	t.Parallel()
	c := startCaddy(t, `https://app.example.test {
	authorization_server https://app.example.test {
		api_keys partners
		audience https://api.example.test
	}
	jwt {
		api_keys partners
	}
	respond OK
}
`, options{global: "jwt {\n\t\tstate\n\t\tapi_keys partners {\n\t\t\tstorage\n\t\t}\n\t}"})
	port := peers.FreePort(t)
	certificates, clients := map[string]string{}, map[string]*http.Client{}
	for _, role := range adminRoles {
		certificates[role.name], clients[role.name] = operator(t, role.name)
	}
	c.withRemoteAdmin(t, port, certificates)
	ask := func(client *http.Client, method, path, body string) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, fmt.Sprintf("https://127.0.0.1:%d%s", port, path), strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if body != "" {
			request.Header.Set("Content-Type", "application/json")
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, err.Error()
		}
		defer response.Body.Close()
		answer, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(answer)
	}
	var last string
	c.eventually("the remote admin endpoint answers", 20*time.Second, func() bool {
		var status int
		status, last = ask(clients["read"], "GET", "/jwt/status?ready", "")
		return status == http.StatusOK
	}, func() string { return last })
	for _, role := range adminRoles {
		for name, request := range adminRequests {
			status, body := ask(clients[role.name], request.method, request.path, request.body)
			allowed := slices.Contains(role.may, name)
			if refused := status == http.StatusForbidden || status == http.StatusUnauthorized || status == http.StatusTemporaryRedirect || status == http.StatusMovedPermanently; refused == allowed || status == 0 {
				t.Errorf("%s: %s: %d %s", role.name, name, status, body)
			}
		}
	}
	stranger, client := operator(t, "stranger")
	if status, body := ask(client, "GET", "/jwt/status", ""); status != 0 {
		t.Errorf("a stranger, whose certificate is %.20s…: %d %s", stranger, status, body)
	}
	// Who may do something else can't get a secret of somebody's key on a way round either.
	c.whenReady(t)
	key := c.makeKey(t, nil)
	for _, path := range []string{
		"/jwt/api-keys/" + key.ID + "/secret", "/jwt/revocations/../api-keys/" + key.ID + "/secret", "/jwt/revocations/%2e%2e/api-keys/" + key.ID + "/secret",
		"/jwt/revocations%2f..%2fapi-keys/" + key.ID + "/secret", "/jwt//api-keys/" + key.ID + "/secret", "/jwt/revocations;/../api-keys/" + key.ID + "/secret",
	} {
		for _, role := range adminRoles {
			for _, method := range []string{"POST", "PUT"} {
				status, body := ask(clients[role.name], method, path, `{"overlap":"1h"}`)
				may := role.name == "roll" && method == "PUT" && !strings.Contains(path, "revocations") && !strings.Contains(path, "//")
				if made := strings.Contains(body, `"key": "cj_`); made != may || !may && status < 300 {
					t.Errorf("%s: %s %s: %d %s", role.name, method, path, status, body)
				}
			}
		}
	}
	if _, log := ask(clients["read"], "GET", "/jwt/audit?limit=1000", ""); !strings.Contains(log, `"who": "CN=revoke sha256:`) {
		t.Error(log)
	}
}
