package admin

import (
	"crypto/sha256"
	"encoding/hex"
	"net"
	"net/http"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// maxWho is how many characters of a name from outside are kept.
const maxWho = 128

// caller returns who sends a request: the client certificate's subject and the digest of its
// public key, or else the address, or else the socket. Caddy's endpoint knows nothing more
// of the other side: who may use it decides who may write to the socket or the port.
func caller(r *http.Request) string {
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && len(r.TLS.PeerCertificates) > 0 {
		certificate := r.TLS.PeerCertificates[0]
		digest := sha256.Sum256(certificate.RawSubjectPublicKeyInfo)
		return bounded(certificate.Subject.String()) + " sha256:" + hex.EncodeToString(digest[:])
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
		return "unix:" + bounded(local.String())
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return bounded(host)
}

// claimed returns for whom the client says that it acts. Nobody has checked that.
func claimed(r *http.Request) string {
	operator := r.Header.Get(operatorHeader)
	if CheckPlain(operator) != nil {
		return "a credential"
	}
	return bounded(operator)
}

// by returns the two for the facts of shared state.
func by(who, claimedBy string) string {
	if claimedBy == "" {
		return who
	}
	if who == "" {
		return "says " + claimedBy
	}
	return who + " (says " + claimedBy + ")"
}

// bounded returns the beginning of a text, safe for a terminal.
func bounded(text string) string {
	n := 0
	for i := range text {
		if n == maxWho {
			return terminal.Text(text[:i]) + "…"
		}
		n++
	}
	return terminal.Text(text)
}
