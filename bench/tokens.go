package main

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	issuer   = "https://auth.example.com/"
	audience = "https://api.example.com"
)

// issuerKeys are made for each run.
type issuerKeys struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey

	rsaFile, ecFile string // the public keys
}

func newIssuerKeys(dir string) (*issuerKeys, error) {
	k := &issuerKeys{rsaFile: filepath.Join(dir, "rsa.pem"), ecFile: filepath.Join(dir, "ec.pem")}
	var err error
	if k.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		return nil, err
	}
	if k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	for file, public := range map[string]crypto.PublicKey{k.rsaFile: k.rsa.Public(), k.ecFile: k.ec.Public()} {
		der, err := x509.MarshalPKIXPublicKey(public)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// token has the claims of a usual access token. n makes it different from others.
func token(method jwt.SigningMethod, private crypto.PrivateKey, n int) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(method, jwt.MapClaims{
		"iss": issuer, "aud": []string{audience}, "sub": fmt.Sprintf("auth0|%024d", n), "azp": "my-client-id-of-32-characters-xx",
		"iat": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(), "scope": "openid profile email orders:read orders:write",
		"roles": []string{"admin", "editor"}, "jti": fmt.Sprintf("%032d", n),
	}).SignedString(private)
}

// tokenFile writes a file of n tokens that are signed with ES256, from the number
// first on.
func (k *issuerKeys) tokenFile(path string, first, n int) (err error) {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	const batch = 1000
	for n > 0 {
		m := min(n, batch*runtime.NumCPU())
		texts := make([]string, m)
		errs := make([]error, runtime.NumCPU())
		var group sync.WaitGroup
		for worker := range errs {
			group.Go(func() {
				for i := worker; i < m; i += len(errs) {
					if texts[i], errs[worker] = token(jwt.SigningMethodES256, k.ec, first+i); errs[worker] != nil {
						return
					}
				}
			})
		}
		group.Wait()
		for _, e := range errs {
			if e != nil {
				return e
			}
		}
		if _, err := w.WriteString(strings.Join(texts, "\n") + "\n"); err != nil {
			return err
		}
		first, n = first+m, n-m
	}
	return w.Flush()
}
