package command

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/examples"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// quickstartDir makes the folder. A temporary one is removed when the process ends, as
// it holds a private key.
func quickstartDir(dir string) (string, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "caddy-jwt-quickstart-")
		if err != nil {
			return "", err
		}
		caddy.OnExit(func(context.Context) { _ = os.RemoveAll(dir) })
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}

// writeNew writes a file that must not exist yet.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// sameFile reports whether a file exists and has this content.
func sameFile(name string, content []byte) bool {
	there, err := setting.ReadFile(name)
	return err == nil && bytes.Equal(there, content)
}

// checkNoneExists returns an error that names all files that exist already.
func checkNoneExists(dir string, names []string) error {
	var there []string
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		return nil
	}
	return withHint(fmt.Errorf("%s already has %s, which must not be overwritten", dir, strings.Join(there, ", ")), "name another folder with --dir, or remove them")
}

// quickstartFiles makes a new signing key and tokens signed with it.
func quickstartFiles(dir string) error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return err
	}
	point, err := private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return err
	}
	b64 := base64.RawURLEncoding.EncodeToString
	set, err := json.MarshalIndent(map[string]any{"keys": []map[string]string{{
		"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:]),
		"kid": "quickstart", "alg": "ES256", "use": "sig",
	}}}, "", "\t")
	if err != nil {
		return err
	}
	files := []quickstartFile{
		{"signing-key.pem", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})},
		{"jwks.json", append(set, '\n')},
	}
	now := time.Now()
	for _, t := range []struct {
		name     string
		audience string
		expires  time.Duration
	}{
		{"valid", quickstartAudience, time.Hour},
		{"expired", quickstartAudience, -time.Hour},
		{"other-audience", "https://other.quickstart.example", time.Hour},
	} {
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": quickstartIssuer, "aud": t.audience, "sub": "alice", "name": "Alice", "scope": "read write",
			"iat": now.Add(-2 * time.Hour).Unix(), "exp": now.Add(t.expires).Unix(),
		})
		token.Header["kid"] = "quickstart"
		signed, err := token.SignedString(private)
		if err != nil {
			return err
		}
		files = append(files, quickstartFile{t.name + ".header", []byte("Authorization: Bearer " + signed + "\n")})
	}
	// The example's own folder has this very Caddyfile.
	if !sameFile("Caddyfile", examples.Quickstart) {
		files = append(files, quickstartFile{"Caddyfile", examples.Quickstart})
	}
	var names []string
	for _, f := range files {
		names = append(names, f.name)
	}
	// A certificate of an earlier run may stay if its authority is still in use.
	if ca, err := setting.ReadFile(caddyCA); err != nil || !sameFile("ca.crt", ca) {
		names = append(names, "ca.crt")
	}
	if err := checkNoneExists(dir, names); err != nil {
		return err
	}
	for _, f := range files {
		if err := writeNew(f.name, f.content); err != nil {
			return err
		}
	}
	return nil
}

type quickstartFile struct {
	name    string
	content []byte
}

// choosePorts finds free ports on loopback for the site and the upstream, and sets the
// environment variables that the Caddyfile reads. If a port was asked for and is not
// free, it returns an error.
func choosePorts(asked int) (site int, err error) {
	const (
		usualSite, usualUpstream = 8443, 8481
		plainHTTP, last          = 80, 65535
		namePort                 = "name another with --port, or none"
	)
	switch {
	case asked == plainHTTP:
		return 0, withHint(errors.New("port 80 is Caddy's for plain http, and the site is https"), namePort)
	case asked < 0 || asked > last:
		return 0, withHint(fmt.Errorf("invalid port %d", asked), "name one from 1 to 65535 with --port, or none")
	}
	candidates := []int{usualSite, 0}
	if asked != 0 {
		candidates = []int{asked}
	}
	first, err := freePort(candidates)
	if err != nil {
		return 0, withHint(fmt.Errorf("the port is not available: %w", err), namePort)
	}
	defer first.Close() // kept until the other port is found, so that the two differ
	second, err := freePort([]int{usualUpstream, 0})
	if err != nil {
		return 0, fmt.Errorf("no port is available for the upstream: %w", err)
	}
	defer second.Close()
	site = first.Addr().(*net.TCPAddr).Port
	upstream := second.Addr().(*net.TCPAddr).Port
	return site, errors.Join(os.Setenv("HTTPS_PORT", strconv.Itoa(site)), os.Setenv("UPSTREAM_PORT", strconv.Itoa(upstream)))
}

// freePort listens on the first port that is free.
func freePort(candidates []int) (l net.Listener, err error) {
	for _, port := range candidates {
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return nil, err
}
