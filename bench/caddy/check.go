package main

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(signatureCheck))
	httpcaddyfile.RegisterHandlerDirective("signature_check", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		c := new(signatureCheck)
		if !h.Args(&c.PublicKey) {
			return nil, h.ArgErr()
		}
		return c, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("signature_check", httpcaddyfile.Before, "respond")
}

// signatureCheck checks the ES256 signature of each request's token with Go's crypto,
// and nothing else: no claim, no time, no other key. It is the least that can stand
// in front of a site whose tokens are all different, and what jwt is held against.
// Nobody is protected by it.
type signatureCheck struct {
	PublicKey string `json:"public_key"`

	key *ecdsa.PublicKey
}

// CaddyModule returns the module's information.
func (*signatureCheck) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.signature_check", New: func() caddy.Module { return new(signatureCheck) }}
}

// Provision reads the key.
func (c *signatureCheck) Provision(caddy.Context) error {
	text, err := os.ReadFile(c.PublicKey)
	if err != nil {
		return err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return errors.New("it is no PEM")
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return err
	}
	var ok bool
	if c.key, ok = key.(*ecdsa.PublicKey); !ok {
		return errors.New("it is no key for ES256")
	}
	return nil
}

// ServeHTTP checks the signature.
func (c *signatureCheck) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return caddyhttp.Error(http.StatusUnauthorized, errors.New("no token"))
	}
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || len(signature) != 64 {
		return caddyhttp.Error(http.StatusUnauthorized, errors.New("no signature"))
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	if !ecdsa.Verify(c.key, digest[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		return caddyhttp.Error(http.StatusUnauthorized, errors.New("a wrong signature"))
	}
	return next.ServeHTTP(w, r)
}
