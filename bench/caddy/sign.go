package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	caddy.RegisterModule(new(signatureMade))
	httpcaddyfile.RegisterHandlerDirective("signature_made", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		if h.NextArg() {
			return nil, h.ArgErr()
		}
		return new(signatureMade), nil
	})
	httpcaddyfile.RegisterDirectiveOrder("signature_made", httpcaddyfile.Before, "respond")
}

// signatureMade makes one ES256 signature with Go's crypto for each request, and nothing else:
// the least that an endpoint for tokens can do, and what it is held against. The signature goes
// nowhere.
type signatureMade struct {
	key *ecdsa.PrivateKey
}

// CaddyModule returns the module's information.
func (*signatureMade) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.signature_made", New: func() caddy.Module { return new(signatureMade) }}
}

// Provision makes the key.
func (s *signatureMade) Provision(caddy.Context) (err error) {
	s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return err
}

// ServeHTTP signs as many bytes as a token has in front of its signature.
func (s *signatureMade) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	var input [400]byte
	copy(input[:], r.RemoteAddr)
	digest := sha256.Sum256(input[:])
	if _, err := ecdsa.SignASN1(rand.Reader, s.key, digest[:]); err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, err)
	}
	return next.ServeHTTP(w, r)
}
