package apikey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

// Record is what is stored of an API key: one line of a key file, as JSON.
type Record struct {
	// ID names the key in logs and commands. It is no secret. 1 to 128
	// letters, digits, ".", "_" and "-".
	ID string
	// Name and Description are for people. At most 1,024 and 4,096 characters.
	Name        string
	Description string
	// Consumer is who holds the key, the id of the user that it
	// authenticates. Empty: the ID.
	Consumer string
	// Hash is the digest of the key.
	Hash Digest
	// Scopes are what the key may do, each a scope-token (RFC 6749 section 3.3).
	Scopes []string
	// Disabled keys are refused. In JSON it is "enabled", true where it is
	// left out.
	Disabled bool
	// Created is when the key was made, zero where it is not known.
	Created time.Time
	// Expires is from when on the key is refused, zero for never.
	Expires time.Time
	// Meta is an object of further values, readable as claims; null for none.
	Meta claims.Value
}

// The limits of a record.
const (
	maxName        = 1024
	maxDescription = 4096
	maxMeta        = 8 << 10
	maxLine        = 64 << 10
	maxScopes      = 100
)

// memberNames are the members of a record, in the order in which they are
// written.
const memberNames = "id, name, description, consumer, hash, scopes, enabled, created, expires, meta"

// ParseRecord reads one line of a key file. Its errors name the member
// that is wrong and say what to write; they show no hash.
func ParseRecord(line []byte) (Record, error) {
	var r Record
	object, err := claims.ParseObject(line)
	if err != nil {
		return r, recordSyntaxError(line)
	}
	hashed := false
	for i := range object.Len() {
		name, v := object.NameAt(i), object.At(i)
		if err := r.member(name, v, len(line) > maxMeta/6); err != nil {
			if !slices.Contains(strings.Split(memberNames+", key", ", "), name) {
				name = Quote(name)
			}
			return r, fmt.Errorf("%s: %w", name, err)
		}
		hashed = hashed || name == "hash"
	}
	if r.ID == "" {
		return r, errors.New("id is missing; each key has its own")
	}
	if !hashed {
		return r, errors.New("hash is missing; `caddy jwt api-key hash` makes it from a key")
	}
	if err := holdsKey(&r, r.Hash); err != nil {
		return Record{}, err
	}
	return r, nil
}

// holdsKey returns an error if a text of the record is a key with one of the hashes.
func holdsKey(r *Record, hashes ...Digest) error {
	for _, m := range [...]struct{ name, text string }{
		{"id", r.ID}, {"name", r.Name}, {"description", r.Description}, {"consumer", r.Consumer},
	} {
		if len(m.text) >= MinLength && slices.Contains(hashes, DigestOf(m.text)) {
			return fmt.Errorf("%s: it is the key itself, which must not be stored; write another text, and give the key's holder a new key", m.name)
		}
	}
	return nil
}

// recordSyntaxError is the error for a line that is not a JSON object. It does not contain
// the line.
func recordSyntaxError(line []byte) error {
	const form = `write one record a line: {"id":"…","hash":"sha256:…"}`
	text := string(bytes.TrimSpace(line))
	switch {
	case bytes.HasPrefix(line, []byte{0xff, 0xfe}) || bytes.HasPrefix(line, []byte{0xfe, 0xff}):
		return errors.New("the file is UTF-16; save it as UTF-8")
	case strings.HasPrefix(text, "#") || strings.HasPrefix(text, "//"):
		return errors.New("it is not a JSON object: comments are not allowed; " + form)
	case strings.HasPrefix(text, "[") || text == "{" || strings.HasSuffix(text, "},"):
		return errors.New("it is not a JSON object on one line, as if the file were an array or spread over several lines; " + form)
	case strings.HasPrefix(text, "{"):
		return errors.New("it is not a JSON object, or has a duplicate member; " + form)
	case strings.Contains(text, ",") && !strings.Contains(text, "{"):
		return errors.New("it is not a JSON object; a CSV is imported with `caddy jwt api-key import`")
	default:
		return errors.New("it is not a JSON object; " + form)
	}
}

func (r *Record) member(name string, v claims.Value, long bool) (err error) {
	switch name {
	case "id":
		if r.ID, err = recordText(v); err == nil {
			err = CheckID(r.ID)
		}
	case "name":
		if r.Name, err = recordText(v); err == nil {
			err = checkRecordText(r.Name, maxName, "")
		}
	case "description":
		if r.Description, err = recordText(v); err == nil {
			err = checkRecordText(r.Description, maxDescription, lineBreaks)
		}
	case "consumer":
		if r.Consumer, err = recordText(v); err == nil && r.Consumer != "" {
			err = CheckConsumer(r.Consumer)
		}
	case "hash":
		text, ok := v.Text()
		if !ok {
			return errors.New("it must be a string, sha256: and 64 hexadecimal digits")
		}
		r.Hash, err = ParseDigest(text)
	case "scopes":
		r.Scopes, err = recordScopes(v)
	case "enabled":
		truth, ok := v.True()
		if !ok {
			return errors.New("it must be true or false")
		}
		r.Disabled = !truth
	case "created":
		r.Created, err = recordTime(v)
	case "expires":
		r.Expires, err = recordTime(v)
	case "meta":
		// A short line needs no measuring: written again, a character grows to
		// six at most.
		if r.Meta, err = v, checkMetaKind(v); err == nil && long {
			err = CheckMeta(v)
		}
	case "key":
		return errors.New("a key is not stored, only its hash; `caddy jwt api-key hash` makes it")
	default:
		return fmt.Errorf("unknown member; the members are %s", memberNames)
	}
	return err
}

func recordText(v claims.Value) (string, error) {
	text, ok := v.Text()
	if !ok {
		return "", errors.New("it must be a string")
	}
	return text, nil
}

func recordScopes(v claims.Value) ([]string, error) {
	if v.Kind() != claims.Array {
		return nil, errors.New(`it must be an array of strings, such as ["orders:read"]`)
	}
	scopes := make([]string, 0, v.Len())
	for i := range v.Len() {
		text, ok := v.At(i).Text()
		if !ok {
			return nil, errors.New(`it must be an array of strings, such as ["orders:read"]`)
		}
		scopes = append(scopes, text)
	}
	return scopes, CheckScopes(scopes)
}

func recordTime(v claims.Value) (time.Time, error) {
	if v.Kind() == claims.Null {
		return time.Time{}, nil
	}
	text, ok := v.Text()
	if !ok {
		return time.Time{}, errors.New("it must be a time as a string, such as 2030-12-31T23:59:59Z")
	}
	return ParseTime(text)
}

// ParseTime reads a time of RFC 3339.
func ParseTime(text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, text)
	// A zone of +24:00 is read, and can't be written.
	if _, zone := t.Zone(); err != nil || zone <= -24*60*60 || zone >= 24*60*60 || t.IsZero() {
		return time.Time{}, fmt.Errorf("%s is not a valid time; write date, time and zone, such as 2030-12-31T23:59:59Z", Quote(text))
	}
	return t, nil
}

// CheckMeta returns an error if v is not valid as the meta of a key.
func CheckMeta(v claims.Value) error {
	if err := checkMetaKind(v); err != nil {
		return err
	}
	if size := len(v.AppendJSON(nil)); size > maxMeta {
		return fmt.Errorf("it has %d bytes; at most %d are allowed", size, maxMeta)
	}
	return nil
}

func checkMetaKind(v claims.Value) error {
	if k := v.Kind(); k != claims.Null && k != claims.Object {
		return errors.New(`it must be an object, such as {"plan":"gold"}`)
	}
	return nil
}

// CheckID returns an error if id is not valid as the id of a key. Ids appear in logs and
// URLs.
func CheckID(id string) error {
	if looksLikeKey(id) {
		return errors.New("it looks like an API key, which must not be stored; write an id that is not secret")
	}
	if id == "" || id == "." || id == ".." || len(id) > 128 || strings.ContainsFunc(id, notInID) {
		return fmt.Errorf("%s is not a valid id; write 1 to 128 letters, digits, . _ and -", Quote(id))
	}
	return nil
}

func notInID(c rune) bool {
	return !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-')
}

// CheckConsumer returns an error if name is not valid as a consumer. It becomes the id of
// a user, in headers and logs.
func CheckConsumer(name string) error {
	if name == "" || len(name) > maxName || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, invisible) || strings.TrimSpace(name) != name {
		return fmt.Errorf("%s is not a valid consumer; write 1 to %d characters without control or invisible ones, and without spaces at the ends", Quote(name), maxName)
	}
	return nil
}

// invisible reports whether a character can't be seen or changes the direction of others:
// two names that look the same must be the same.
func invisible(c rune) bool {
	if c < 0x7f { // most are
		return c < ' '
	}
	return unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp)
}

// Quote quotes a text for an error, at most 64 characters of it, unless it contains a
// hash or an API key that was written in the wrong place.
func Quote(text string) string {
	switch {
	case strings.Contains(strings.ToLower(text), digestPrefix):
		return "a hash"
	case looksLikeKey(text):
		return "an API key"
	}
	return strconv.Quote(cut(text, 64))
}

// lineBreaks are the control characters of a text of several lines.
const lineBreaks = "\t\r\n"

func checkRecordText(text string, limit int, except string) error {
	if utf8.RuneCountInString(text) > limit {
		return fmt.Errorf("it is longer than %d characters", limit)
	}
	for _, c := range text {
		if (c < ' ' || c == 0x7f || c > 0x7f && unicode.Is(unicode.Cf, c)) && !strings.ContainsRune(except, c) {
			return fmt.Errorf("it contains the invisible character %U; remove it", c)
		}
	}
	return nil
}

// CheckScopes returns an error if the scopes are not valid for a key.
func CheckScopes(scopes []string) error {
	if len(scopes) > maxScopes {
		return fmt.Errorf("there are %d scopes; at most %d are allowed", len(scopes), maxScopes)
	}
	for _, s := range scopes {
		if looksLikeKey(s) {
			return errors.New("a scope looks like an API key, which must not be stored; write a word such as orders:read")
		}
		if !claims.ScopeToken(s) {
			return fmt.Errorf(`%s is not a valid scope; write one word of visible ASCII without " and \, such as orders:read`, Quote(s))
		}
	}
	return nil
}

// MarshalJSON returns the record as a line of a key file, without the newline.
func (r Record) MarshalJSON() ([]byte, error) {
	line := struct {
		ID          string          `json:"id"`
		Name        string          `json:"name,omitempty"`
		Description string          `json:"description,omitempty"`
		Consumer    string          `json:"consumer,omitempty"`
		Hash        string          `json:"hash"`
		Scopes      []string        `json:"scopes,omitempty"`
		Enabled     bool            `json:"enabled"`
		Created     time.Time       `json:"created,omitzero"`
		Expires     time.Time       `json:"expires,omitzero"`
		Meta        json.RawMessage `json:"meta,omitempty"`
	}{
		ID: r.ID, Name: r.Name, Description: r.Description, Consumer: r.Consumer, Hash: r.Hash.String(),
		Scopes: r.Scopes, Enabled: !r.Disabled, Created: r.Created, Expires: r.Expires,
	}
	if r.Meta.Kind() == claims.Object {
		line.Meta = r.Meta.AppendJSON(nil)
	}
	// As it is: with &, < and > as escapes a line could grow too long.
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(line); err != nil {
		return nil, err
	}
	return bytes.TrimRight(out.Bytes(), "\n"), nil
}
