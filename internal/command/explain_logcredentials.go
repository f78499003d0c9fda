package command

import (
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// maxPlaces is how many places of one request are named.
const maxPlaces = 8

// shownPlace is where a line shows what looks like a token or an API key.
type shownPlace struct {
	text   string // "the header X-Token"
	option string // as token_from and api_key_from have it: "header X-Token"
}

// placeName is the form of what may be the name of a header, a parameter or a cookie in an
// option. Others are not named: they are a stranger's.
var placeName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// shownCredentials returns where a line shows what looks like a token or an API key, by names
// alone.
func shownCredentials(request object) (places []shownPlace) {
	add := func(kind, what, name, value string) {
		if placeName.MatchString(name) && !admin.HasCredential(name) && admin.HasCredential(value) && len(places) < maxPlaces {
			places = append(places, shownPlace{"the " + what + " " + name, kind + " " + name})
		}
	}
	headers := request.inside("headers")
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		value := strings.Join(headers.texts(name), "; ")
		if !strings.EqualFold(name, "Cookie") {
			add("header", "header", name, value)
			continue
		}
		for pair := range strings.SplitSeq(value, ";") {
			cookie, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			add("cookie", "cookie", cookie, value)
		}
	}
	_, query, _ := strings.Cut(request.text("uri"), "?")
	for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
		name, value, _ := strings.Cut(pair, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		add("query", "parameter", name, value)
	}
	return places
}

// texts returns a member that is a list of texts.
func (o object) texts(name string) (list []string) {
	if json.Unmarshal(o[name], &list) != nil {
		return nil
	}
	return list
}

// readCredentials notes where the line shows what looks like a credential, and what may be done
// about it: a client that is told to send one may have sent it where nobody looks.
func (l *explainedLine) readCredentials(request object) {
	places := shownCredentials(request)
	names := make([]string, len(places))
	for i, p := range places {
		names[i] = p.text
	}
	var note string
	switch hidden := request.inside("headers").texts("Authorization"); {
	case len(places) > 0:
		l.Request.Credentials = names
		note = "The log shows what looks like a token or an API key, in " + strings.Join(names, ", ") + "; docs/security.md#logs says how to keep it out."
		if l.Reason == reason.MissingCredentials {
			note += " No jwt handler looks there: have the client send it where the answer says, or write token_from " + places[0].option + " (api_key_from for an API key)."
		}
	case l.Reason == reason.MissingCredentials && len(hidden) > 0:
		note = "The request has the header Authorization, whose value the log does not show, and nothing in it was taken for a credential: its scheme may be another than the one that is read, such as Bearer."
	}
	if note != "" {
		l.Note = strings.TrimSpace(l.Note + " " + note)
	}
}
