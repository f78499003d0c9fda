package admin

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// changeTime is how long a change may take: a storage is given 10 seconds.
const changeTime = 20 * time.Second

// change is a request that changes something, on its way.
type change struct {
	// ctx does not end when the client goes away: a change that has begun is made.
	ctx     context.Context
	service *service
	request *http.Request
	app     App
	state   State // not nil
	body    []byte
	now     time.Time
	token   string // that a rule is about; never stored, shown or logged
	// line is what the audit log will say of it.
	line AuditItem
}

// actor returns who makes the change, for the facts.
func (c *change) actor() apikey.Actor {
	return apikey.Actor{By: by(c.line.Who, c.line.ClaimedBy), Node: c.line.Node}
}

// outcome returns the status of a change that was made, and writes down whether it was
// stored.
func (c *change) outcome(stored bool, status int) int {
	if !stored {
		c.line.Outcome = "node_only"
		return http.StatusAccepted
	}
	return status
}

// changer makes a change, and returns its status and its answer.
type changer func(c *change) (status int, answer any, err error)

// repeatable is an answer that differs when it is repeated.
type repeatable interface{ repeated() any }

// change serves a request that changes something: a repeated one from memory, any
// other by making the change. Each is a line of the audit log, a refused one too.
func (s *service) change(action string, takesBody bool, do changer) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		c := &change{request: r, service: s, app: s.running.current(), now: s.now(), line: AuditItem{
			Action: action, Outcome: "stored", Who: caller(r), ClaimedBy: claimed(r),
		}}
		if c.app != nil {
			if c.state = c.app.Shared(); c.state != nil {
				c.line.Node = c.state.Node()
			}
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), changeTime)
		defer cancel()
		c.ctx = ctx
		status, answer, err := c.serve(takesBody, do)
		if err != nil {
			api := storageError(err, http.StatusInternalServerError).(caddy.APIError)
			c.line.Outcome, c.line.Error, status = "refused", api.Error(), api.HTTPStatus
			if status >= 500 {
				c.line.Outcome = "failed"
			}
			err = api
		}
		c.line.Status = status
		s.audit.write(c.logger(), c.line)
		if err != nil {
			return failing(w, err)
		}
		return writeAnswer(w, status, answer)
	}
}

func (c *change) serve(takesBody bool, do changer) (status int, answer any, err error) {
	if c.app == nil {
		return 0, nil, errNotRunning
	}
	if takesBody {
		c.body, err = readBody(c.request)
	} else if c.body, err = limitedBody(c.request); err == nil && len(c.body) > 0 {
		err = bad("a %s takes no body", c.request.Method)
	}
	if err != nil {
		return 0, nil, err
	}
	if c.state == nil {
		switch { // a service or a store brings the state with it
		case c.line.Action == rotateAction:
			return 0, nil, errNoService
		case strings.HasPrefix(c.line.Action, "key_"):
			return 0, nil, errNoStore
		}
		return 0, nil, errNoState
	}
	id, err := repeatID(c.request)
	if err != nil {
		return 0, nil, err
	}
	if id == "" {
		return do(c)
	}
	before, end, err := c.service.repeats.begin(c.ctx, repeatKey{c.line.Who, c.request.Method, c.request.URL.RequestURI(), id}, c.body)
	switch {
	case err != nil:
		return 0, nil, err
	case before != nil:
		c.line.Outcome = "repeated"
		return before.status, before.answer, nil
	}
	kept := 0
	var again any
	defer func() { end(kept, again) }()
	if status, answer, err = do(c); err == nil {
		kept, again = status, answer
		if a, ok := answer.(repeatable); ok {
			again = a.repeated()
		}
	}
	return status, answer, err
}

// logger returns the audit log's logger. Without a config it is Caddy's own.
func (c *change) logger() *zap.Logger { return auditLogger(c.app) }

func auditLogger(app App) *zap.Logger {
	if app != nil {
		return app.Audit()
	}
	return caddy.Log().Named("jwt.audit")
}
