package recognize

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Found is a token or an API key that was found in a text.
type Found struct {
	// Text is the token alone.
	Text string
	// Kind is what it is.
	Kind Kind
	// Note says what it was taken out of, if that may surprise: of the answer of a token
	// endpoint. Otherwise it is empty.
	Note string
}

// Token returns the one token or API key in a text, without white space, quotes, the word
// Bearer or a header's name around it, and what it is. The error says what it is instead.
func Token(text []byte) (token string, kind Kind, err error) {
	found, err := FindToken(text)
	return found.Text, found.Kind, err
}

// FindToken is Token, and says where it was found.
func FindToken(data []byte) (Found, error) {
	text, err := plain(data, "token")
	if err != nil {
		return Found{}, err
	}
	text = unwrap(text)
	if strings.HasPrefix(text, "{") {
		return tokenInJSON(text)
	}
	return oneToken(text, "")
}

// oneToken returns the token that a text is.
func oneToken(text, note string) (Found, error) {
	if f := formOf(text); f != formOther {
		return Found{}, notToken(f)
	}
	if text == "" {
		return Found{}, &Error{"there is no token in it", "is the file the right one, and the variable set?"}
	}
	if strings.ContainsAny(text, " \t\n") {
		return Found{}, severalWords(text)
	}
	for _, c := range text {
		if c < '!' || c > '~' {
			return Found{}, &Error{"it has characters outside ASCII, which no token has", "copy the token alone, without what an editor or a chat put into it"}
		}
	}
	return Found{text, kindOf(text), note}, nil
}

// notToken says what a text is that is no token.
func notToken(f form) error {
	e := &Error{"it is " + names[f] + ", not a token", "name the file that has the token alone"}
	switch f {
	case formPublicPEM, formCertificate, formJWK, formKeySet:
		e.Do = "tokens have three parts with dots between them and begin with eyJ; what verifies them belongs into the config, or into --jwks"
	case formPrivatePEM, formEncryptedPEM, formOpenSSHPrivate, formPrivateJWK, formSecretJWK, formPuTTY:
		e.Do = "it must not leave the one who signs: caddy jwt sign makes a token with it"
	case formURL:
		e.Do = "nothing is fetched here; save what it answers, or cut the token out of it"
	case formHash:
		e.Do = "the key itself is needed, and only its holder has it"
	case formHTML:
		e.Do = "the server that should have answered with a token has shown a page; look at it in a browser"
	}
	return e
}

// severalWords says what is wrong with a text of several words or lines.
func severalWords(text string) error {
	tokens, parts := 0, true
	words := strings.Fields(text)
	for _, word := range words {
		if strings.Count(word, ".") >= 2 && len(word) > 20 {
			tokens++
		}
		parts = parts && strings.Trim(word, base64URL+".") == ""
	}
	switch {
	case tokens > 1:
		return &Error{fmt.Sprintf("there are %d tokens in it", tokens), "write one alone, such as: head -n 1 FILE"}
	case parts && strings.Count(text, ".") >= 2 && (strings.HasPrefix(text, "eyJ") || tokens == 0):
		return &Error{"the token has spaces or ends of lines in it, as if a mail or an editor had wrapped it, and no server takes it so", "join its lines: tr -d ' \\n' < FILE"}
	case tokens == 1:
		return &Error{"there are other words beside the token", "write the token alone"}
	}
	return &Error{"it is not one token, as it has spaces or several lines", "write the token alone"}
}

const base64URL = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_="

// kindOf tells a text without spaces.
func kindOf(text string) Kind {
	if _, ours := apikey.IDOf(text); ours {
		return APIKey
	}
	parts := strings.Split(text, ".")
	header, err := claims.ParseObject(decoded(parts[0]))
	begins := err == nil || strings.HasPrefix(parts[0], "eyJ")
	switch {
	case len(parts) == 5 && begins:
		return JWE
	case len(parts) == 3 && err == nil:
		if body, err := claims.ParseObject(decoded(parts[1])); err == nil && IsIDToken(header, body) {
			return IDToken
		}
		return JWT
	// A version before the dots is PASETO's, as in v4.public.….
	case len(parts) > 1 && begins, len(parts) == 3 && strings.Trim(text, base64URL+".") == "" && !paseto.MatchString(text):
		return JWT
	}
	return Opaque
}

var paseto = regexp.MustCompile(`^v[1-4]\.(local|public)\.`)

// decoded decodes base64url, with or without padding, and base64; nil if it is neither.
func decoded(text string) []byte {
	text = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(text, "="))
	out, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return nil
	}
	return out
}

// IsIDToken reports whether a token looks as if it told a client who signed in, rather than
// to be for an API. It is a guess, for advice: issuers don't mark them (RFC 9068 section 1 is
// there to change that).
func IsIDToken(header, body claims.Value) bool {
	is := func(v claims.Value, name string, values ...string) bool {
		m, _ := v.Member(name)
		text, _ := m.Text()
		for _, value := range values {
			if strings.EqualFold(text, value) {
				return true
			}
		}
		return false
	}
	has := func(name string) bool { _, ok := body.Member(name); return ok }
	switch {
	case is(header, "typ", "at+jwt", "application/at+jwt"), is(body, "token_use", "access"), is(body, "typ", "Bearer"):
		return false
	case is(body, "token_use", "id"), is(body, "typ", "ID"): // Cognito, Keycloak
		return true
	case has("scope"), has("scp"):
		return false
	case has("at_hash"), has("c_hash"), has("nonce"):
		return true
	}
	// Who asked is who it is for.
	azp, _ := body.Member("azp")
	client, _ := azp.Text()
	return client != "" && is(body, "aud", client) && has("sub")
}

// unwrap removes what surrounds a token: quotes, a header's name, the scheme, the name of a
// variable.
func unwrap(text string) string {
	for {
		before := text
		text = strings.TrimSpace(text)
		for _, pair := range [...][2]string{{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"“", "”"}, {"<", ">"}} {
			if inner, ok := strings.CutPrefix(text, pair[0]); ok {
				if inner, ok = strings.CutSuffix(inner, pair[1]); ok && !strings.ContainsAny(inner, "<>") {
					text = inner
				}
			}
		}
		text = around.ReplaceAllString(text, "")
		if name := variable.FindString(text); name != "" && kindOf(strings.Trim(text[len(name):], `"'`)) != Opaque {
			text = text[len(name):]
		}
		if text == before {
			return text
		}
	}
}

var (
	// What stands before a token in a header, or where a header is written.
	around = regexp.MustCompile(`(?i)^(-H\s+|--header\s+|authorization\s*:\s*|x-api-key\s*:\s*|bearer\s+|dpop\s+)`)
	// A variable of a shell or of a file of them.
	variable = regexp.MustCompile(`^(export\s+)?[A-Za-z_][A-Za-z0-9_]*=`)
)

// tokenInJSON returns the token in the answer of a token endpoint (RFC 6749 section 5.1).
func tokenInJSON(text string) (Found, error) {
	if f := jsonForm(text); f != formJSON {
		return Found{}, notToken(f)
	}
	object, err := claims.ParseLarge([]byte(text), claims.MaxValues)
	if err != nil {
		return Found{}, &Error{"it is JSON that can't be read, not a token", "write the token alone"}
	}
	member := func(name string) string {
		v, _ := object.Member(name)
		text, _ := v.Text()
		return text
	}
	has := func(name string) bool { _, ok := object.Member(name); return ok }
	switch {
	case member("access_token") != "":
		return oneToken(unwrap(member("access_token")), "it is the answer of a token endpoint, and its access_token was taken")
	case member("token") != "": // of registries, and of caddy jwt sign --json
		return oneToken(unwrap(member("token")), "it is JSON, and its member token was taken")
	case member("key") != "" && has("record"):
		return oneToken(unwrap(member("key")), "it is the answer of caddy jwt api-key, and its key was taken")
	case member("id_token") != "":
		return Found{}, &Error{"it is the answer of a token endpoint with an ID token alone, which is for the client that signed the user in", "ask for an access token for this API, with its scope or audience; to see into the ID token, write it alone"}
	case has("error"):
		return Found{}, &Error{"it is an error that a token endpoint answered with, not a token", "its members error and error_description say why"}
	case has("payload") && (has("signature") || has("signatures")):
		return Found{}, &Error{"it is a JWS in JSON, which servers don't take as a token", "write the compact form: its members protected, payload and signature, joined with dots"}
	case has("ciphertext"):
		return Found{}, &Error{"it is an encrypted token (JWE) in JSON", "only someone with its key can read it"}
	case has("iss"), has("sub"), has("exp"), has("aud"):
		return Found{}, &Error{"these are the claims alone, without header and signature", "caddy jwt sign --claims @FILE makes a token of them"}
	case has("alg"):
		return Found{}, &Error{"this is the header of a token alone", "write the whole token"}
	}
	return Found{}, &Error{"it is JSON without an access_token, not a token", "write the token alone"}
}
