package command

import (
	"encoding/base64"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// noteParts notes what is odd about the form of a token.
func (d *decodedToken) noteParts(parts []string) {
	switch {
	case len(parts) == 2:
		d.note("parts", "the token has two parts, and three are needed: it was cut off, and has no signature")
	case len(parts) > 3:
		d.note("parts", "the token has %d parts with dots between them, and three are needed", len(parts))
	case parts[2] == "":
		d.note("no_signature", "the token has no signature: anybody can change what it says, and no server may accept it")
	default:
		if _, err := base64.RawURLEncoding.Strict().DecodeString(parts[2]); err != nil {
			d.note("encoding", "the signature is not in strict base64url (RFC 7515 section 2): was the token cut or changed when it was copied?")
		}
	}
}

// fromToken are members of a header that name a key: anyone who makes the token chooses it.
var fromToken = []string{"jku", "jwk", "x5u", "x5c"}

// noteHeader notes what is odd or dangerous in the header.
func (d *decodedToken) noteHeader() {
	alg := textMember(d.header, "alg")
	_, known := key.ParseAlgorithm(alg)
	switch {
	case d.HeaderText != "":
		return
	case strings.EqualFold(alg, "none"):
		d.note("alg_none", "alg is none: the token is not signed, and no server may accept it (RFC 8725 section 3.2)")
	case alg == "":
		d.note("alg_missing", "the header has no alg, so it is not a JWT that can be verified")
	case !known:
		d.note("alg_unknown", "alg is none that servers with this plugin verify")
	}
	var names []string
	for _, name := range fromToken {
		if _, ok := d.header.Member(name); ok {
			names = append(names, name)
		}
	}
	if names != nil {
		d.note("key_in_token", "the header names its own key (%s): a server that used it would accept anybody's tokens. Servers with this plugin ignore it, and nothing was fetched here", strings.Join(names, ", "))
	}
	for _, m := range []struct{ name, text string }{
		{"crit", "the header has crit, an extension that must be understood; servers with this plugin understand none, and refuse the token"},
		{"enc", "the header has enc, which is for encrypted tokens; servers with this plugin refuse the token"},
	} {
		if _, ok := d.header.Member(m.name); ok {
			d.note(m.name, "%s", m.text)
		}
	}
	if b64, ok := d.header.Member("b64"); ok {
		if truth, isBool := b64.True(); !isBool || !truth {
			d.note("b64", "b64 is not true: the claims are not encoded as those of a JWT, and servers with this plugin refuse the token")
		}
	}
	if strings.EqualFold(textMember(d.header, "cty"), "JWT") {
		d.note("nested", "cty is JWT: another token is inside, and servers with this plugin refuse it")
	}
}

// longLife is how long after its iat, or from now on, a token may be valid without a note.
const longLife = 366 * 24 * time.Hour

// noteClaims notes what is odd or dangerous in the claims.
func (d *decodedToken) noteClaims(now time.Time) {
	if d.ClaimsText != "" {
		return
	}
	if d.Kind == recognize.IDToken {
		d.note("id_token", "it looks like an ID token, which tells a client who signed in; an API wants the access token, which came with it")
	}
	if issuer, ok := d.claims.Member("iss"); !ok {
		d.note("iss_missing", "there is no iss: a server must be told to accept tokens of no issuer")
	} else if text, isText := issuer.Text(); !isText || text != strings.TrimSpace(text) || text == "" {
		d.note("iss_odd", "iss is empty, has spaces around it, or is no text; servers compare it byte for byte")
	}
	if _, ok := d.claims.Member("aud"); !ok {
		d.note("aud_missing", "there is no aud: the token does not say whom it is for, and servers refuse it unless they are told otherwise")
	}
	if _, ok := d.claims.Member("cnf"); ok {
		d.note("bound", "cnf binds the token to a key of its holder (RFC 7800); servers with this plugin refuse it unless allow_bound_tokens is set")
	}
	exp, hasExp := d.noteTime("exp")
	nbf, hasNbf := d.noteTime("nbf")
	iat, hasIat := d.noteTime("iat")
	if _, ok := d.claims.Member("exp"); !ok {
		d.note("exp_missing", "there is no exp: the token never expires, and servers refuse it unless they are told otherwise")
	}
	if hasExp && !now.Before(exp) {
		d.note("expired", "it expired %s", sinceOrUntil(exp, now))
	}
	if hasNbf && now.Before(nbf) {
		d.note("not_yet_valid", "it is valid only %s (nbf)", sinceOrUntil(nbf, now))
	}
	if hasNbf && hasExp && !nbf.Before(exp) {
		d.note("never_valid", "nbf is not before exp: the token is never valid")
	}
	if hasIat && now.Before(iat) {
		d.note("issued_in_future", "it will have been issued %s (iat): are both clocks right?", sinceOrUntil(iat, now))
	}
	start := now
	if hasIat && iat.Before(now) {
		start = iat
	}
	if hasExp && exp.Sub(start) > longLife {
		d.note("long_lived", "it is valid for more than a year: anyone who finds it can use it for as long, unless it is revoked")
	}
}

// noteTime returns the time of a claim, and notes what is odd about it.
func (d *decodedToken) noteTime(name string) (time.Time, bool) {
	v, ok := d.claims.Member(name)
	if !ok {
		return time.Time{}, false
	}
	digits, isNumber := v.Digits()
	t, ms, ok := claimTime(digits)
	switch {
	case !isNumber:
		d.note(name+"_not_number", "%s is no number, and must be one: seconds since 1970 (RFC 7519 section 2)", name)
	case !ok:
		d.note(name+"_not_time", "%s is no time between 1970 and 9999", name)
	case ms:
		d.note(name+"_milliseconds", "%s seems to be in milliseconds, and must be in seconds (RFC 7519 section 2): as it stands it is thousands of years ahead", name)
	default:
		return t, true
	}
	return time.Time{}, false
}

// claimTime reads a time in seconds since 1970. ms reports that it must have been meant in
// milliseconds, as which it is read then: in seconds it would be after the year 5000.
func claimTime(digits string) (t time.Time, ms, ok bool) {
	seconds, err := strconv.ParseFloat(digits, 64)
	if err != nil || seconds < 0 || seconds > 253402300799_000 {
		return t, false, false
	}
	if seconds > 1e11 {
		if ms, seconds = true, seconds/1000; seconds > 253402300799 {
			return t, false, false
		}
	}
	whole, part := math.Modf(seconds)
	return time.Unix(int64(whole), int64(part*1e9)).UTC(), ms, true
}

// sinceOrUntil says how long ago a time was, or how long it is until then, in one unit.
func sinceOrUntil(t, now time.Time) string {
	d := t.Sub(now)
	text := aboutDuration(d.Abs())
	switch {
	case d.Abs() < time.Second:
		return "now"
	case d < 0:
		return text + " ago"
	}
	return "in " + text
}

// aboutDuration is a duration as people say it: 1 minute, 5 hours, 3 days.
func aboutDuration(d time.Duration) string {
	const day = 24 * time.Hour
	unit, name := time.Second, "second"
	switch {
	case d >= 2*365*day:
		unit, name = 365*day, "year"
	case d >= 2*day:
		unit, name = day, "day"
	case d >= 2*time.Hour:
		unit, name = time.Hour, "hour"
	case d >= 2*time.Minute:
		unit, name = time.Minute, "minute"
	}
	n := int64(d / unit)
	if n != 1 {
		name += "s"
	}
	return fmt.Sprintf("%d %s", n, name)
}

// textMember returns a member that is a text; empty if it is none.
func textMember(object claims.Value, name string) string {
	v, _ := object.Member(name)
	text, _ := v.Text()
	return text
}
