package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func contextThatEnds(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithCancel(t.Context())
}

// listening serves a site on a listener, and returns a client.
func (s *site) listening(l net.Listener, address string) *Client {
	s.t.Helper()
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.mux}}
	server.Start()
	s.t.Cleanup(server.Close)
	return &Client{Address: address, Operator: "alice@laptop"}
}

func TestTheClient(t *testing.T) {
	t.Parallel()
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			address := filepath.Join(t.TempDir(), "s")
			if network == "tcp" {
				address = "127.0.0.1:0"
			}
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			c := s.listening(l, l.Addr().String())
			who := "127.0.0.1"
			if network == "unix" {
				who = "unix:" + address
				c.Address = "unix/" + address + "|0222"
			}
			s.everyCall(c, who)
		})
	}
}

// everyCall makes each call of the client once.
func (s *site) everyCall(c *Client, who string) {
	t, ctx := s.t, s.t.Context()
	t.Helper()
	no := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	answer, err := c.Revoke(ctx, RevocationRequest{Kind: "sub", Value: "al ice/&?", AnyIssuer: true, NotBefore: noon, End: noon.Add(time.Hour), Reason: "left"})
	if no(err); answer.ID == "" || !answer.Stored {
		t.Errorf("%+v", answer)
	}
	page, err := c.Revocations(ctx, RevocationQuery{Kind: "sub", Value: "al ice/&?", Limit: 10})
	if no(err); len(page.Items) != 1 || page.Items[0].ID != answer.ID || !page.Items[0].NotBefore.Equal(noon) || page.Items[0].By != who+" (says alice@laptop)" {
		t.Errorf("%+v", page)
	}
	removed, err := c.RemoveRevocation(ctx, answer.ID, "a slip & more")
	if no(err); removed.ID != answer.ID || s.last().Reason != "a slip & more" {
		t.Errorf("%+v", removed)
	}
	made, err := c.CreateKey(ctx, KeyRequest{Store: "partners", ID: "k1", Consumer: "acme", Scopes: []string{"read"}, Meta: json.RawMessage(`{"a":1}`), Expires: noon.Add(time.Hour)})
	if no(err); made.Key == "" || made.ID != "k1" {
		t.Errorf("%+v", made)
	}
	name, scopes, off := "new", []string{}, false
	edited, err := c.EditKey(ctx, "partners", "k1", KeyEdit{Name: &name, Scopes: &scopes, Expires: json.RawMessage("null")})
	if no(err); edited.Name != "new" || len(edited.Scopes) != 0 || !edited.Expires.IsZero() || edited.Meta == nil {
		t.Errorf("%+v", edited)
	}
	edited, err = c.EditKey(ctx, "", "k1", KeyEdit{Enabled: &off})
	if no(err); edited.State != "disabled" {
		t.Errorf("%+v", edited)
	}
	rolled, err := c.RollKey(ctx, "", "k1", RollRequest{Overlap: "1h"})
	if no(err); rolled.Key == "" || !rolled.OldUntil.Equal(noon.Add(time.Hour)) {
		t.Errorf("%+v", rolled)
	}
	key, err := c.GetKey(ctx, "partners", "k1")
	if no(err); key.ID != "k1" || key.Secrets != 2 {
		t.Errorf("%+v", key)
	}
	keys, err := c.ListKeys(ctx, KeyQuery{Store: "partners", Limit: 1})
	if no(err); len(keys.Items) != 1 || keys.Next != "" {
		t.Errorf("%+v", keys)
	}
	deleted, err := c.DeleteKey(ctx, "partners", "k1")
	if no(err); deleted.ID != "k1" {
		t.Errorf("%+v", deleted)
	}
	accepted, err := c.Accept(ctx)
	if no(err); accepted.Signed != 0 {
		t.Errorf("%+v", accepted)
	}
	signing, err := c.SigningKeys(ctx)
	if no(err); len(signing.Services) != 1 || len(signing.Services[0].Service.Keys) != 2 || signing.Services[0].Forward == nil {
		t.Errorf("%+v", signing)
	}
	rotated, err := c.RotateSigningKeys(ctx, SigningRequest{Issuer: "https://auth.example", Forward: true, RetireNow: true})
	if no(err); rotated.Issuer != "https://auth.example/forward" || len(rotated.Retired) != 2 || len(rotated.Rules) != 2 || !rotated.Stored {
		t.Errorf("%+v", rotated)
	}
	audit, err := c.Audit(ctx, 1, 3)
	if no(err); len(audit.Items) != 3 || audit.Items[0].Seq != 2 || audit.Next != 4 || audit.Items[0].ClaimedBy != "alice@laptop" || audit.Items[0].Who != who {
		t.Errorf("%+v", audit)
	}
	status, ready, err := c.Status(ctx)
	if no(err); !ready || status.State == nil {
		t.Errorf("%+v", status)
	}
	s.state.sets = append(s.state.sets, setStatus("revocations", false, nil))
	status, ready, err = c.Status(ctx)
	if no(err); ready || status.State == nil || len(status.State.Sets) != 1 {
		t.Errorf("%+v", status)
	}
	_, err = c.RemoveRevocation(ctx, "x", "y")
	if failed, ok := errors.AsType[*StatusError](err); !ok || failed.Code != 404 || !strings.Contains(failed.Message, "there is no rule with this id") {
		t.Error(err)
	}
}

func TestTheClientWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	c := &Client{Address: "127.0.0.1:1"}
	_, err := c.Revoke(t.Context(), RevocationRequest{Kind: "token", Value: opaque})
	if _, ok := errors.AsType[*NoAnswerError](err); !ok || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), opaque) {
		t.Error(err)
	}
	if _, _, err = c.Status(t.Context()); err == nil {
		t.Error("no error")
	}
	for body, part := range map[string]string{
		`{"error":"no \u001b[2J"}`: `no \u001b[2J`, "404 page not found": "it has no jwt plugin, or an older one", "": "the server answered 404 Not Found",
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("X-Jwt-Operator") == "" || r.Header.Get("Origin") != "http://"+r.Host {
				t.Errorf("%v", r.Header)
			}
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(body))
		}))
		_, err = (&Client{Address: strings.TrimPrefix(server.URL, "http://")}).Audit(t.Context(), 0, 0)
		server.Close()
		if failed, ok := errors.AsType[*StatusError](err); !ok || !strings.Contains(failed.Message, part) {
			t.Errorf("%q: %v", body, err)
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/elsewhere" {
			t.Error("the client follows a redirect")
		}
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	}))
	defer elsewhere.Close()
	_, err = (&Client{Address: strings.TrimPrefix(elsewhere.URL, "http://")}).CreateKey(t.Context(), KeyRequest{})
	if failed, ok := errors.AsType[*StatusError](err); !ok || failed.Code != http.StatusTemporaryRedirect {
		t.Error(err)
	}
}

// Package json would put another character in the place of what is not UTF-8, and the rule or
// key would be another one.
func TestTheClientSendsNothingElseThanItWasGiven(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := LocalClient(s.app)
	for name, text := range map[string]struct {
		text  string
		fails bool
	}{
		"not UTF-8":                 {"m\xfcller", true},
		"behind a backslash":        {"\\\xff", true},
		"UTF-8":                     {"müller", false},
		"a replacement":             {"\ufffd", false},
		"the text of a replacement": {`\ufffd`, false},
		"backslashes":               {`\\ufffd\`, false},
	} {
		made, err := c.Revoke(t.Context(), RevocationRequest{Kind: "sub", Value: text.text, AnyIssuer: true})
		if status, ok := errors.AsType[*StatusError](err); ok != text.fails || ok && status.Code != 400 || (err != nil) != text.fails {
			t.Errorf("%s: %+v, %v", name, made, err)
		}
	}
}
