package keystore

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// maxAnswerBytes bounds an answer, before and after it is unpacked.
const maxAnswerBytes = 64 << 10

// judged is an answer about a token.
type judged struct {
	// value is the answer, if the token is active; an object with what makes it another one,
	// if it is refused; else null.
	value  claims.Value
	active bool
	// bytes is what value takes.
	bytes int
	// expires is the exp, if the token is active and has one.
	expires time.Time
}

// maxSaid is how long a text may be that is repeated in what is said about a refused answer.
const maxSaid = 64

// judge reads the answer about a token (RFC 7662 section 2.2). An error means that it is none.
// issuer is what its iss must be, if it has one; empty for any.
func judge(body []byte, issuer string, allowUntyped bool) (judged, error) {
	if len(body) > maxAnswerBytes {
		return judged{}, errAnswerTooLarge
	}
	// The value shares its memory, and is kept.
	value, err := parseJSONUpTo(bytes.Clone(body), claims.MaxValues)
	if err != nil {
		return judged{}, fmt.Errorf("the answer %w", err)
	}
	member, _ := value.Member("active")
	active, ok := member.True()
	if !ok {
		return judged{}, errors.New(`the answer has no "active" that is true or false (RFC 7662 section 2.2)`)
	}
	if !active {
		return judged{}, nil
	}
	// Whether a bound token may be used without the proof of its key is for the one who judges
	// the claims.
	cnf, _ := value.Member("cnf")
	says, others := claims.AccessToken(value, cnf.Kind() == claims.Object)
	refused, typed := len(others) > 0, says || allowUntyped
	said := []claims.Member{{Name: "active", Value: member}}
	for _, name := range others {
		kind, _ := value.Member(name)
		said = append(said, claims.Member{Name: name, Value: briefly(kind)})
	}
	if iss, ok := value.Member("iss"); ok && issuer != "" {
		if text, ok := iss.Text(); !ok || text != issuer {
			refused = true
			said = append(said, claims.Member{Name: "iss", Value: briefly(iss)})
		}
	}
	if refused || !typed {
		return judged{value: claims.ObjectValue(said...)}, nil
	}
	j := judged{value: value, active: true, bytes: len(body) + value.Footprint()}
	if exp, ok := value.Member("exp"); ok {
		j.expires = expiry(exp)
	}
	return j, nil
}

// briefly returns a value that keeps little memory: a text if it is short, else the empty one.
func briefly(v claims.Value) claims.Value {
	text, _ := v.Text()
	if len(text) > maxSaid {
		text = ""
	}
	return claims.TextValue(strings.Clone(text))
}

// expiry returns the time of an exp, to know how long an answer may be kept. What is no number
// or no possible time is long past: the answer is judged, and not kept.
func expiry(exp claims.Value) time.Time {
	digits, ok := exp.Digits()
	seconds, err := strconv.ParseFloat(digits, 64)
	if !ok || err != nil || !(seconds >= 0 && seconds <= math.MaxInt32*64.0) {
		return time.Unix(0, 0)
	}
	return time.Unix(int64(seconds), 0)
}

var errAnswerTooLarge = fmt.Errorf("the answer is larger than %d bytes", maxAnswerBytes)
