package admin

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// Client asks the admin endpoint of a running server to change or list something. It is
// safe for concurrent use.
type Client struct {
	// Address is where the endpoint listens, as Endpoint returns it.
	Address string
	// Operator is for whom the client acts, for the audit log. Default: user@host.
	Operator string
	// Timeout is how long a request may take. Default: 30 seconds.
	Timeout time.Duration

	handler http.Handler // serves the requests in this process, if it is not nil
}

// StatusError is an answer that is no success. Other errors of a Client mean that there was
// no answer.
type StatusError struct {
	// Code is the status.
	Code int
	// Message is what the server says, safe for a terminal.
	Message string
}

// Error returns the message.
func (e *StatusError) Error() string { return e.Message }

// NoAnswerError is the error for a request that got no answer. What it asked for may have
// been done.
type NoAnswerError struct {
	Address string
	Err     error
}

// Error implements error.
func (e *NoAnswerError) Error() string {
	return terminal.Text(fmt.Sprintf("no answer from the admin endpoint at %s: %v", e.Address, e.Err))
}

// Unwrap returns why there is none.
func (e *NoAnswerError) Unwrap() error { return e.Err }

// Revoke adds a rule.
func (c *Client) Revoke(ctx context.Context, request RevocationRequest) (a RevocationAnswer, err error) {
	return a, c.do(ctx, http.MethodPost, "/jwt/revocations", nil, request, &a)
}

// Revocations returns a page of the rules.
func (c *Client) Revocations(ctx context.Context, q RevocationQuery) (p RevocationPage, err error) {
	return p, c.do(ctx, http.MethodGet, "/jwt/revocations", query(
		"kind", q.Kind, "value", q.Value, "issuer", q.Issuer, "limit", number(q.Limit), "after", q.After), nil, &p)
}

// RemoveRevocation removes a rule, and returns it. It needs a reason.
func (c *Client) RemoveRevocation(ctx context.Context, id, reason string) (removed RevocationItem, err error) {
	return removed, c.do(ctx, http.MethodDelete, "/jwt/revocations/"+url.PathEscape(id), query("reason", reason), nil, &removed)
}

// CreateKey makes an API key.
func (c *Client) CreateKey(ctx context.Context, request KeyRequest) (a KeyAnswer, err error) {
	return a, c.do(ctx, http.MethodPost, "/jwt/api-keys", nil, request, &a)
}

// ListKeys returns a page of the API keys of stores and files.
func (c *Client) ListKeys(ctx context.Context, q KeyQuery) (p KeyPage, err error) {
	return p, c.do(ctx, http.MethodGet, "/jwt/api-keys", query(
		"store", q.Store, "expiring", q.Expiring, "unused", q.Unused, "limit", number(q.Limit), "after", q.After), nil, &p)
}

// GetKey returns an API key. store may be empty where the id is in one store only, here and
// below.
func (c *Client) GetKey(ctx context.Context, store, id string) (k KeyItem, err error) {
	return k, c.do(ctx, http.MethodGet, keyPath(id), query("store", store), nil, &k)
}

// EditKey changes an API key.
func (c *Client) EditKey(ctx context.Context, store, id string, edit KeyEdit) (a KeyAnswer, err error) {
	return a, c.do(ctx, http.MethodPatch, keyPath(id), query("store", store), edit, &a)
}

// RollKey gives an API key a new secret.
func (c *Client) RollKey(ctx context.Context, store, id string, request RollRequest) (a KeyAnswer, err error) {
	return a, c.do(ctx, http.MethodPut, keyPath(id)+"/secret", query("store", store), request, &a)
}

// DeleteKey deletes an API key, for ever, and returns it as it was.
func (c *Client) DeleteKey(ctx context.Context, store, id string) (a KeyAnswer, err error) {
	return a, c.do(ctx, http.MethodDelete, keyPath(id), query("store", store), nil, &a)
}

// Accept signs what is in the storage without a signature.
func (c *Client) Accept(ctx context.Context) (a AcceptAnswer, err error) {
	return a, c.do(ctx, http.MethodPost, "/jwt/state/accept", nil, struct{}{}, &a)
}

// Audit returns a page of the audit log: up to limit lines behind the line after, 100 if
// limit is 0.
func (c *Client) Audit(ctx context.Context, after uint64, limit int) (p AuditPage, err error) {
	q := query("limit", number(limit))
	if after > 0 {
		q.Set("after", strconv.FormatUint(after, 10))
	}
	return p, c.do(ctx, http.MethodGet, "/jwt/audit", q, nil, &p)
}

// Status returns the status page, and whether all shared sets are ready.
func (c *Client) Status(ctx context.Context) (p Page, ready bool, err error) {
	body, err := c.send(ctx, http.MethodGet, "/jwt/status?ready", nil)
	failed, ok := errors.AsType[*StatusError](err)
	if err != nil && !(ok && failed.Code == http.StatusServiceUnavailable && json.Valid(body)) {
		return p, false, err
	}
	if e := json.Unmarshal(body, &p); e != nil {
		return p, false, NotOursError{e}
	}
	if ok && p.State == nil { // an error's body, not a page
		return p, false, err
	}
	return p, !ok, nil
}

func keyPath(id string) string { return "/jwt/api-keys/" + url.PathEscape(id) }

func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// query returns the parameters that are not empty.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

// do sends a request and decodes its answer.
func (c *Client) do(ctx context.Context, method, path string, q url.Values, request, answer any) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
		if hasReplaced(body) {
			return &StatusError{http.StatusBadRequest, "a text is not valid UTF-8, and nothing was changed; what it would have named is another thing"}
		}
	}
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	content, err := c.send(ctx, method, path, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return NotOursError{err}
	}
	return nil
}

// hasReplaced reports whether package json has replaced something in a text that is not UTF-8.
// It then writes the replacement as an escape, and as itself if somebody wrote it.
func hasReplaced(body []byte) bool {
	for {
		_, escaped, ok := bytes.Cut(body, []byte{'\\'})
		if !ok || len(escaped) == 0 {
			return false
		}
		if bytes.HasPrefix(escaped, []byte("ufffd")) {
			return true
		}
		body = escaped[1:] // which may be a backslash
	}
}

// maxAnswer is how much of an answer is read: a page of 1,000 keys with all that they may
// hold, and more.
const maxAnswer = 128 << 20

// send sends a request as Caddy's own commands do, and returns the body of the answer. The
// body of a *StatusError is returned too.
func (c *Client) send(ctx context.Context, method, path string, body []byte) ([]byte, error) {
	address, err := caddy.ParseNetworkAddress(c.Address)
	if err != nil || address.PortRangeSize() > 1 {
		return nil, &NoAnswerError{c.Address, errors.New("this is not a valid address of an admin endpoint")}
	}
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, 30*time.Second))
	defer cancel()
	origin, place := "http://"+address.JoinHostPort(0), address.JoinHostPort(0)
	local := address.IsUnixNetwork() || address.IsFdNetwork()
	if local {
		// There is no host. Caddy's endpoint takes this one on sockets.
		origin = "http://127.0.0.1"
	}
	if address.IsUnixNetwork() {
		place, _, _ = strings.Cut(address.Host, "|") // the socket's permissions follow
	}
	r, err := http.NewRequestWithContext(ctx, method, origin+path, bytes.NewReader(body))
	if err != nil {
		return nil, &NoAnswerError{c.Address, err}
	}
	if !local {
		r.Header.Set("Origin", origin) // Caddy refuses requests of other origins
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if operator := cmp.Or(c.Operator, thisOperator()); operator != "" {
		r.Header.Set(operatorHeader, operator)
	}
	var transport http.RoundTripper = &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, address.Network, place)
		},
	}
	if c.handler != nil {
		transport = inProcess{c.handler}
	}
	client := http.Client{
		Transport: transport,
		// A redirect could lead a token or a key elsewhere.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(r)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err // without the query
		}
		return nil, &NoAnswerError{c.Address, err}
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, &NoAnswerError{c.Address, err}
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return content, statusError(response.StatusCode, content)
	}
	return content, nil
}

func statusError(code int, content []byte) *StatusError {
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(content, &answer) != nil || answer.Error == "" {
		answer.Error = fmt.Sprintf("the server answered %d %s", code, http.StatusText(code))
		if code == http.StatusNotFound {
			answer.Error += "; it has no jwt plugin, or an older one"
		}
	}
	return &StatusError{code, terminal.Text(answer.Error)}
}

// thisOperator returns user@host of this process, as far as it is known, in ASCII.
func thisOperator() string {
	var parts []string
	if u, err := user.Current(); err == nil {
		parts = append(parts, u.Username)
	}
	if host, err := os.Hostname(); err == nil {
		parts = append(parts, host)
	}
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' {
			return '_'
		}
		return c
	}, strings.Join(parts, "@"))
}

// operatorHeader is the header of requests that says for whom the client acts.
const operatorHeader = "X-Jwt-Operator"
