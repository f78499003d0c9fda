package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// maxBody is how long the body of a request may be, in bytes.
const maxBody = 128 << 10

// refusal returns an error with a status. Its text may repeat parts of the request: what a
// terminal would not show as it is, is escaped.
func refusal(status int, format string, args ...any) caddy.APIError {
	return caddy.APIError{HTTPStatus: status, Err: errors.New(terminal.Text(fmt.Sprintf(format, args...)))}
}

// bad is the error for a request that can't be read, or asks for something impossible.
func bad(format string, args ...any) caddy.APIError {
	return refusal(http.StatusBadRequest, format, args...)
}

// readBody returns the body of a request with a JSON object.
func readBody(r *http.Request) ([]byte, error) {
	if types := r.Header.Values("Content-Type"); len(types) != 1 || !isJSON(types[0]) || r.Header.Get("Content-Encoding") != "" {
		// Pages of other origins can send other types without asking first.
		return nil, refusal(http.StatusUnsupportedMediaType, "the body must be a JSON object, with Content-Type: application/json")
	}
	return limitedBody(r)
}

func limitedBody(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, bad("the body can't be read")
	case len(body) > maxBody:
		return nil, refusal(http.StatusRequestEntityTooLarge, "the body has more than %d bytes", maxBody)
	}
	return body, nil
}

func isJSON(contentType string) bool {
	name, parameters, err := mime.ParseMediaType(contentType)
	if err != nil || name != "application/json" {
		return false
	}
	charset, given := parameters["charset"]
	return len(parameters) == 0 || len(parameters) == 1 && given && strings.EqualFold(charset, "utf-8")
}

// members are the members that a body may have, and how each is read.
type members map[string]func(claims.Value) error

// read reads a body. It is strict: a member that is misspelled, or twice there, could be
// the one that matters.
func (m members) read(body []byte) error {
	object, err := claims.ParseObject(body)
	switch {
	case errors.Is(err, claims.ErrDuplicate):
		return bad("the body is not valid: it has two members of one name")
	case err != nil:
		return bad("the body must be one JSON object and nothing else; it is %s", err)
	}
	return m.readObject(object)
}

func (m members) readObject(object claims.Value) error {
	for i := range object.Len() {
		name := object.NameAt(i)
		read, ok := m[name]
		if !ok {
			return bad("%s: unknown member; the members are %s", quote(name), strings.Join(slices.Sorted(maps.Keys(m)), ", "))
		}
		if err := read(object.At(i)); err != nil {
			return bad("%s: %v", name, err)
		}
	}
	return nil
}

// The readers of members. What they keep is a copy, as a body's values share its memory.

func text(to *string) func(claims.Value) error {
	return func(v claims.Value) error {
		text, ok := v.Text()
		if !ok {
			return errors.New("it must be a string")
		}
		*to = strings.Clone(text)
		return nil
	}
}

// plainText reads a text that is shown and stored, in which a credential would leak.
func plainText(to *string) func(claims.Value) error {
	return func(v claims.Value) error {
		if err := text(to)(v); err != nil {
			return err
		}
		return CheckPlain(*to)
	}
}

func truth(to *bool) func(claims.Value) error {
	return func(v claims.Value) error {
		b, ok := v.True()
		if !ok {
			return errors.New("it must be true or false")
		}
		*to = b
		return nil
	}
}

func moment(to *time.Time) func(claims.Value) error {
	return func(v claims.Value) error {
		text, ok := v.Text()
		if !ok {
			return errors.New("it must be a time as a string, such as 2030-12-31T23:59:59Z")
		}
		t, err := apikey.ParseTime(text)
		*to = t.UTC()
		return err
	}
}

func scopes(to *[]string) func(claims.Value) error {
	return func(v claims.Value) error {
		const want = `it must be an array of strings, such as ["orders:read"]`
		if v.Kind() != claims.Array {
			return errors.New(want)
		}
		list := make([]string, 0, v.Len())
		for i := range v.Len() {
			text, ok := v.At(i).Text()
			if !ok {
				return errors.New(want)
			}
			if err := CheckPlain(text); err != nil {
				return err
			}
			list = append(list, strings.Clone(text))
		}
		*to = list
		return apikey.CheckScopes(list)
	}
}

// meta reads the meta of a key, as a value of its own memory.
func meta(to *claims.Value) func(claims.Value) error {
	return func(v claims.Value) error {
		if err := apikey.CheckMeta(v); err != nil {
			return err
		}
		if v.Kind() == claims.Null {
			*to = claims.Value{}
			return nil
		}
		content := v.AppendJSON(nil)
		if err := CheckPlain(string(content)); err != nil {
			return err
		}
		var err error
		*to, err = claims.ParseObject(content)
		return err
	}
}

// nullable reads a member that may be null, which leaves the zero value.
func nullable[T any](to *T, read func(*T) func(claims.Value) error) func(claims.Value) error {
	return func(v claims.Value) error {
		if v.Kind() == claims.Null {
			*to = *new(T)
			return nil
		}
		return read(to)(v)
	}
}

// noting reads a member and notes that it is there.
func noting(there *bool, read func(claims.Value) error) func(claims.Value) error {
	return func(v claims.Value) error {
		*there = true
		return read(v)
	}
}

// jwtPattern is what a JWT looks like: its header is an object, which begins with {" as
// base64url.
var jwtPattern = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.`)

// CheckPlain returns an error for a text in which a credential is. Texts are stored, listed
// and logged. Those of a URL are logged by Caddy before the endpoint sees them, so a client
// asks before it sends one.
func CheckPlain(text string) error {
	switch {
	case jwtPattern.MatchString(text):
		return errors.New("there is a token in it, which must not be stored or logged; write another text")
	case apikey.ContainsKey(text):
		return errors.New("there is an API key in it, which must not be stored or logged; write another text")
	}
	return nil
}

// parameters returns the query of a request: each of the names at most once, and no others.
func parameters(r *http.Request, names ...string) (map[string]string, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, bad("the query of the URL is not valid; percent-encode its values")
	}
	query := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case len(names) == 0:
			return nil, bad("?%s: this takes no parameters", cutText(name))
		case !slices.Contains(names, name):
			return nil, bad("?%s: unknown parameter; the parameters are %s", cutText(name), strings.Join(names, ", "))
		case len(values[name]) > 1:
			return nil, bad("?%s: duplicate; give it once", name)
		}
		query[name] = values[name][0]
	}
	return query, nil
}

// The number of items of a list.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

// limit reads the parameter limit.
func limit(query map[string]string) (int, error) {
	written, ok := query["limit"]
	if !ok {
		return defaultLimit, nil
	}
	n, err := strconv.Atoi(written)
	if err != nil || n < 1 || n > maxLimit {
		return 0, bad("?limit: %s is not valid; write a number from 1 to %d", quote(written), maxLimit)
	}
	return n, nil
}

// duration reads a duration such as 14d or 1h30m, from 0 to ten years.
func duration(text string) (time.Duration, error) {
	d, err := caddy.ParseDuration(text)
	if err != nil || d < 0 || d > 10*365*24*time.Hour {
		return 0, fmt.Errorf("%s is not a valid duration; write one such as 90d, 24h or 1h30m", quote(text))
	}
	return d, nil
}

// quote quotes a part of a request for an error, without the middle of a long one and
// without a credential.
func quote(text string) string {
	if CheckPlain(text) != nil {
		return "a credential"
	}
	return apikey.Quote(text)
}

// cutText is quote without the quotes.
func cutText(text string) string {
	quoted := quote(text)
	if plain, err := strconv.Unquote(quoted); err == nil {
		return plain
	}
	return quoted
}

// raw returns a value as JSON, nil for null.
func raw(v claims.Value) json.RawMessage {
	if v.Kind() == claims.Null {
		return nil
	}
	return v.AppendJSON(nil)
}
