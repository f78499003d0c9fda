package admin

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	refusals "github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// endpoint serves a request.
type endpoint func(w http.ResponseWriter, r *http.Request) error

// methods are the endpoints of a path by their method.
type methods map[string]endpoint

func (m methods) serve(w http.ResponseWriter, r *http.Request) error {
	if serve, ok := m[r.Method]; ok {
		return serve(w, r)
	}
	return methodNotAllowed(w, strings.Join(slices.Sorted(maps.Keys(m)), ", "))
}

// service is the endpoint, with what it remembers from request to request. That outlives
// configs.
type service struct {
	running *runningApps
	audit   *auditLog
	repeats *repeats
	now     func() time.Time

	refusals  *refusals.Recent
	shutdowns shutdowns
}

func newService(running *runningApps, now func() time.Time) *service {
	return &service{running: running, audit: newAuditLog(now), repeats: newRepeats(now), now: now, refusals: refusals.Watched}
}

// process is the endpoint of this process.
var process = newService(&Running, func() time.Time { return clock.System().Now() })

// Routes returns the routes of the endpoint.
func Routes() []caddy.AdminRoute { return process.routes() }

func (s *service) routes() []caddy.AdminRoute {
	var routes []caddy.AdminRoute
	add := func(pattern string, serve endpoint) {
		routes = append(routes, caddy.AdminRoute{Pattern: pattern, Handler: caddy.AdminHandlerFunc(serve)})
	}
	add("/jwt/status", s.serveStatus)
	add("/jwt/issuers/", s.serveRefresh)
	add("/jwt/revocations", methods{"GET": reading(s.listRevocations), "POST": s.change("revoke", true, addRevocation)}.serve)
	add("/jwt/revocations/", below(methods{"DELETE": s.change("unrevoke", false, removeRevocation)}, nil))
	add("/jwt/api-keys", methods{"GET": reading(s.listKeys), "POST": s.change("key_create", true, createKey)}.serve)
	add("/jwt/api-keys/", below(methods{
		"GET": reading(s.getKey), "PATCH": s.change("key_edit", true, editKey), "DELETE": s.change("key_delete", false, deleteKey),
	}, methods{"PUT": s.change("key_roll", true, rollKey)}))
	add("/jwt/signing-keys", methods{"GET": reading(s.listSigningKeys), "POST": s.change(rotateAction, true, rotateSigningKeys)}.serve)
	add("/jwt/explain", methods{"POST": s.explain}.serve)
	add("/jwt/audit", methods{"GET": reading(s.listAudit)}.serve)
	add("/jwt/refusals", methods{"GET": reading(s.listRefusals)}.serve)
	add("/jwt/state/accept", methods{"POST": s.change("accept", true, accept)}.serve)
	return routes
}

// below serves a thing by its id, and its secret, if there is one.
func below(thing, secret methods) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		switch id, rest := idOf(r); {
		case id != "" && rest == "":
			return thing.serve(w, r)
		case id != "" && rest == "secret" && secret != nil:
			return secret.serve(w, r)
		}
		return refusal(http.StatusNotFound, "there is nothing at this path")
	}
}

// idOf returns the id in the path of a request, such as /jwt/api-keys/{id}/secret, and what
// is behind it.
func idOf(r *http.Request) (id, rest string) {
	parts := strings.SplitN(r.URL.Path, "/", 5)
	if len(parts) < 4 {
		return "", ""
	}
	if len(parts) == 5 {
		if rest = parts[4]; rest == "" {
			return "", "" // a slash at the end
		}
	}
	return parts[3], rest
}

// keyID returns the id of the API key in the path of a request.
func keyID(r *http.Request) (string, error) {
	id, _ := idOf(r)
	if err := apikey.CheckID(id); err != nil {
		return "", bad("the id in the path: %v", err)
	}
	return id, nil
}

// reading serves a request that changes nothing.
func reading(read func(w http.ResponseWriter, r *http.Request) (any, error)) endpoint {
	return func(w http.ResponseWriter, r *http.Request) error {
		answer, err := read(w, r)
		if err != nil {
			return failing(w, storageError(err, http.StatusInternalServerError))
		}
		return writeAnswer(w, http.StatusOK, answer)
	}
}

// failing returns err, and sets the headers of its answer.
func failing(w http.ResponseWriter, err error) error {
	if api, ok := errors.AsType[caddy.APIError](err); ok && api.HTTPStatus == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	return err
}

var errNotRunning = caddy.APIError{HTTPStatus: http.StatusServiceUnavailable, Err: errors.New("no config with a jwt handler is running")}

func methodNotAllowed(w http.ResponseWriter, allowed string) error {
	w.Header().Set("Allow", allowed)
	return caddy.APIError{HTTPStatus: http.StatusMethodNotAllowed, Err: errors.New("the method must be " + allowed)}
}

func writeJSON(w http.ResponseWriter, v any) error { return writeAnswer(w, http.StatusOK, v) }

func writeAnswer(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store") // there may be a secret in it
	if status != http.StatusOK {
		w.WriteHeader(status)
	}
	// It is read on terminals too: errors are what other servers wrote.
	e := json.NewEncoder(terminal.NewWriter(w))
	e.SetIndent("", "\t")
	return e.Encode(v)
}
