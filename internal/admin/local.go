package admin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/caddyserver/caddy/v2"
)

// LocalClient returns a client whose requests are served in this process, for an app that no
// server runs: that of a command that works on a storage while the server is down.
func LocalClient(app App) *Client {
	running := new(runningApps)
	running.Add(app)
	mux := http.NewServeMux()
	for _, route := range newService(running, process.now).routes() {
		mux.Handle(route.Pattern, errorHandler{route.Handler})
	}
	return &Client{Address: caddy.DefaultAdminListen, handler: mux}
}

// errorHandler answers errors as Caddy's admin endpoint does.
type errorHandler struct{ caddy.AdminHandler }

// ServeHTTP implements http.Handler.
func (h errorHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	err := h.AdminHandler.ServeHTTP(w, r)
	if err == nil {
		return
	}
	failed, ok := errors.AsType[caddy.APIError](err)
	if !ok {
		failed = caddy.APIError{HTTPStatus: http.StatusInternalServerError, Err: err}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(failed.HTTPStatus)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": failed.Error()}) // into memory
}

// inProcess is the http.RoundTripper for a handler.
type inProcess struct{ handler http.Handler }

// RoundTrip implements http.RoundTripper.
func (t inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := &memoryAnswer{header: http.Header{}, status: http.StatusOK}
	t.handler.ServeHTTP(answer, r)
	return &http.Response{
		StatusCode: answer.status, Header: answer.header, Body: io.NopCloser(&answer.body), Request: r,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: int64(answer.body.Len()),
	}, nil
}

// memoryAnswer is an http.ResponseWriter that keeps the answer.
type memoryAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (a *memoryAnswer) Header() http.Header { return a.header }

// WriteHeader implements http.ResponseWriter.
func (a *memoryAnswer) WriteHeader(status int) { a.status = status }

// Write implements io.Writer.
func (a *memoryAnswer) Write(text []byte) (int, error) { return a.body.Write(text) }
