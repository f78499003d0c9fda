package command

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
)

// claimFlags are the flags of `sign` that make claims.
type claimFlags struct {
	iss, sub, expires, notBefore, jti, claims string
	aud, scope, claim                         []string
	noExpiry                                  bool
}

func (f *claimFlags) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&f.iss, "iss", "", "The issuer (iss)")
	flags.StringVar(&f.sub, "sub", "", "The subject (sub): the user, or the device")
	flags.StringArrayVar(&f.aud, "aud", nil, "Whom the token is for (aud); may be repeated")
	flags.StringVar(&f.expires, "expires", "", "When it expires (exp): a time such as 2030-12-31T23:59:59Z, or a duration such as 1h or 90d")
	flags.BoolVar(&f.noExpiry, "no-expiry", false, "Make a token that never expires, which servers refuse unless they are told otherwise")
	flags.StringVar(&f.notBefore, "not-before", "", "From when on it is valid (nbf): now, a time, or a duration from now")
	flags.StringVar(&f.jti, "jti", "", "The token's id (jti); auto makes one")
	flags.StringArrayVar(&f.scope, "scope", nil, "What the token allows (scope); may be repeated")
	flags.StringArrayVar(&f.claim, "claim", nil, "A further claim, name=text or name:=JSON; may be repeated")
	flags.StringVar(&f.claims, "claims", "", "Claims in JSON: @FILE, @- or the text")
}

// members returns the claims that the flags give, in the order in which RFC 7519 has them.
func (f *claimFlags) members(now time.Time) (members []claims.Member, err error) {
	text := func(name, value string) {
		if value != "" {
			members = append(members, claims.Member{Name: name, Value: claims.TextValue(value)})
		}
	}
	at := func(name string, t time.Time) {
		members = append(members, claims.Member{Name: name, Value: secondsValue(t)})
	}
	text("iss", f.iss)
	text("sub", f.sub)
	if slices.Contains(f.aud, "") {
		return nil, errors.New("--aud is empty; an unset variable, perhaps")
	}
	switch len(f.aud) {
	case 0:
	case 1:
		text("aud", f.aud[0]) // most readers know no more than a text
	default:
		members = append(members, claims.Member{Name: "aud", Value: claims.TextList(f.aud)})
	}
	if f.expires != "" {
		t, err := parseExpiry(f.expires, now)
		if err != nil {
			return nil, fmt.Errorf("--expires: %w", err)
		}
		at("exp", t)
	}
	if f.notBefore != "" {
		t, err := parseFrom(f.notBefore, now)
		if err != nil {
			return nil, fmt.Errorf("--not-before: %w", err)
		}
		at("nbf", t)
	}
	if f.jti == "auto" {
		text("jti", rand.Text())
	} else {
		text("jti", f.jti)
	}
	words := strings.Fields(strings.Join(f.scope, " "))
	for _, word := range words {
		if !claims.ScopeToken(word) {
			return nil, fmt.Errorf("--scope: %s is no scope (RFC 6749 section 3.3); write printable ASCII without quotes and backslashes", apikey.Quote(word))
		}
	}
	if len(words) == 0 && len(f.scope) > 0 {
		return nil, errors.New("--scope is empty; an unset variable, perhaps")
	}
	text("scope", strings.Join(words, " "))
	for _, pair := range f.claim {
		m, err := parseClaim(pair)
		if err != nil {
			return nil, fmt.Errorf("--claim: %w", err)
		}
		members = append(members, m)
	}
	return members, nil
}

// secondsValue is a time as claims have it.
func secondsValue(t time.Time) claims.Value {
	v, err := claims.ParseObject([]byte(`{"t":` + strconv.FormatInt(t.Unix(), 10) + `}`))
	if err != nil {
		panic(err) // a number always has a form in JSON
	}
	return v.At(0)
}

// parseFrom parses a time: now, RFC 3339, or a duration from now.
func parseFrom(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return now, nil
	}
	if d, err := caddy.ParseDuration(text); err == nil {
		return now.Add(d), nil
	}
	t, err := apikey.ParseTime(text)
	if err != nil {
		return t, fmt.Errorf("%w, now, or a duration from now such as 10m", err)
	}
	return t, nil
}

// parseClaim parses name=text or name:=JSON.
func parseClaim(pair string) (m claims.Member, err error) {
	name, value, ok := strings.Cut(pair, "=")
	name, isJSON := strings.CutSuffix(name, ":")
	if !ok || name == "" {
		return m, withHint(errors.New("it has no name and value"), "write name=text, or name:=JSON for numbers, lists and objects")
	}
	if !isJSON {
		return claims.Member{Name: name, Value: claims.TextValue(value)}, nil
	}
	object, err := claims.ParseObject([]byte(`{"v":` + value + `}`))
	if err != nil || object.Len() != 1 {
		return m, withHint(fmt.Errorf("the value of %s is not JSON", apikey.Quote(name)), `write name:=["a","b"], name:=true or name:=42 in quotes for the shell, or name=text`)
	}
	return claims.Member{Name: name, Value: object.At(0)}, nil
}

// body returns the claims of the token, and what is odd about them.
func (f *claimFlags) body(cmd *cobra.Command, given []claims.Member, now time.Time) (body claims.Value, notes []string, err error) {
	var members []claims.Member
	if f.claims != "" {
		if members, err = f.read(cmd); err != nil {
			return body, nil, err
		}
	}
	for _, m := range given {
		if slices.ContainsFunc(members, func(have claims.Member) bool { return have.Name == m.Name }) {
			return body, nil, misuse(withHint(fmt.Errorf("duplicate claim %s", apikey.Quote(m.Name)), "remove one"))
		}
		members = append(members, m)
	}
	if !slices.ContainsFunc(members, func(m claims.Member) bool { return m.Name == "iat" }) {
		members = append(members, claims.Member{Name: "iat", Value: secondsValue(now)})
	}
	body = claims.ObjectValue(members...)
	notes, err = f.checkBody(body, now)
	return body, notes, err
}

// read reads the claims in JSON.
func (f *claimFlags) read(cmd *cobra.Command) (members []claims.Member, err error) {
	text := []byte(f.claims)
	if path, ok := strings.CutPrefix(f.claims, "@"); ok {
		if text, err = readInput(cmd, path); err != nil {
			return nil, err
		}
	}
	object, err := claims.ParseObject([]byte(strings.TrimPrefix(string(text), "\ufeff")))
	if err != nil {
		return nil, withHint(fmt.Errorf("the claims of --claims can't be read: %w", err), `write an object such as {"sub":"42"}, or name its file as @FILE`)
	}
	for i := range object.Len() {
		members = append(members, claims.Member{Name: object.NameAt(i), Value: object.At(i)})
	}
	return members, nil
}

// checkBody returns an error for claims that no server would take, and notes for those that
// most refuse.
func (f *claimFlags) checkBody(body claims.Value, now time.Time) (notes []string, err error) {
	for _, name := range []string{"iss", "sub", "jti", "scope"} {
		v, ok := body.Member(name)
		if text, isText := v.Text(); ok && (!isText || text == "") {
			return nil, withHint(fmt.Errorf("the claim %s is empty or no text", name), "write a text, or leave it out")
		}
	}
	if v, ok := body.Member("aud"); ok && !isAudience(v) {
		return nil, withHint(errors.New("the claim aud is empty, or neither a text nor a list of texts"), "write it with --aud")
	}
	times := map[string]time.Time{}
	for _, name := range []string{"exp", "nbf", "iat"} {
		v, ok := body.Member(name)
		if !ok {
			continue
		}
		digits, isNumber := v.Digits()
		t, ms, ok := claimTime(digits)
		switch {
		case !isNumber || !ok:
			return nil, withHint(fmt.Errorf("the claim %s is no time", name), "write seconds since 1970 as a number (RFC 7519 section 2), or use --expires and --not-before")
		case ms:
			return nil, withHint(fmt.Errorf("the claim %s is in milliseconds", name), "write seconds since 1970 (RFC 7519 section 2)")
		}
		times[name] = t
	}
	exp, hasExp := times["exp"]
	nbf, hasNbf := times["nbf"]
	switch {
	case !hasExp && !f.noExpiry:
		return nil, misuse(withHint(errors.New("it is not said when the token expires"), "say it with --expires, such as --expires 1h; --no-expiry makes a token that never does, which servers refuse unless they are told otherwise"))
	case hasExp && f.noExpiry:
		return nil, misuse(withHint(errors.New("the token expires, and --no-expiry says that it must not"), "remove one"))
	case hasExp && hasNbf && !nbf.Before(exp):
		return nil, withHint(errors.New("the token would never be valid, as it expires before it begins (nbf is not before exp)"), "correct --not-before or --expires")
	}
	if hasExp && !exp.After(now) {
		notes = append(notes, "the token has expired already, "+sinceOrUntil(exp, now))
	}
	if hasExp && exp.Sub(now) > longLife {
		notes = append(notes, "the token is valid for more than a year; anyone who finds it can use it for as long, unless it is revoked (caddy jwt revoke)")
	}
	if !hasExp {
		notes = append(notes, "the token never expires, and servers refuse it unless the issuer's block has allow_no_expiry")
	}
	if iat := times["iat"]; iat.After(now.Add(time.Minute)) {
		notes = append(notes, "iat is in the future, and servers refuse the token until then")
	}
	for _, need := range []struct{ name, text string }{
		{"iss", "there is no iss, and servers refuse the token unless they are told to accept those of no issuer (--iss)"},
		{"aud", "there is no aud, and servers refuse the token unless they are told otherwise (--aud)"},
		{"sub", "there is no sub, and servers refuse the token unless they find the user in another claim (--sub)"},
	} {
		if _, ok := body.Member(need.name); !ok {
			notes = append(notes, need.text)
		}
	}
	return notes, nil
}

// isAudience reports whether a value is a good aud (RFC 7519 section 4.1.3).
func isAudience(v claims.Value) bool {
	good := func(v claims.Value) bool { text, ok := v.Text(); return ok && text != "" }
	if v.Kind() != claims.Array {
		return good(v)
	}
	for i := range v.Len() {
		if !good(v.At(i)) {
			return false
		}
	}
	return v.Len() > 0
}
