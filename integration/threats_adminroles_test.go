package integration

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// operator is somebody with a certificate for Caddy's remote admin endpoint.
type operator struct {
	name  string
	certs tls.Certificate
}

// newOperator makes the certificate.
func newOperator(t *testing.T, name string) *operator {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true, IsCA: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &operator{name: name, certs: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}}
}

// who is the operator in the audit log.
func (o *operator) who() string {
	digest := sha256.Sum256(o.certs.Leaf.RawSubjectPublicKeyInfo)
	return "CN=" + o.name + " sha256:" + hex.EncodeToString(digest[:])
}

// remoteAdmin makes the server take requests of operators, each with a role.
func (s *fixture) remoteAdmin(t *testing.T, roles map[*operator][]object) (ask func(o *operator, method, path, body string) answer) {
	t.Helper()
	const name = "admin.example.test"
	port := peers.FreePort(t)
	var access []object
	for o, permissions := range roles {
		access = append(access, object{"public_keys": []string{base64.StdEncoding.EncodeToString(o.certs.Certificate[0])}, "permissions": permissions})
	}
	text, err := s.adminGet("/config/")
	if err != nil {
		t.Fatal(err)
	}
	var config object
	decode(t, text, &config)
	admin := config["admin"].(object)
	admin["identity"] = object{"identifiers": []string{name}, "issuers": []object{{"module": "internal"}}}
	admin["remote"] = object{"listen": fmt.Sprintf("127.0.0.1:%d", port), "access_control": access}
	if a := s.ask(t, http.MethodPost, "/load", toJSON(t, config)); a.status != http.StatusOK {
		t.Fatal(a.body)
	}
	s.http.CloseIdleConnections()
	s.whenReady(t)
	roots, err := s.roots()
	if err != nil {
		t.Fatal(err)
	}
	send := func(o *operator, method, path, body string) (answer, error) {
		client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
			DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name, Certificates: []tls.Certificate{o.certs}},
		}}
		r, err := http.NewRequest(method, fmt.Sprintf("https://127.0.0.1:%d%s", port, path), strings.NewReader(body))
		if err != nil {
			return answer{}, err
		}
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		res, err := client.Do(r)
		if err != nil {
			return answer{}, err
		}
		defer res.Body.Close()
		content, err := io.ReadAll(res.Body)
		return answer{status: res.StatusCode, header: res.Header, body: string(content)}, err
	}
	var last error
	for o := range roles {
		s.eventually("the remote admin endpoint answers", 20*time.Second, func() bool {
			_, last = send(o, http.MethodGet, "/jwt/status", "")
			return last == nil
		}, func() string { return fmt.Sprint(last) })
		break
	}
	return func(o *operator, method, path, body string) answer {
		t.Helper()
		a, err := send(o, method, path, body)
		if err != nil {
			t.Fatalf("%s: %s %s: %v", o.name, method, path, err)
		}
		return a
	}
}

// Each narrow role can do what it is for and nothing else: above all, who may revoke or
// make keys can't get a secret of somebody else's key.
func TestThreat65_NarrowRoles(t *testing.T) {
	t.Parallel()
	s := newSharedFixture(t, strings.Replace(storeSite, "api_keys partners", "import issuer\n\t\tapi_keys partners", 1), options{}, keys(t).RS256)
	key := s.makeKey(t, object{"scopes": []string{"admin"}})
	permit := func(methods string, paths ...string) []object {
		return []object{{"paths": paths, "methods": strings.Fields(methods)}}
	}
	revoker, unrevoker, maker, roller, editor, reader, nobody := newOperator(t, "revoker"), newOperator(t, "unrevoker"), newOperator(t, "maker"),
		newOperator(t, "roller"), newOperator(t, "editor"), newOperator(t, "reader"), newOperator(t, "nobody")
	roles := map[*operator][]object{
		revoker:   permit("POST", "/jwt/revocations"),
		unrevoker: permit("DELETE", "/jwt/revocations"),
		maker:     permit("POST", "/jwt/api-keys"),
		roller:    permit("PUT", "/jwt/api-keys"),
		editor:    permit("PATCH DELETE", "/jwt/api-keys"),
		reader:    permit("GET", "/jwt"),
		nobody:    permit("GET", "/metrics"),
	}
	ask := s.remoteAdmin(t, roles)
	made := 0
	rule := func() string {
		made++
		return s.addRule(t, object{"kind": "jti", "value": fmt.Sprintf("role-%d", made)})
	}
	endpoints := []struct {
		method string
		path   func() string
		body   string
		roles  []*operator
		status int
	}{
		{http.MethodPost, func() string { return "/jwt/revocations" }, `{"kind":"jti","value":"by-role"}`, []*operator{revoker}, http.StatusCreated},
		{http.MethodDelete, func() string { return "/jwt/revocations/" + rule() + "?reason=test" }, "", []*operator{unrevoker}, http.StatusOK},
		{http.MethodGet, func() string { return "/jwt/revocations" }, "", []*operator{reader}, http.StatusOK},
		{http.MethodPost, func() string { return "/jwt/api-keys" }, `{"consumer":"by-role"}`, []*operator{maker}, http.StatusCreated},
		{http.MethodPut, func() string { return "/jwt/api-keys/" + key.ID + "/secret" }, `{"overlap":"1h"}`, []*operator{roller}, http.StatusOK},
		{http.MethodPost, func() string { return "/jwt/api-keys/" + key.ID + "/secret" }, `{"overlap":"1h"}`, nil, 0},
		{http.MethodPatch, func() string { return "/jwt/api-keys/" + key.ID }, `{"name":"by-role"}`, []*operator{editor}, http.StatusOK},
		{http.MethodDelete, func() string { return "/jwt/api-keys/" + s.makeKey(t, nil).ID }, "", []*operator{editor}, http.StatusOK},
		{http.MethodGet, func() string { return "/jwt/api-keys" }, "", []*operator{reader}, http.StatusOK},
		{http.MethodGet, func() string { return "/jwt/api-keys/" + key.ID }, "", []*operator{reader}, http.StatusOK},
		{http.MethodGet, func() string { return "/jwt/audit" }, "", []*operator{reader}, http.StatusOK},
		{http.MethodGet, func() string { return "/jwt/status" }, "", []*operator{reader}, http.StatusOK},
		{http.MethodPost, func() string { return "/jwt/state/accept" }, "{}", nil, 0},
		{http.MethodGet, func() string { return "/config/" }, "", nil, 0},
		{http.MethodPost, func() string { return "/load" }, "{}", nil, 0},
	}
	for _, e := range endpoints {
		for o := range roles {
			may := false
			for _, allowed := range e.roles {
				may = may || allowed == o
			}
			path := e.path()
			a := ask(o, e.method, path, e.body)
			secret := strings.Contains(a.body, `"key": "cj_`)
			switch {
			case may && a.status != e.status:
				t.Errorf("%s: %s %s: %d %s; want %d", o.name, e.method, path, a.status, a.body, e.status)
			case !may && (a.status < 400 || a.status > 499 || secret):
				t.Errorf("%s: %s %s: %d %s; want a refusal", o.name, e.method, path, a.status, a.body)
			case may && secret && o != maker && o != roller:
				t.Errorf("%s: %s %s: it has a secret: %s", o.name, e.method, path, a.body)
			}
		}
	}
	// Paths that only look like those of a role lead nowhere.
	for _, path := range []string{
		"/jwt/revocations/../api-keys/" + key.ID + "/secret", "/jwt/revocations/%2e%2e/api-keys/" + key.ID + "/secret", "/jwt/revocations/..%2fapi-keys",
		"/jwt//api-keys/" + key.ID + "/secret", "/jwt/revocations;/../api-keys",
	} {
		for _, method := range []string{http.MethodPost, http.MethodPut} {
			if a := ask(revoker, method, path, `{"overlap":"1h"}`); a.status < 300 || strings.Contains(a.body, `"key": "cj_`) {
				t.Errorf("%s %s: %d %s", method, path, a.status, a.body)
			}
		}
	}
	t.Run("the audit log has who it was", func(t *testing.T) {
		lines, _ := s.auditLog(t)
		found := map[string]string{}
		for _, line := range lines {
			if line.Outcome == "stored" {
				found[line.Who] += line.Action + " "
			}
		}
		for o, action := range map[*operator]string{revoker: "revoke ", unrevoker: "unrevoke ", maker: "key_create ", roller: "key_roll ", editor: "key_edit key_delete "} {
			if found[o.who()] != action {
				t.Errorf("%s did %q; want %q", o.who(), found[o.who()], action)
			}
		}
		if found[reader.who()] != "" || found["127.0.0.1"] == "" {
			t.Errorf("the log has %v", found)
		}
	})
}
