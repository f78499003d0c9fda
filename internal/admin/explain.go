package admin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
)

// ExplainRequest is the body of POST /jwt/explain. All of it may be left out.
type ExplainRequest struct {
	// Credential is a token or an API key. Token and APIKey say which it is; one of the three
	// at most.
	Credential string `json:"credential,omitempty"`
	Token      string `json:"token,omitempty"`
	APIKey     string `json:"api_key,omitempty"`
	// Site is the host of a site, such as api.example.com, or its address, such as :8080.
	Site string `json:"site,omitempty"`
	// Method is the method of the request. Default: GET.
	Method string `json:"method,omitempty"`
	// URI is a path with a query, or a whole URL. Default: /.
	URI string `json:"uri,omitempty"`
	// Headers are the headers of the request: each a text, or a list of texts.
	Headers map[string][]string `json:"headers,omitempty"`
	// Remote is the address of the client, with or without a port. Default: 127.0.0.1.
	Remote string `json:"remote,omitempty"`
	// Introspect allows asking the issuer about a token (RFC 7662), which tells the issuer of it.
	// Default: false, only an answer that the server remembers is used.
	Introspect bool `json:"introspect,omitempty"`
}

// ExplainAudit is what the audit log says of a question that was answered.
type ExplainAudit struct {
	// Verdict is that of the report.
	Verdict explain.Verdict `json:"verdict"`
	// SignedPart is the SHA-256, in hexadecimal digits, of the token's header and claims as
	// they are signed, so without the signature; empty for anything else than a JWT.
	SignedPart string `json:"signed_part,omitempty"`
}

// explainAction is the action of its lines in the audit log.
const explainAction = "explain"

// explain serves POST /jwt/explain. It changes nothing, and leaves a line in the audit log, as
// the answer may say what is in a token that somebody else holds.
func (s *service) explain(w http.ResponseWriter, r *http.Request) error {
	app := s.running.current()
	line := AuditItem{Action: explainAction, Outcome: "answered", Who: caller(r), ClaimedBy: claimed(r), Status: http.StatusOK}
	if app != nil {
		if state := app.Shared(); state != nil {
			line.Node = state.Node()
		}
	}
	report, signed, err := answerQuestion(r, app)
	if err != nil {
		api := explainError(err)
		line.Outcome, line.Status, line.Error = "refused", api.HTTPStatus, api.Error()
		if api.HTTPStatus >= 500 {
			line.Outcome = "failed"
		}
		s.audit.write(auditLogger(app), line)
		return failing(w, api)
	}
	line.Explained = &ExplainAudit{report.Verdict, signed}
	s.audit.write(auditLogger(app), line)
	return writeAnswer(w, http.StatusOK, report)
}

func answerQuestion(r *http.Request, app App) (report explain.Report, signed string, err error) {
	if app == nil {
		return report, "", errNotRunning
	}
	if _, err := parameters(r); err != nil {
		return report, "", err
	}
	body, err := readBody(r)
	if err != nil {
		return report, "", err
	}
	q, err := readQuestion(body)
	if err != nil {
		return report, "", err
	}
	report, err = app.Explain(r.Context(), q)
	return report, signedPart(q.Credential), err
}

// explainError returns the answer for an error.
func explainError(err error) caddy.APIError {
	if api, ok := errors.AsType[caddy.APIError](err); ok {
		return api
	}
	if errors.Is(err, explain.ErrBusy) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return refusal(http.StatusServiceUnavailable, "%v", err)
	}
	// What was asked is well-formed, but this config has no such thing.
	return refusal(http.StatusUnprocessableEntity, "%v", err)
}

// readQuestion reads a body.
func readQuestion(body []byte) (*explain.Question, error) {
	q := new(explain.Question)
	given := false
	credential := func(v claims.Value) error {
		if given {
			return errors.New("there is another credential; give one of token, api_key and credential")
		}
		given = true
		return credentialText(&q.Credential)(v)
	}
	err := members{
		"credential": credential, "token": credential, "api_key": credential,
		"site": checked(&q.Site, checkSite), "method": checked(&q.Method, checkMethod), "uri": checked(&q.URI, checkURI),
		"headers": headers(&q.Header), "remote": checked(&q.Remote, checkRemote), "introspect": truth(&q.Introspect),
	}.read(body)
	return q, err
}

// The limits on a question. They are wider than those of the handlers, which say themselves
// what is too long for them.
const (
	maxCredential    = 96 << 10
	maxURI           = 16 << 10
	maxSite          = 300
	maxHeaderFields  = 200
	maxMethod        = 32
	fieldNamePattern = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$" // RFC 9110 section 5.6.2
)

var fieldName = regexp.MustCompile(fieldNamePattern)

// credentialText reads a credential, of which no error shows anything.
func credentialText(to *string) func(claims.Value) error {
	return func(v claims.Value) error {
		err := text(to)(v)
		switch {
		case err != nil:
			return err
		case *to == "":
			return errors.New("it is empty; leave it out to ask about a request without a credential")
		case len(*to) > maxCredential:
			return errors.New("it is longer than any token or API key")
		case !visible(*to, ""):
			return errors.New("it has white space or other characters that no token or API key has")
		}
		return nil
	}
}

// checked reads a text that has a form.
func checked(to *string, check func(string) error) func(claims.Value) error {
	return func(v claims.Value) error {
		if err := text(to)(v); err != nil {
			return err
		}
		if *to == "" {
			return nil // the default
		}
		return check(*to)
	}
}

func checkSite(site string) error {
	if len(site) > maxSite || !visible(site, "") || strings.ContainsAny(site, "/?#@") {
		return errors.New("it is not a host or an address; write one such as api.example.com or :8080")
	}
	return nil
}

func checkMethod(method string) error {
	if len(method) > maxMethod || !fieldName.MatchString(method) {
		return errors.New("it is not a method; write one such as POST")
	}
	return nil
}

func checkURI(uri string) error {
	wrong := errors.New("it is neither a path that begins with / nor a URL; write one such as /orders?id=7, and percent-encode what is special")
	if len(uri) > maxURI || !visible(uri, "") {
		return wrong
	}
	u, err := url.ParseRequestURI(uri)
	if err != nil || u.Host != "" && u.Scheme != "http" && u.Scheme != "https" || u.Host == "" && !strings.HasPrefix(uri, "/") {
		return wrong
	}
	if u.User != nil {
		return errors.New("there is a user in it; leave that out, and put the credential into credential")
	}
	return nil
}

func checkRemote(remote string) error {
	if _, err := netip.ParseAddr(remote); err == nil {
		return nil
	}
	if _, err := netip.ParseAddrPort(remote); err == nil {
		return nil
	}
	return errors.New("it is not an IP address; write one such as 203.0.113.7")
}

// headers reads an object of headers. Its errors show no value, as it may be a credential.
func headers(to *http.Header) func(claims.Value) error {
	return func(v claims.Value) error {
		if v.Kind() != claims.Object {
			return errors.New(`it must be an object of strings or arrays of strings, such as {"Origin": "https://app.example.com"}`)
		}
		*to = http.Header{}
		fields := 0
		for i := range v.Len() {
			name, value := v.NameAt(i), v.At(i)
			if !fieldName.MatchString(name) {
				return errors.New("a name in it is not one of a header")
			}
			values := []claims.Value{value}
			if value.Kind() == claims.Array {
				values = values[:0]
				for n := range value.Len() {
					values = append(values, value.At(n))
				}
			}
			for _, value := range values {
				text, ok := value.Text()
				if !ok {
					return errors.New(quote(name) + " must be a string or an array of strings")
				}
				if !visible(text, " \t") {
					return errors.New(quote(name) + " has a character that no header may have")
				}
				if fields++; fields > maxHeaderFields {
					return errors.New("there are too many")
				}
				to.Add(strings.Clone(name), strings.Clone(text))
			}
		}
		return nil
	}
}

// visible reports whether a text has no ASCII characters that are not printed, white space
// other than some included.
func visible(text, white string) bool {
	for _, c := range []byte(text) {
		if (c <= ' ' || c == 0x7f) && !strings.ContainsRune(white, rune(c)) {
			return false
		}
	}
	return true
}

// signedPart returns the digest of what of a JWT is signed (RFC 7515 section 5.1).
func signedPart(token string) string {
	at := strings.LastIndexByte(token, '.')
	if strings.Count(token, ".") != 2 {
		return ""
	}
	header, _, _ := strings.Cut(token, ".")
	if _, ok := tokenObject(header); !ok {
		return ""
	}
	digest := sha256.Sum256([]byte(token[:at]))
	return hex.EncodeToString(digest[:])
}

// Explain asks POST /jwt/explain. The time of the question must be zero.
func (c *Client) Explain(ctx context.Context, q *explain.Question) (report explain.Report, err error) {
	if !q.At.IsZero() {
		return report, explain.ErrAt
	}
	return report, c.do(ctx, http.MethodPost, "/jwt/explain", nil, ExplainRequest{
		Credential: q.Credential, Site: q.Site, Method: q.Method, URI: q.URI, Headers: q.Header, Remote: q.Remote, Introspect: q.Introspect,
	}, &report)
}
