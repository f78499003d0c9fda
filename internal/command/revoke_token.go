package command

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// tokenSays is what a token says of itself. Its signature was not checked.
type tokenSays struct {
	text                string // the whole token
	jwt                 bool   // whether the claims could be read
	id, issuer, subject string
	issued, expires     time.Time
	uti                 bool // whether it has Entra's id of a token instead of jti
}

// readToken reads a token from @FILE, @- or, if the caller insists, the argument. Its
// errors don't show the token.
func readToken(cmd *cobra.Command, arg string, insist bool) (tokenSays, error) {
	found, err := findToken(cmd, arg, insist)
	if err != nil {
		return tokenSays{}, err
	}
	if id, isKey := apikey.IDOf(found.Text); isKey {
		return tokenSays{}, withHint(errors.New("it is an API key, not a token"), "caddy jwt revoke --key %s refuses it everywhere", id)
	}
	return parseTokenClaims(found.Text), nil
}

// parseTokenClaims reads the claims of a token, if it is a JWT.
func parseTokenClaims(text string) tokenSays {
	t := tokenSays{text: text}
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return t
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return t
	}
	object, err := claims.ParseObject(payload)
	if err != nil {
		return t
	}
	t.jwt = true
	member := func(name string) string {
		v, _ := object.Member(name)
		text, _ := v.Text()
		return text
	}
	t.id, t.issuer, t.subject = member("jti"), member("iss"), member("sub")
	t.issued, t.expires = timeClaim(object, "iat"), timeClaim(object, "exp")
	t.uti = t.id == "" && member("uti") != ""
	return t
}

// timeClaim reads a time in seconds, rounded up; zero for none.
func timeClaim(object claims.Value, name string) time.Time {
	v, _ := object.Member(name)
	digits, ok := v.Digits()
	if !ok {
		return time.Time{}
	}
	seconds, err := strconv.ParseFloat(digits, 64)
	if err != nil || seconds <= 0 || seconds > 253402300799 { // the year 9999
		return time.Time{}
	}
	return time.Unix(int64(math.Ceil(seconds)), 0).UTC()
}

// rule returns the rule that refuses the token, with its kind and what it is limited to:
// by its id if it has one and says who issued it, else by what is signed of it.
func (t tokenSays) rule() admin.RevocationRequest {
	if t.id == "" || t.issuer == "" {
		return admin.RevocationRequest{Kind: "token", Value: t.text, End: t.expires}
	}
	return admin.RevocationRequest{Kind: "jti", Value: t.id, Issuer: t.issuer, End: t.expires}
}

// print prints what the token says.
func (t tokenSays) print(out io.Writer) error {
	if !t.jwt {
		_, err := fmt.Fprintln(out, "It is not a JWT, or an encrypted one, so it is revoked as this very text.")
		return err
	}
	lines := "The token says, and its signature was NOT checked:\n"
	for _, member := range []struct{ name, value string }{
		{"issuer (iss)", t.issuer}, {"id (jti)", t.id}, {"subject (sub)", t.subject},
		{"issued (iat)", shownTime(t.issued)}, {"expires (exp)", shownTime(t.expires)},
	} {
		if member.value == "" || member.value == "-" {
			member.value = "nothing"
		}
		lines += fmt.Sprintf("  %-14s %s\n", member.name, terminal.Text(member.value))
	}
	if t.uti {
		lines += "It has no jti but uti, as Entra's tokens do, so the rule is about this very token. For all\nthat the user has, write --sub with the user's id, and --not-before now.\n"
	}
	_, err := io.WriteString(out, lines)
	return err
}
