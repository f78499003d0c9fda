package apikey

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
)

// fact is a fact of a store. What a key is follows from all facts of it, in whatever order
// and however often they come:
//
//	{"t":"key","key":ID,"rev":n,…}            its profile: that of the highest revision
//	{"t":"secret","key":ID,"hash":…}          one of its secrets
//	{"t":"retire","key":ID,"hash":…,"end":T}  a secret is refused from T on; the earliest T holds
//	{"t":"off","key":ID,"id":…}               it is disabled
//	{"t":"on","key":ID,"id":…}                that one disabling is removed, and no other
//	{"t":"dead","key":ID}                     it is deleted, which is final
//
// Each also says when it was made, in seconds since 1970, by whom and on which node.
type fact struct {
	kind   factKind
	key    string
	hash   Digest  // of secret and retire
	id     uint64  // of off and on, random
	end    int64   // of retire, in milliseconds since 1970
	rev    int64   // of key
	record *Record // the profile of key: all but ID, Hash and Disabled
	at     int64
	by     string
	node   string
}

type factKind uint8

// The kinds of facts. What makes a node refuse more is before the rest, so that it is taken
// into force first where facts are in the order of their kinds.
const (
	factDead factKind = iota + 1
	factOff
	factOn
	factRetire
	factKey
	factSecret
)

var factNames = [...]string{factDead: "dead", factKey: "key", factSecret: "secret", factRetire: "retire", factOff: "off", factOn: "on"}

// storeLanguage is the language of a store's facts. None of them has an end: while there is
// any copy of a secret, in an object that a node stores again after a month of sleep, say,
// its retirement has to be known too.
type storeLanguage struct{}

var _ replica.Language[fact] = storeLanguage{}

func (storeLanguage) End(fact) int64 { return 0 }

// factMembers is how many values a fact has besides those of the record's line.
const factMembers = 8

func (storeLanguage) Parse(line []byte) (fact, error) {
	// Values share the memory of what they are parsed from.
	object, err := claims.ParseLarge(bytes.Clone(line), claims.MaxValues+factMembers)
	if err != nil {
		return fact{}, err
	}
	kind, _ := object.Member("t")
	name, ok := kind.Text()
	if !ok || name == "" {
		return fact{}, errors.New("t: it must be the kind of the fact")
	}
	f := fact{kind: factKind(max(0, slices.Index(factNames[:], name)))}
	if f.kind == 0 {
		return fact{}, replica.ErrUnknownKind
	}
	if f.kind == factKey {
		f.record = new(Record)
	}
	members := 0
	for i := range object.Len() {
		name := object.NameAt(i)
		required, err := f.member(name, object.At(i))
		if err != nil {
			if err == replica.ErrUnknownKind {
				return fact{}, err
			}
			return fact{}, fmt.Errorf("%s: %w", Quote(name), err)
		}
		if required {
			members++
		}
	}
	if want := map[factKind]int{factDead: 1, factRetire: 3}[f.kind]; members != cmp.Or(want, 2) {
		return fact{}, fmt.Errorf("a member of the fact %s is missing", name)
	}
	return f, nil
}

// member reads a member, and reports whether it is one that a fact of this kind must have.
// One that is not known is of a newer version, and the fact is kept as that wrote it.
func (f *fact) member(name string, v claims.Value) (required bool, err error) {
	switch {
	case name == "t":
		return false, nil
	case name == "key":
		if f.key, err = recordText(v); err == nil {
			err = CheckID(f.key)
		}
		return true, err
	case name == "at":
		f.at, err = factNumber(v)
	case name == "by":
		f.by, err = recordText(v)
	case name == "node":
		f.node, err = recordText(v)
	case name == "rev" && f.kind == factKey:
		f.rev, err = factNumber(v)
		return true, err
	case name == "hash" && (f.kind == factSecret || f.kind == factRetire):
		var text string
		if text, err = recordText(v); err == nil {
			f.hash, err = ParseDigest(text)
		}
		return true, err
	case name == "end" && f.kind == factRetire:
		f.end, err = factNumber(v)
		return true, err
	case name == "id" && (f.kind == factOff || f.kind == factOn):
		var text string
		if text, err = recordText(v); err == nil {
			f.id, err = strconv.ParseUint(text, 16, 64)
		}
		return true, err
	case f.kind == factKey && strings.Contains(profileMembers, " "+name+" "):
		err = f.record.member(name, v, true)
	default:
		return false, replica.ErrUnknownKind
	}
	return false, err
}

func factNumber(v claims.Value) (int64, error) {
	digits, ok := v.Digits()
	if !ok {
		return 0, errors.New("it must be a number")
	}
	return strconv.ParseInt(digits, 10, 64)
}

func (storeLanguage) Append(line []byte, f fact) []byte {
	line = append(line, `{"t":"`...)
	line = append(line, factNames[f.kind]...)
	line = append(line, `","key":"`...)
	line = append(line, f.key...) // of letters that need no escapes, as CheckID wants them
	line = append(line, '"')
	switch f.kind {
	case factKey:
		line = strconv.AppendInt(append(line, `,"rev":`...), f.rev, 10)
		line = appendMembers(line, profileOf(f.record))
	case factSecret, factRetire:
		line = append(append(append(line, `,"hash":"`...), f.hash.String()...), '"')
		if f.kind == factRetire {
			line = strconv.AppendInt(append(line, `,"end":`...), f.end, 10)
		}
	case factOff, factOn:
		line = append(strconv.AppendUint(append(line, `,"id":"`...), f.id, 16), '"')
	}
	return append(appendMembers(line, encode(struct {
		At   int64  `json:"at,omitempty"`
		By   string `json:"by,omitempty"`
		Node string `json:"node,omitempty"`
	}{f.at, f.by, f.node})), '}')
}

// appendMembers appends the members of an object to those of a line.
func appendMembers(line, object []byte) []byte {
	if members := object[1 : len(object)-1]; len(members) > 0 {
		line = append(append(line, ','), members...)
	}
	return line
}

const profileMembers = " name description consumer scopes created expires meta "

// profileOf returns the profile of a record as JSON: equal profiles are equal texts.
func profileOf(r *Record) []byte {
	p := struct {
		Name        string          `json:"name,omitempty"`
		Description string          `json:"description,omitempty"`
		Consumer    string          `json:"consumer,omitempty"`
		Scopes      []string        `json:"scopes,omitempty"`
		Created     time.Time       `json:"created,omitzero"`
		Expires     time.Time       `json:"expires,omitzero"`
		Meta        json.RawMessage `json:"meta,omitempty"`
	}{Name: r.Name, Description: r.Description, Consumer: r.Consumer, Scopes: r.Scopes, Created: r.Created, Expires: r.Expires}
	if r.Meta.Kind() == claims.Object {
		p.Meta = r.Meta.AppendJSON(nil)
	}
	return encode(p)
}

// parseProfile reads what profileOf has written.
func parseProfile(id, profile string) Record {
	r := Record{ID: id}
	object, err := claims.ParseLarge([]byte(profile), claims.MaxValues+factMembers) // no fewer than a fact may have
	for i := 0; err == nil && i < object.Len(); i++ {
		err = r.member(object.NameAt(i), object.At(i), false)
	}
	if err != nil {
		panic(err) // it was written from a parsed one
	}
	return r
}

func encode(v any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // all texts, numbers and times were checked
	}
	return bytes.TrimRight(out.Bytes(), "\n")
}
