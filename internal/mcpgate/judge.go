package mcpgate

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-jwt/caddy-jwt/internal/identity"
	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Verdict is what becomes of a request.
type Verdict struct {
	// Code is the reason of a refusal, empty if the request may go on.
	Code reason.Code
	// Detail is what exactly is wrong, and Unmet the rule that is not met, as a Caddyfile
	// has it. Both may be empty.
	Detail, Unmet string
	// Scopes are all that the operation needs, where one is missing.
	Scopes string
	// Failed is the error of another handler while the body was read, such as that of
	// request_body; nil for none. It is for the caller to return.
	Failed error

	message *mcp.Message // nil if there is none that can be judged

	// id and code of the JSON-RPC error.
	id  json.RawMessage
	rpc int
}

// Refused is the verdict on a request that is refused for a reason that the gate is not asked
// about, and whose client expects its answers to be of JSON-RPC.
func Refused(code reason.Code) Verdict { return Verdict{Code: code, rpc: mcp.RPCCode(code, false)} }

// allowed is the value of the header Allow.
const allowed = "POST, GET, DELETE, HEAD, OPTIONS"

// Answer returns the JSON-RPC error that answers a refusal with a text, and the header Allow,
// empty for none.
func (v *Verdict) Answer(text string) (body []byte, allow string) {
	if v.Code == reason.MethodNotAllowed {
		allow = allowed
	}
	return mcp.AppendError(nil, v.id, v.rpc, text), allow
}

func faulty(f *mcp.Fault) Verdict {
	v := Verdict{Code: f.Code(), id: f.ID, rpc: f.RPCCode()}
	if d, ok := errors.AsType[*reason.Detailed](f.Err); ok {
		v.Detail = d.Detail()
	}
	return v
}

// Preflight judges a CORS preflight, whose sender is not known: its body is not read.
func (g *Gate) Preflight(r *http.Request) Verdict {
	if f := mcp.Check(r); f != nil {
		return faulty(f)
	}
	r.Body, r.ContentLength = http.NoBody, 0
	return Verdict{}
}

// Judge judges a request of an identity that meets the handler's own rules. One that may go on
// has the bytes that were judged as its body, until the caller ends them. Of one that may not,
// the body is lost, unless the handler passes refused requests on all the same: then it is as
// if nothing had been read of it.
//
// w is for ending a Read that takes too long; nil for a request whose body is in memory.
func (g *Gate) Judge(w http.ResponseWriter, r *http.Request, id *identity.Identity, pass bool) (Verdict, *Held) {
	if f := mcp.Check(r); f != nil {
		return faulty(f), nil
	}
	judged := mcp.Judged(r)
	if judged && r.ContentLength > int64(g.maxBody) {
		return faulty(&mcp.Fault{Err: reason.BodyTooLarge}), nil
	}
	if body, ok := untouched(r.Body); ok && judged && len(body) <= g.maxBody {
		return g.message(r, body, id), nil
	}
	if !judged && r.ProtoMajor == 1 && r.ContentLength == 0 {
		// HTTP/1 says it if there is a body (RFC 9112 section 6.3). An access log has wrapped
		// it all the same, and reading it would cost more than all else.
		r.Body = http.NoBody
		return Verdict{}, nil
	}
	b := &reading{patience: patience{body: r.Body}, length: r.ContentLength, limit: g.maxBody}
	b.account.budget = g.budget
	b.account.user.name, b.account.user.issuer = id.Sender()
	b.some = !judged
	settled := false
	defer func() {
		if !settled { // a panic, which the server ends the request with
			b.account.close()
		}
	}()
	var err error
	if r.Body != nil && r.Body != http.NoBody {
		err = b.read(g.inTime)
	} else {
		b.body, b.eof = http.NoBody, true
	}
	v := g.body(r, b, id, judged, err)
	settled = true
	switch {
	case v.Code == "" && v.Failed == nil && !judged:
		b.account.close()
		r.Body, r.ContentLength = http.NoBody, 0
		return v, nil
	case v.Code == "" && v.Failed == nil:
		return v, b.put(r)
	case pass:
		return v, b.back(r, err)
	}
	b.abandon(w, err)
	return v, nil
}

// body judges what was read.
func (g *Gate) body(r *http.Request, b *reading, id *identity.Identity, judged bool, err error) Verdict {
	switch {
	case !judged && len(b.data) > 0: // whatever came then
		return faulty(&mcp.Fault{Err: reason.UnexpectedBody})
	case err != nil:
		return unread(err)
	case !judged:
		return Verdict{}
	}
	return g.message(r, b.data, id)
}

// unread is the verdict on a request whose body can't be read.
func unread(err error) Verdict {
	code := reason.Code("")
	switch _, large := errors.AsType[*http.MaxBytesError](err); {
	case errors.As(err, &code):
	case errors.Is(err, errTime), errors.Is(err, os.ErrDeadlineExceeded):
		code = reason.BodyTimeout
	case isHandlerError(err):
		return Verdict{Failed: err}
	case large:
		code = reason.BodyTooLarge
	default:
		return faulty(&mcp.Fault{Err: reason.BodyBroken})
	}
	return faulty(&mcp.Fault{Err: code})
}

func isHandlerError(err error) bool {
	_, ok := errors.AsType[caddyhttp.HandlerError](err)
	return ok
}

// message judges the message of a POST.
func (g *Gate) message(r *http.Request, body []byte, id *identity.Identity) Verdict {
	m, f := mcp.Parse(r, body)
	if f != nil {
		return faulty(f)
	}
	v := Verdict{message: m}
	scopes := strings.Fields(g.own)
	for i := range m.Calls {
		matching, denied := g.matching.Matching(m.Calls[i])
		if denied && v.Code == "" {
			v.Code, v.Unmet = reason.Forbidden, textDeny
		}
		for _, n := range matching {
			required := g.required[n]
			for s := range strings.FieldsSeq(required.RequiredScopes()) {
				if !slices.Contains(scopes, s) {
					scopes = append(scopes, s)
				}
			}
			if v.Code != "" {
				continue
			}
			if unmet, code := required.Check(r, id); code != "" {
				v.Code, v.Unmet = code, g.texts[n]+" "+unmet
			}
		}
	}
	if v.Code != "" {
		v.id, v.rpc = m.ID, mcp.RPCCode(v.Code, false)
	}
	if v.Code == reason.InsufficientScope {
		v.Scopes = strings.Join(scopes, " ")
	}
	return v
}
