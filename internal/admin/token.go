package admin

import (
	"encoding/base64"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// tokenExpiry returns the "exp" of a JWT, in whole seconds rounded up; false for a token that
// is not a JWT in the compact form, or has none. Nothing is verified: the digest of the token
// covers it, and a token with another "exp" has another digest.
func tokenExpiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	_, isJWT := tokenObject(parts[0])
	payload, ok := tokenObject(parts[1])
	if !isJWT || !ok {
		return time.Time{}, false
	}
	exp, _ := payload.Member("exp")
	digits, _ := exp.Digits()
	seconds, err := strconv.ParseFloat(digits, 64)
	if err != nil || seconds < 0 || seconds > maxTime {
		return time.Time{}, false
	}
	return time.Unix(int64(math.Ceil(seconds)), 0).UTC(), true
}

// maxTime is the end of the year 9999, the last that RFC 3339 can write.
const maxTime = 253402300799

func tokenObject(part string) (claims.Value, bool) {
	content, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return claims.Value{}, false
	}
	object, err := claims.ParseObject(content)
	return object, err == nil
}
