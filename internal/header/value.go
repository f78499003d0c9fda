package header

import (
	"fmt"
	"strings"
	"unicode/utf16"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// value returns the value for an identity; ok is false for a claim that is absent,
// null or an empty list.
func (f *forwarded) value(id *identity.Identity) (value string, ok bool, err error) {
	var (
		v    claims.Value
		text string
	)
	isText := true
	switch f.index {
	case forwardUser:
		text = id.User()
	case forwardIssuer:
		text = id.Issuer()
	case forwardKeyID:
		text = id.KeyID()
	case forwardMethod:
		text = id.Method()
	case forwardScopes:
		if isText = !f.JSON; isText {
			text = strings.Join(id.Scopes(), " ")
		} else {
			v = claims.TextList(id.Scopes())
		}
	default:
		v, _ = id.Claims().Lookup(f.What)
		text, isText = v.Text()
	}
	switch {
	case isText && f.JSON:
		return asciiJSON(claims.TextValue(text).AppendJSON(nil)), true, nil
	case isText && !sendable(text):
		return "", false, reason.UnforwardableClaim
	case isText:
		return text, text != "", nil
	case v.Kind() == claims.Null:
		return "", false, nil
	case f.JSON:
		return asciiJSON(v.AppendJSON(nil)), true, nil
	case v.Kind() == claims.Array && !listable(v):
		return "", false, reason.UnforwardableClaim
	}
	if value = v.Render(); !sendable(value) {
		return "", false, reason.UnforwardableClaim
	}
	return value, value != "", nil
}

// asciiJSON returns JSON with \u escapes for what is not printable ASCII, which is only in
// its strings: many servers read a header's bytes as another encoding than UTF-8 (RFC 9110
// section 5.5).
func asciiJSON(text []byte) string {
	plain := true
	for _, c := range text {
		if c >= 0x7f {
			plain = false
			break
		}
	}
	if plain {
		return string(text)
	}
	out := make([]byte, 0, len(text)*2)
	for _, r := range string(text) {
		switch {
		case r < 0x7f:
			out = append(out, byte(r))
		case r <= 0xffff:
			out = fmt.Appendf(out, "\\u%04x", r)
		default:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, "\\u%04x\\u%04x", high, low)
		}
	}
	return string(out)
}

// listable reports whether a list, joined with commas, can be split again.
func listable(v claims.Value) bool {
	for i := range v.Len() {
		if element := v.At(i).Render(); strings.Contains(element, ",") || !sendable(element) {
			return false
		}
	}
	return true
}

// sendable reports whether a value reaches the upstream unchanged: control
// characters would end the header or be refused, and HTTP trims spaces at the ends.
func sendable(value string) bool {
	for i := range len(value) {
		if c := value[i]; c < ' ' || c == 0x7f {
			return false
		}
	}
	return value == "" || value[0] != ' ' && value[len(value)-1] != ' '
}
