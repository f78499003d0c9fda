// Package tokenservice is an authorization server for machines: it turns an API key, a
// client's signature or a platform's token into a short-lived token (RFC 6749 section 4.4,
// RFC 7523, RFC 9068), and says what became of it (RFC 7009, RFC 7662). There is one grant,
// no browser and no session.
//
// It knows HTTP, but not Caddy.
package tokenservice
