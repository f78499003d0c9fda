package tokenservice

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
)

// failure is why an endpoint refuses: a code of RFC 6749 section 5.2 or of its siblings,
// with its status and fixed texts. Nothing of a request is ever in it.
type failure struct {
	code   string
	status int
	// description is for the client. Clients that there are not, wrong secrets and clients
	// that are disabled or have expired have the same.
	description string
	// reason is for logs alone; description if it is empty.
	reason string
	// retryAfter is the value of Retry-After in seconds, 0 for none.
	retryAfter int
	// allow is the value of Allow, empty for none.
	allow string
}

// The codes of errors.
const (
	errInvalidRequest = "invalid_request"
	errInvalidClient  = "invalid_client"
	errInvalidGrant   = "invalid_grant"
	errInvalidScope   = "invalid_scope"
	errInvalidTarget  = "invalid_target" // RFC 8707 section 2
	errUnsupported    = "unsupported_grant_type"
	errUnauthorized   = "unauthorized_client"
	errUnavailable    = "temporarily_unavailable"
	errUnsupportedTok = "unsupported_token_type" // RFC 7009 section 2.2.1
)

func invalidRequest(description string) *failure {
	return &failure{code: errInvalidRequest, status: http.StatusBadRequest, description: description}
}

// invalidClient returns the failure of a client that is not authenticated. The client always
// gets the same text.
func invalidClient(reason string) *failure {
	return &failure{code: errInvalidClient, status: http.StatusUnauthorized, description: "the client is unknown or its credential is not valid", reason: reason}
}

// notAuthenticated returns the failure of a client that does not authenticate itself in a way
// that there is. It says nothing of clients, so it can be told.
func notAuthenticated(description string) *failure {
	return &failure{code: errInvalidClient, status: http.StatusUnauthorized, description: description}
}

// invalidGrant returns the failure of a platform's token that is not accepted.
func invalidGrant(reason string) *failure {
	return &failure{code: errInvalidGrant, status: http.StatusBadRequest, description: "the assertion is not accepted", reason: reason}
}

func unavailable(reason string) *failure {
	return &failure{code: errUnavailable, status: http.StatusServiceUnavailable, description: "the server can't answer at present; try again", reason: reason, retryAfter: 5}
}

func tooMany(description string, retryAfter int) *failure {
	return &failure{code: errUnavailable, status: http.StatusTooManyRequests, description: description, retryAfter: retryAfter}
}

var (
	onlyPOST   = &failure{code: errInvalidRequest, status: http.StatusMethodNotAllowed, description: "only POST is allowed", allow: http.MethodPost}
	notSecure  = invalidRequest("the request must come over https")
	hasQuery   = invalidRequest("parameters must be in the body, not in the URL")
	notAForm   = invalidRequest("the body must be a form: application/x-www-form-urlencoded in UTF-8")
	malformed  = invalidRequest("the body is not a well-formed form")
	cutShort   = invalidRequest("the body could not be read")
	tooLarge   = &failure{code: errInvalidRequest, status: http.StatusRequestEntityTooLarge, description: "the body is larger than 8 KiB"}
	duplicate  = invalidRequest("a parameter is given more than once")
	manyParams = invalidRequest("there are more than 32 parameters")

	twoWays        = invalidRequest("the client authenticates itself in more than one way")
	halfAssertion  = invalidRequest("client_assertion and client_assertion_type come together")
	noCredential   = notAuthenticated("there is no client authentication; use Basic, or client_id and client_secret")
	otherScheme    = notAuthenticated("the scheme of Authorization is not Basic; use Basic, or client_id and client_secret")
	badBasic       = notAuthenticated("Basic is not base64 of a client_id, a colon and a client_secret")
	unknownSecret  = invalidClient("no API key has this text")
	disabledKey    = invalidClient("the API key is disabled")
	expiredKey     = invalidClient("the API key has expired")
	revokedKey     = invalidClient("the API key is revoked")
	revokedClient  = invalidClient("the client is revoked")
	shortKey       = invalidClient("the API key has fewer than 20 characters")
	otherID        = invalidClient("the API key is not that of client_id")
	takenID        = invalidClient("the id of the API key is that of another client")
	keysAway       = unavailable("the stored API keys are not available")
	rulesAway      = unavailable("it is not known what is revoked")
	signingAway    = unavailable("the signing keys are not available")
	signingFailed  = unavailable("the token could not be signed")
	gaveUp         = unavailable("the client has gone")
	tooEarly       = unavailable("tokens that are issued now are revoked, as the not-before of a rule is ahead of this server's clock")
	noGrant        = invalidRequest("grant_type is missing; use client_credentials")
	otherGrant     = &failure{code: errUnsupported, status: http.StatusBadRequest, description: "grant_type is not one of this server; its metadata lists them as grant_types_supported"}
	malformedScope = &failure{code: errInvalidScope, status: http.StatusBadRequest, description: "scope is malformed"}
	manyScopes     = &failure{code: errInvalidScope, status: http.StatusBadRequest, description: "scope has more than 1000 words"}
	noScope        = &failure{code: errInvalidScope, status: http.StatusBadRequest, description: "the client has none of the scopes that it asks for"}
	severalTargets = &failure{code: errInvalidTarget, status: http.StatusBadRequest, description: "resource is given more than once; ask for a token for each"}
	badTarget      = &failure{code: errInvalidTarget, status: http.StatusBadRequest, description: "resource is not an absolute URL without fragment"}
	otherTarget    = &failure{code: errInvalidTarget, status: http.StatusBadRequest, description: "the client may not ask for this resource"}
)

// authenticateHeader is the challenge of RFC 6749 section 5.2.
const authenticateHeader = `Basic realm="oauth2"`

// fail answers with a failure, and reports it.
func (s *Service) fail(w http.ResponseWriter, f *failure, e Event) {
	h := w.Header()
	if f.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", authenticateHeader)
	}
	if f.allow != "" {
		h.Set("Allow", f.allow)
	}
	if f.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(f.retryAfter))
	}
	body := append(make([]byte, 0, 160), `{"error":"`...)
	body = append(body, f.code...)
	if f.description != "" {
		body = append(body, `","error_description":"`...)
		body = append(body, f.description...)
	}
	body = append(body, `"}`...)
	e.Error, e.Reason, e.Limited = f.code, f.reason, f.status == http.StatusTooManyRequests
	if e.Reason == "" {
		e.Reason = f.description
	}
	s.answer(w, f.status, body, e)
}

// write answers with JSON that must not be kept: the text itself if answer is a []byte.
func (s *Service) write(w http.ResponseWriter, answer any, e Event) {
	body, ok := answer.([]byte)
	if !ok {
		var err error
		if body, err = json.Marshal(answer); err != nil {
			s.fail(w, unavailable("the answer could not be written"), e)
			return
		}
	}
	s.answer(w, http.StatusOK, body, e)
}

// answer writes an answer, and reports it.
func (s *Service) answer(w http.ResponseWriter, status int, body []byte, e Event) {
	// One allocation for all. It is not shared with other answers, as handlers in front may
	// change values in place.
	values := &[...]string{"application/json", "no-store", "no-cache", "nosniff", strconv.Itoa(len(body))}
	h := w.Header()
	h["Content-Type"] = values[0:1:1]
	h["Cache-Control"] = values[1:2:2]
	h["Pragma"] = values[2:3:3]
	h["X-Content-Type-Options"] = values[3:4:4]
	h["Content-Length"] = values[4:5:5]
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone
	if s.config.Observe != nil {
		s.config.Observe(e)
	}
}

// eventOf returns the event of a request before anything is known of it.
func eventOf(from Request) Event {
	return Event{Endpoint: from.Path[strings.LastIndexByte(from.Path, '/')+1:], Address: from.Client}
}
