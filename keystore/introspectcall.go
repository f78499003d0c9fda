package keystore

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// callError is why a call failed. Its text may be logged: it has neither token nor secret, and
// its URL has no query.
type callError struct {
	err        error
	retryAfter time.Duration // of a 429 or 503
	refused    bool          // the endpoint refuses our client
	ofToken    bool          // the endpoint works, and does not like this token
}

func (e *callError) Error() string { return e.err.Error() }

func (e *callError) Unwrap() error { return e.err }

// newCallTransport makes the transport of an Introspection: connections stay for the next
// call, and one that went silent is found out within a few seconds, also where HTTP/2 carries
// all calls over the same.
func newCallTransport(s *source) http.RoundTripper {
	t := newTransport(s).(*http.Transport)
	t.MaxIdleConnsPerHost = maxStrangers
	t.IdleConnTimeout = time.Minute
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: 2 * time.Second, PingTimeout: 2 * time.Second}
	return t
}

// call asks the issuer about a token (RFC 7662 section 2.1).
func (i *Introspection) call(ctx context.Context, token string) (judged, error) {
	at, err := i.endpoint(ctx)
	if err != nil {
		return judged{}, ended(ctx, err)
	}
	answer, err := i.ask(ctx, at, token)
	if err == nil {
		return answer, nil
	}
	err = ended(ctx, err)
	failed, ok := err.(*callError) //nolint:errorlint // ask makes it
	if !ok {
		failed = &callError{err: err}
	}
	failed.err = fmt.Errorf("%s: %w", redact(at.url), failed.err)
	return judged{}, failed
}

// ended returns why a call was ended, if it was.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (i *Introspection) ask(ctx context.Context, at endpoint, token string) (judged, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	authorization := ""
	if i.config.ClientID != "" {
		secret, err := i.config.ClientSecret()
		if err != nil {
			return judged{}, fmt.Errorf("the client secret can't be read: %w", err)
		}
		if secret = strings.TrimRight(secret, "\r\n"); secret == "" {
			return judged{}, errors.New("the client secret is empty")
		}
		if at.post {
			form.Set("client_id", i.config.ClientID)
			form.Set("client_secret", secret)
		} else {
			// RFC 6749 section 2.3.1 encodes both parts as in a form.
			pair := url.QueryEscape(i.config.ClientID) + ":" + url.QueryEscape(secret)
			authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(pair))
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, at.url.String(), strings.NewReader(form.Encode()))
	if err != nil {
		return judged{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	request.Header.Set("Accept-Encoding", "gzip")
	request.Header.Set("User-Agent", "caddy-jwt")
	// It is not sent. It lets the transport try again where the server has closed the
	// connection meanwhile: asking twice does no harm.
	request.Header["Idempotency-Key"] = []string{}
	if authorization != "" {
		request.Header.Set("Authorization", authorization)
	}
	// An http.Client would follow redirects: a 307 would take token and secret to another host.
	response, err := i.client.transport.RoundTrip(request)
	if err != nil {
		return judged{}, err
	}
	defer func() { _ = response.Body.Close() }()
	return i.read(response)
}

// read reads an answer.
func (i *Introspection) read(response *http.Response) (judged, error) {
	if response.StatusCode != http.StatusOK {
		return judged{}, i.status(response)
	}
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	switch {
	case err == nil && media == "application/json":
	case err == nil && media == "application/token-introspection+jwt":
		return judged{}, errors.New("the answer is a JWT (RFC 9701); set the client up so that it gets application/json")
	default:
		return judged{}, errors.New("the answer's Content-Type is not application/json; the URL may be that of a sign-in page or of another endpoint")
	}
	if response.ContentLength > maxAnswerBytes {
		return judged{}, errAnswerTooLarge
	}
	body, err := readBodyUpTo(response, maxAnswerBytes)
	if err != nil {
		return judged{}, err
	}
	return judge(body, i.config.Issuer, i.config.AllowUntyped)
}

// status returns the error for an answer with another status than 200.
func (i *Introspection) status(response *http.Response) error {
	e := &callError{err: fmt.Errorf("it answers with status %d instead of 200", response.StatusCode)}
	refused := fmt.Errorf("the client of introspection is refused (status %d): compare its ID and secret with what the issuer has, and see that the client may introspect", response.StatusCode)
	switch code := response.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		e.err, e.refused = refused, true
	case code == http.StatusBadRequest:
		// RFC 6749 section 5.2 allows this status for a client that is refused, too.
		e.ofToken = true
		if body, err := readBodyUpTo(response, maxAnswerBytes); err == nil && len(body) <= maxAnswerBytes {
			if v, err := parseJSON(body); err == nil {
				if said, _, _ := text(v, "error"); said == "invalid_client" || said == "unauthorized_client" {
					e.err, e.refused, e.ofToken = refused, true, false
				}
			}
		}
	case code >= 300 && code < 400:
		e.err = fmt.Errorf("it redirects (status %d), which is not followed: the client secret and the tokens go to the configured endpoint alone; write its final URL", code)
	case code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable:
		e.retryAfter = retryAfter(response.Header, i.client.Clock.Now())
	}
	return e
}
