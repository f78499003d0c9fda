package command

import (
	"encoding/json"
	"errors"
	"math"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// What a line of a log says of a request.
const (
	lineRefused    = "refused"
	lineReported   = "reported"    // not refused, but would be without report mode
	lineNotRefused = "not_refused" // not by a jwt handler
	lineUnknown    = "unknown"     // it says nothing of a request
)

// explainedLog is what --log prints with --json. Its shape is stable: members are added,
// never renamed or removed.
type explainedLog struct {
	Lines []explainedLine `json:"lines"`
}

// explainedLine is what is known of the request of one line. It is in the words of strangers,
// except for Verdict, Reason, Meaning, Remedy and Note.
type explainedLine struct {
	Line    int    `json:"line"` // from 1; empty lines count
	Verdict string `json:"verdict"`
	Time    string `json:"time,omitempty"` // RFC 3339, or as the log has it
	// Site is the site of the handler; only the handler's own lines have it.
	Site        string         `json:"site,omitempty"`
	Request     *loggedRequest `json:"request,omitempty"`
	Status      int            `json:"status,omitempty"`
	Reason      reason.Code    `json:"reason,omitempty"`
	Meaning     string         `json:"meaning,omitempty"`
	Detail      string         `json:"detail,omitempty"`
	Requirement string         `json:"requirement,omitempty"`
	User        string         `json:"user,omitempty"`
	Issuer      string         `json:"issuer,omitempty"`
	Remedy      string         `json:"remedy,omitempty"`
	// Note says what a line without a reason means, or what is unusual about one.
	Note string `json:"note,omitempty"`
}

type loggedRequest struct {
	Method   string `json:"method,omitempty"`
	Host     string `json:"host,omitempty"`
	URI      string `json:"uri,omitempty"` // without what is or may be a credential: the values of its query, a token in its path
	ClientIP string `json:"client_ip,omitempty"`
	// Credentials are the places in which the line shows what looks like a token or an API key.
	Credentials []string `json:"credentials,omitempty"`
}

// explainLog explains what the lines of a log say about refused requests. arg is a line, @FILE or
// @-. Nothing is asked of the server: the line has all that is needed.
//
// It is a success if at least one line is one of a log, whatever it says.
func explainLog(cmd *cobra.Command, arg string, _ *serverAddress, asJSON bool) error {
	text, err := readArgument(cmd, arg)
	if err != nil {
		return err
	}
	log := readLog(text)
	switch {
	case len(log.Lines) == 0:
		return misuse(withHint(errors.New("there is no line"), "hand over the line of the access log, as in caddy jwt explain --log @FILE"))
	case log.knows() == 0:
		note := log.Lines[0].Note
		return misuse(withHint(errors.New("no line says anything of a request"), "%s", strings.ToLower(note[:1])+note[1:]))
	case asJSON:
		return printJSON(cmd.OutOrStdout(), log)
	}
	return printLog(cmd.OutOrStdout(), log)
}

// knows returns how many lines say something of a request.
func (l *explainedLog) knows() (n int) {
	for i := range l.Lines {
		if l.Lines[i].Verdict != lineUnknown {
			n++
		}
	}
	return n
}

// readLog reads lines of a log, or one line that a program has spread over several.
func readLog(text string) *explainedLog {
	log := &explainedLog{Lines: []explainedLine{}}
	if members, ok := oneObject(text); ok {
		log.Lines = append(log.Lines, explainLine(members.unwrapped(), "", 1))
		return log
	}
	n := 0
	for line := range strings.Lines(text) {
		n++
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		before, members := findObject(line)
		log.Lines = append(log.Lines, explainLine(members, before, n))
	}
	return log
}

// object is the members of a JSON object, by name. Of those of one name it has the last.
type object map[string]json.RawMessage

// oneObject reads a text that is one JSON object as a whole.
func oneObject(text string) (o object, ok bool) {
	if text = strings.TrimSpace(text); !strings.HasPrefix(text, "{") {
		return nil, false
	}
	ok = json.Unmarshal([]byte(text), &o) == nil
	return o, ok
}

// mostTries is how many braces of a line may be the beginning of its object.
const mostTries = 4

// findObject returns the JSON object at the end of a line, and what stands before it: Caddy's
// console format has time, level, logger and message there, a journal its own.
func findObject(line string) (before string, o object) {
	for at, tries := 0, 0; tries < mostTries; tries++ {
		next := strings.IndexByte(line[at:], '{')
		if next < 0 {
			break
		}
		at += next
		if o, ok := oneObject(line[at:]); ok {
			return line[:at], o.unwrapped()
		}
		at++
	}
	return line, nil
}

// unwrapped returns the line that another program has put into an object of its own: Docker
// into log, systemd's journal into MESSAGE.
func (o object) unwrapped() object {
	for _, name := range []string{"log", "MESSAGE"} {
		text := o.text(name)
		if at := strings.IndexByte(text, '{'); at >= 0 {
			if inner, ok := oneObject(text[at:]); ok {
				return inner
			}
		}
	}
	return o
}

// text returns a member that is a string, and "" for any other.
func (o object) text(name string) (text string) {
	if json.Unmarshal(o[name], &text) != nil {
		return ""
	}
	return text
}

// number returns a member that is a number, and NaN for any other.
func (o object) number(name string) float64 {
	number := math.NaN()
	if raw := o[name]; len(raw) > 0 && raw[0] != 'n' && json.Unmarshal(raw, &number) != nil {
		return math.NaN()
	}
	return number
}

// inside returns a member that is an object, nil for any other.
func (o object) inside(name string) (inner object) {
	if json.Unmarshal(o[name], &inner) != nil {
		return nil
	}
	return inner
}

// explainLine explains a line: the members of its object, nil if it has none, and what stands
// before that.
func explainLine(o object, before string, number int) explainedLine {
	l := explainedLine{Line: number, Verdict: lineUnknown}
	if o == nil {
		l.Note = noObject(before)
		return l
	}
	message, logger := o.text("msg"), o.text("logger")
	says := func(text string) bool { return message == text || strings.Contains(before, text) }
	request := o.inside("request")
	l.readRequest(o, request)
	switch {
	case says("request would be refused"):
		l.Verdict = lineReported
		l.explain(o, "")
	case says("request refused"):
		l.Verdict = lineRefused
		l.explain(o, "")
	case o.text("jwt_reason") != "":
		l.Verdict = lineRefused
		l.explain(o, "jwt_")
		if l.Status > 0 && l.Status < 400 {
			l.Verdict = lineReported
			l.Note = "The status is not that of a refusal, so the request went on: the handler has mode report. (With error_format grpc, calls are refused with the status 200.)"
		}
	case request == nil:
		l.Note = "It is about something else than a request. Hand over the line of the access log (handled request) or the DEBUG line request refused."
	case strings.HasPrefix(logger, "http.log.error") || strings.Contains(before, "http.log.error"):
		l.Verdict = lineNotRefused
		l.Note = "It is a line of Caddy about an error, and has no reason. Look for the line of the access log with the same request: it has jwt_reason if a jwt handler refused it."
	default:
		l.Verdict = lineNotRefused
		l.Note = notRefused(o, l.Status)
	}
	if l.Request != nil {
		l.readCredentials(request)
	}
	return l
}

// explain reads the reason, and adds what the table says of it.
func (l *explainedLine) explain(o object, prefix string) {
	l.Reason, l.Detail = reason.Code(o.text(prefix+"reason")), o.text(prefix+"detail")
	l.Requirement, l.User, l.Issuer = o.text(prefix+"requirement"), o.text(prefix+"user"), o.text(prefix+"issuer")
	e, known := reason.Describe(l.Reason, l.Detail)
	if !known {
		l.Note = "This version knows no such reason; that of the server may be another, and docs/reference/refusals.md of its version has it."
		return
	}
	l.Meaning, l.Remedy = e.Meaning, e.Remedy
}

// noObject says what a line without JSON may be.
func noObject(line string) string {
	switch {
	case strings.Contains(line, " HTTP/"):
		return "It has no JSON, so neither has it jwt_reason. Have the site's log written with format json (or console), and look at the next refusal."
	case !strings.ContainsAny(line, " \t"):
		return "It may be a token or a key rather than a line: caddy jwt explain @FILE explains these."
	}
	return "It has no JSON. Hand over a line of the access log in Caddy's format json or console, whole."
}

// notRefused says what a line of the access log without a reason means.
func notRefused(o object, status int) string {
	method := o.text("jwt_auth_method")
	switch {
	case method == "" && status >= 400:
		return "No jwt handler has seen the request, as the line has no jwt_auth_method: the answer is from another handler or the upstream, or the site's jwt has a matcher that did not fit. caddy jwt explain --uri tells which handlers a request comes to."
	case method == "":
		return "No jwt handler has seen the request, as the line has no jwt_auth_method. If the site should be protected, see whether jwt has a matcher, or is in a handle or route that did not fit."
	case status >= 400:
		return "The jwt handler let the request pass, so the answer is from a handler behind it or the upstream. Look at the upstream's own log."
	case method == "anonymous":
		return "The jwt handler let the request pass without an identity, by optional or allow_preflight."
	}
	return "The request was not refused."
}

// readRequest reads what all lines have.
func (l *explainedLine) readRequest(o, request object) {
	l.Time, l.Site = loggedTime(o), o.text("site")
	if status := o.number("status"); status >= 100 && status <= 999 {
		l.Status = int(status)
	}
	if request == nil {
		return
	}
	l.Request = &loggedRequest{Method: request.text("method"), Host: request.text("host"), URI: withoutValues(request.text("uri")), ClientIP: request.text("client_ip")}
}

// loggedTime returns the time of a line.
func loggedTime(o object) string {
	if text := o.text("ts"); text != "" {
		return text
	}
	seconds := o.number("ts")
	if !(seconds >= 0 && seconds < 1<<38) { // to the year 9999; not NaN
		return ""
	}
	return time.UnixMilli(int64(seconds * 1000)).UTC().Format(time.RFC3339)
}

// withoutValues removes from a request's target what is or may be a credential: the values of
// the query, user and password, and a token or an API key in the path.
func withoutValues(uri string) string {
	target, query, has := strings.Cut(uri, "?")
	if !strings.HasPrefix(target, "/") && target != "*" {
		u, err := url.Parse(target)
		if err != nil {
			return ""
		}
		u.User = nil
		target = u.String()
	}
	target = admin.WithoutCredentials(target)
	if !has {
		return target
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		if name, _, ok := strings.Cut(pair, "="); ok {
			pairs[i] = admin.WithoutCredentials(name) + "=…"
		} else if pair != "" {
			pairs[i] = "…"
		}
	}
	return target + "?" + strings.Join(pairs, "&")
}
