package tokenservice

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// signingFact is a fact of the signing keys of an issuer. What the keys are follows from all
// facts, in whatever order and however often they come:
//
//	{"t":"key","kid":ID,"alg":…,"key":…,"gen":n,"made":T,"from":T,"life":n}  a public key, published since made, that signs from from on
//	{"t":"sooner","kid":ID,"from":T,"at":T}  it signs from this time on, as was decided at the time at; the earliest holds
//	{"t":"life","kid":ID,"life":n}           its tokens live for n seconds; the largest holds
//	{"t":"retire","kid":ID,"gen":n,"at":T}   nothing is accepted that it signed, nor what any key of its generation or one before did, which is final
//	{"t":"end","kid":ID,"end":T}             its last token has expired at this time, so that the facts of it can be forgotten
//
// A new generation begins with each retirement. So there is no need to know all keys of which
// there may be a copy: neither those that another node makes at this moment, nor those that
// were forgotten and that a node brings back that has slept for long.
//
// Times are in seconds since 1970. Private keys are not among the facts, which are merged,
// stored again and mirrored.
type signingFact struct {
	kind   signingKind
	kid    string
	public *key.Public // of key
	gen    int64       // of key and retire
	from   int64       // of key and sooner
	at     int64       // when it was made or decided
	life   int64       // of key and life
	end    int64       // of end, and of what a merge found to have ended
	by     string
	node   string
}

type signingKind uint8

// The kinds of facts. What makes a node refuse more comes first, as in a store of API keys.
const (
	factRetire signingKind = iota + 1
	factEnd
	factLife
	factSooner
	factKey
)

var signingNames = [...]string{factRetire: "retire", factEnd: "end", factLife: "life", factSooner: "sooner", factKey: "key"}

// signingLanguage is the language of these facts. A retirement has no end: while there is any
// copy of the key's facts, on a node that wakes after a month, say, it has to be known.
type signingLanguage struct{}

var _ replica.Language[signingFact] = signingLanguage{}

// End implements replica.Language, as the methods below do.
func (signingLanguage) End(f signingFact) int64 { return f.end }

// latest is the largest time of a fact, so that sums of times don't overflow: the end of the
// year 9999.
const latest = 253_402_300_799

func (signingLanguage) Parse(line []byte) (signingFact, error) {
	// Values share the memory of what they are parsed from.
	object, err := claims.ParseObject(bytes.Clone(line))
	if err != nil {
		return signingFact{}, err
	}
	t, _ := object.Member("t")
	name, ok := t.Text()
	if !ok || name == "" {
		return signingFact{}, errors.New("t: it must be the kind of the fact")
	}
	f := signingFact{kind: signingKind(max(0, slices.Index(signingNames[:], name)))}
	if f.kind == 0 {
		return signingFact{}, replica.ErrUnknownKind
	}
	p := factParser{f: &f}
	for i := range object.Len() {
		p.member(object.NameAt(i), object.At(i))
	}
	switch {
	case p.err != nil:
		return signingFact{}, p.err
	case p.unknown:
		return signingFact{}, replica.ErrUnknownKind
	case f.kid == "":
		return signingFact{}, fmt.Errorf("the fact %s has no kid", name)
	case p.required != map[signingKind]int{factRetire: 2, factEnd: 1, factLife: 1, factSooner: 2, factKey: 6}[f.kind]:
		return signingFact{}, fmt.Errorf("a member of the fact %s is missing", name)
	}
	if f.kind == factKey {
		return f, p.makeKey()
	}
	return f, nil
}

// factParser reads the members of a fact.
type factParser struct {
	f        *signingFact
	alg, der string
	required int // how many of the members that a fact of this kind must have
	unknown  bool
	err      error
}

// member reads a member. One that is not known is of a newer version, and the fact is kept as
// that wrote it.
func (p *factParser) member(name string, v claims.Value) {
	f := p.f
	is := func(kinds ...signingKind) bool { return slices.Contains(kinds, f.kind) }
	switch {
	case name == "t":
	case name == "kid":
		if f.kid = p.text(name, v); p.err == nil && !isKeyID(f.kid) {
			p.fail(name, "it must be the thumbprint of a key")
		}
	case name == "alg" && is(factKey):
		p.alg = p.text(name, v)
		p.required++
	case name == "key" && is(factKey):
		p.der = p.text(name, v)
		p.required++
	case name == "gen" && is(factKey, factRetire):
		f.gen = p.number(name, v, latest)
		p.required++
	case name == "made" && is(factKey), name == "at" && is(factRetire, factSooner):
		f.at = p.number(name, v, latest)
		p.required++
	case name == "from" && is(factKey, factSooner):
		f.from = p.number(name, v, latest)
		p.required++
	case name == "life" && is(factKey, factLife):
		f.life = p.number(name, v, longestLife)
		p.required++
	case name == "end" && is(factEnd):
		f.end = p.number(name, v, latest)
		p.required++
	case name == "end" && is(factKey, factSooner, factLife):
		f.end = p.number(name, v, latest)
	case name == "by":
		f.by = p.text(name, v)
	case name == "node":
		f.node = p.text(name, v)
	default:
		p.unknown = true
	}
}

// longestLife is the largest life of a token that a fact can say, in seconds; the config's
// limit is far below.
const longestLife = 1 << 31

func (p *factParser) text(name string, v claims.Value) string {
	text, ok := v.Text()
	if !ok {
		p.fail(name, "it must be a text")
	}
	return text
}

func (p *factParser) number(name string, v claims.Value, most int64) int64 {
	digits, ok := v.Digits()
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > most {
		p.fail(name, "it must be a whole number from 0 to "+strconv.FormatInt(most, 10))
		return 0
	}
	return n
}

func (p *factParser) fail(name, why string) { p.err = cmp.Or(p.err, fmt.Errorf("%s: %s", name, why)) }

// makeKey reads the key, whose id must be its own thumbprint.
func (p *factParser) makeKey() error {
	alg, ok := key.ParseAlgorithm(p.alg)
	if !ok {
		return replica.ErrUnknownKind
	}
	der, err := base64.StdEncoding.DecodeString(p.der)
	if err != nil {
		return errors.New("key: it must be a key in base64")
	}
	material, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if p.f.public, err = key.NewPublic(material, key.Options{ID: p.f.kid, Algorithm: alg}); err != nil {
		return fmt.Errorf("key: %w", err)
	}
	if p.f.public.Thumbprint() != p.f.kid {
		return errors.New("kid: it is not the thumbprint of the key")
	}
	return nil
}

// isKeyID reports whether a text can be a thumbprint: 32 bytes in base64url.
func isKeyID(text string) bool {
	_, ok := keyIDBytes(text)
	return ok
}

func keyIDBytes(text string) ([]byte, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return b, err == nil && len(b) == 32 && len(text) == 43
}

func (signingLanguage) Append(line []byte, f signingFact) []byte {
	type form struct {
		Kind string `json:"t"`
		Kid  string `json:"kid"`
		Alg  string `json:"alg,omitempty"`
		Key  []byte `json:"key,omitempty"`
		Gen  *int64 `json:"gen,omitempty"`
		Made *int64 `json:"made,omitempty"`
		From *int64 `json:"from,omitempty"`
		Life *int64 `json:"life,omitempty"`
		At   *int64 `json:"at,omitempty"`
		End  *int64 `json:"end,omitempty"`
		By   string `json:"by,omitempty"`
		Node string `json:"node,omitempty"`
	}
	out := form{Kind: signingNames[f.kind], Kid: f.kid, By: f.by, Node: f.node}
	switch f.kind {
	case factKey:
		der, err := x509.MarshalPKIXPublicKey(f.public.Material())
		if err != nil {
			panic(err) // key.NewPublic has done the same
		}
		out.Gen = &f.gen
		out.Alg, out.Key, out.Made, out.From, out.Life = f.public.Algorithm().String(), der, &f.at, &f.from, &f.life
	case factSooner:
		out.From, out.At = &f.from, &f.at
	case factLife:
		out.Life = &f.life
	case factRetire:
		out.Gen, out.At = &f.gen, &f.at
	}
	if f.kind == factEnd || f.end != 0 {
		out.End = &f.end
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(out); err != nil {
		panic(err) // texts and numbers
	}
	return append(line, bytes.TrimRight(text.Bytes(), "\n")...)
}

// Merge keeps of a retired key that it is retired. What belongs to a key whose last token has
// expired gets that as its end, so that it is forgotten some time later.
func (signingLanguage) Merge(facts []signingFact) []signingFact {
	retired, ends, known := map[string]bool{}, map[string]int64{}, map[string]bool{}
	for i := range facts {
		f := &facts[i]
		if f.kind == factRetire {
			retired[f.kid] = true
			continue
		}
		ends[f.kid] = max(ends[f.kid], f.end)
		known[f.kid] = known[f.kid] || f.kind != factEnd
	}
	merged := make([]signingFact, 0, len(facts))
	for _, f := range facts {
		switch {
		case f.kind == factRetire:
		case retired[f.kid]:
			continue
		case f.kind == factEnd && known[f.kid]:
			continue // the others say it
		default:
			f.end = ends[f.kid]
		}
		merged = append(merged, f)
	}
	// Sorted, so that nodes that merge the same make the same object.
	slices.SortFunc(merged, func(a, b signingFact) int { return a.compare(&b) })
	return slices.CompactFunc(merged, func(a, b signingFact) bool { return a.compare(&b) == 0 })
}

// compare orders facts. Facts that are equal have equal lines.
func (f *signingFact) compare(other *signingFact) int {
	return cmp.Or(cmp.Compare(f.kid, other.kid), cmp.Compare(f.kind, other.kind), cmp.Compare(f.gen, other.gen), cmp.Compare(f.at, other.at),
		cmp.Compare(f.from, other.from), cmp.Compare(f.life, other.life), cmp.Compare(f.end, other.end),
		cmp.Compare(f.algorithm(), other.algorithm()), cmp.Compare(f.by, other.by), cmp.Compare(f.node, other.node))
}

// algorithm is that of a key; two keys with one id differ in nothing else.
func (f *signingFact) algorithm() key.Algorithm {
	if f.public == nil {
		return 0
	}
	return f.public.Algorithm()
}
