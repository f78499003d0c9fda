package admin

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
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

// Routes returns the routes of the endpoint.
func Routes() []caddy.AdminRoute {
	var routes []caddy.AdminRoute
	add := func(pattern string, serve endpoint) {
		routes = append(routes, caddy.AdminRoute{Pattern: pattern, Handler: caddy.AdminHandlerFunc(serve)})
	}
	add("/jwt/status", serveStatus)
	add("/jwt/issuers/", serveRefresh)
	add("/jwt/revocations", methods{"GET": reading(listRevocations), "POST": serveChange("revoke", true, addRevocation)}.serve)
	add("/jwt/revocations/", below(methods{"DELETE": serveChange("unrevoke", false, removeRevocation)}, nil))
	add("/jwt/api-keys", methods{"GET": reading(listKeys), "POST": serveChange("key_create", true, createKey)}.serve)
	add("/jwt/api-keys/", below(methods{
		"GET": reading(getKey), "PATCH": serveChange("key_edit", true, editKey), "DELETE": serveChange("key_delete", false, deleteKey),
	}, methods{"PUT": serveChange("key_roll", true, rollKey)}))
	add("/jwt/audit", methods{"GET": reading(listAudit)}.serve)
	add("/jwt/state/accept", methods{"POST": serveChange("accept", true, accept)}.serve)
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
