package revocation

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
)

// Kind is what the value of a rule is.
type Kind uint8

// The kinds of rules.
const (
	// KindJTI: the value is the "jti" of a token (RFC 7519 section 4.1.7).
	KindJTI Kind = iota
	// KindSub: the value is the "sub" of tokens, or the user's id as it is published,
	// with its prefix.
	KindSub
	// KindClient: the value is the client of tokens: client_id, azp, appid or cid.
	KindClient
	// KindKey: the value is the id of an API key.
	KindKey
	// KindKid: the value is the "kid" of the key that signed tokens.
	KindKid
	// KindIssuer: all tokens of an issuer that were issued before a time. The value is
	// the "iss".
	KindIssuer
	// KindToken: the value is the digest of what is signed of one token, as TokenValue
	// makes it: other encodings of the signature are refused too.
	KindToken

	kinds = iota
)

// Kinds are all kinds, in their order.
var Kinds = []Kind{KindJTI, KindSub, KindClient, KindKey, KindKid, KindIssuer, KindToken}

var kindNames = [kinds]string{"jti", "sub", "client", "key", "kid", "issuer", "token"}

// String returns the kind as it is written: jti, sub, client, key, kid, issuer, token.
func (k Kind) String() string { return kindNames[k] }

// ParseKind returns the kind that is written so. The error is an *InvalidError.
func ParseKind(text string) (Kind, error) {
	if k, ok := kindOf(text); ok {
		return k, nil
	}
	return 0, invalid("kind", "must be one of %s", strings.Join(kindNames[:], ", "))
}

func kindOf(text string) (Kind, bool) {
	for k, name := range kindNames {
		if name == text {
			return Kind(k), true
		}
	}
	return 0, false
}

// hasNotBefore reports whether rules of the kind may have a time before which tokens were issued.
func (k Kind) hasNotBefore() bool { return k == KindSub || k == KindClient || k == KindIssuer }

// hasIssuer reports whether rules of the kind may be limited to an issuer.
func (k Kind) hasIssuer() bool { return k != KindKey && k != KindIssuer }

// Rule says which tokens or API keys are refused. Only what New returned is valid.
type Rule struct {
	// ID distinguishes the rules for one thing. See PublicID.
	ID uint32
	// Kind and Value are what is refused.
	Kind  Kind
	Value string
	// Issuer is the "iss" to which a rule is limited; empty for every issuer. A rule of
	// KindKid must have it, and one of KindIssuer has it in Value alone.
	Issuer string
	// Store is the store to which a rule of KindKey is limited; empty for every one.
	Store string
	// NotBefore is the time before which tokens must have been issued to be refused, in
	// whole seconds: those with an "iat" before it, and those without one. Zero: all are
	// refused. Only for KindSub, KindClient and KindIssuer, which must have it.
	NotBefore time.Time
	// End is the time from which the rule no longer holds, in whole seconds; zero for
	// never. A rule of KindJTI or KindToken holds a day longer: its end only says when it
	// may be forgotten.
	End time.Time
	// Reason, By and Node are for people: why, who and where.
	Reason, By, Node string
	// At is when the rule was made, in whole seconds.
	At time.Time
	// Own says that a client has revoked its own token, which was in hand with its end: the
	// rule holds until End, and not for a day longer. Only for KindJTI, with an End.
	Own bool
	// Gone makes it the removal of the rule with the same Kind, Value, Issuer, Store
	// and ID.
	Gone bool
}

// Bounds of a rule's texts, in bytes.
const (
	// MaxText bounds Value, Issuer and Reason.
	MaxText = 1024
	// MaxName bounds Store. By and Node are cut to it.
	MaxName = 256
)

// InvalidError says what can't be used of what somebody wrote, and what to write instead.
type InvalidError struct {
	// Member is what is invalid, by its name in the admin API: kind, value, issuer, store,
	// not_before, end, reason or id.
	Member string
	// Problem says what is wrong with it.
	Problem string
}

// Error names the member and the problem.
func (e *InvalidError) Error() string { return e.Member + ": " + e.Problem }

func invalid(member, format string, args ...any) error {
	return &InvalidError{Member: member, Problem: fmt.Sprintf(format, args...)}
}

// New checks a rule, rounds its times to whole seconds (NotBefore and End up), and draws
// its ID. At is taken for the present; zero is the time of the process's clock. The error is
// an *InvalidError, which says what to write instead. What it does not check is how far ahead
// NotBefore is: see CheckNotBefore.
func New(r Rule) (Rule, error) {
	if r.At.IsZero() {
		r.At = clock.System().Now()
	}
	if err := r.check(); err != nil {
		return Rule{}, err
	}
	r.At, r.NotBefore, r.End = floor(r.At), ceil(r.NotBefore), ceil(r.End)
	if !r.NotBefore.IsZero() && r.NotBefore.Unix() < 1 {
		return Rule{}, invalid("not_before", "must be after 1970")
	}
	if !r.End.IsZero() && !r.End.After(r.At) {
		return Rule{}, invalid("end", "must be in the future; leave it out for a rule without an end")
	}
	if r.NotBefore.Unix() > latest || r.End.Unix() > latest {
		return Rule{}, invalid("end", "must be before the year 10000, as not_before must")
	}
	r.By, r.Node, r.Gone = tidy(r.By), tidy(r.Node), false
	var id [4]byte
	rand.Read(id[:])
	r.ID = binary.LittleEndian.Uint32(id[:])
	return r, nil
}

// check checks the texts of a rule and what goes with its kind.
func (r *Rule) check() error {
	if int(r.Kind) >= kinds {
		return invalid("kind", "must be one of %s", strings.Join(kindNames[:], ", "))
	}
	for _, text := range []struct {
		member, text string
		most         int
	}{{"value", r.Value, MaxText}, {"issuer", r.Issuer, MaxText}, {"store", r.Store, MaxName}, {"reason", r.Reason, MaxText}} {
		if err := checkText(text.member, text.text, text.most); err != nil {
			return err
		}
	}
	switch {
	case r.Value == "" && r.Kind == KindIssuer:
		return invalid("value", "must be the issuer, as in the iss of its tokens")
	case r.Value == "":
		return invalid("value", "must not be empty")
	case r.Kind == KindToken && !isDigest(r.Value):
		return invalid("value", "must be %s and the 64 lower-case hexadecimal digits of the SHA-256 of the token's signed part", digestPrefix)
	case r.Kind == KindKid && r.Issuer == "":
		return invalid("issuer", "must be given for kind kid, as issuers choose the ids of their keys for themselves")
	case r.Kind == KindIssuer && r.Issuer != "":
		return invalid("issuer", "must not be given for kind issuer, whose value is the issuer")
	case r.Issuer != "" && !r.Kind.hasIssuer():
		return invalid("issuer", "must not be given for kind %s", r.Kind)
	case r.Store != "" && r.Kind != KindKey:
		return invalid("store", "can be given only for kind key")
	case r.Kind == KindIssuer && r.NotBefore.IsZero():
		return invalid("not_before", "must be given for kind issuer: tokens issued before it are refused")
	case r.Own && (r.Kind != KindJTI || r.End.IsZero()):
		return invalid("kind", "must be jti, with an end, for a rule that a client makes")
	case !r.NotBefore.IsZero() && !r.Kind.hasNotBefore():
		return invalid("not_before", "can be given only for kinds sub, client and issuer")
	}
	return nil
}

func checkText(member, text string, most int) error {
	switch {
	case len(text) > most:
		return invalid(member, "must be at most %d bytes, not %d", most, len(text))
	case !utf8.ValidString(text):
		return invalid(member, "must be valid UTF-8")
	case strings.ContainsFunc(text, unicode.IsControl):
		return invalid(member, "must not contain control characters, such as a line break")
	}
	return nil
}

// CheckNotBefore checks that NotBefore is at most skew ahead of now, so that nobody refuses
// the tokens of the future by a slip. skew is how far ahead the clocks of issuers may be,
// whose tokens of the present would escape a NotBefore of now. The error is an
// *InvalidError.
func (r *Rule) CheckNotBefore(now time.Time, skew time.Duration) error {
	if r.NotBefore.After(ceil(now.Add(skew))) {
		return invalid("not_before", "must be at most %s in the future, as tokens that are not yet issued would be refused", skew)
	}
	return nil
}

// tidy makes a text fit that a person did not write for the rule, and that must not keep
// the rule from being made.
func tidy(text string) string {
	text = strings.Map(func(c rune) rune {
		if unicode.IsControl(c) {
			return utf8.RuneError
		}
		return c // RuneError for what is not UTF-8
	}, text)
	for len(text) > MaxName {
		_, size := utf8.DecodeLastRuneInString(text)
		text = text[:len(text)-size]
	}
	return text
}

// floor and ceil round to whole seconds. The zero time stays as it is.
func floor(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.Unix(t.Unix(), 0).UTC()
}

func ceil(t time.Time) time.Time {
	if t.Nanosecond() > 0 {
		t = t.Add(time.Second)
	}
	return floor(t)
}
