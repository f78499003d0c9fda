package tokenservice

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// brokenBody fails after a part of a form, as that of a client that goes away.
type brokenBody struct{ io.Reader }

func (b brokenBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestThreat42WhatIsNoForm(t *testing.T) {
	t.Parallel()
	good := with(clientCredentials, "client_id", "partner001", "client_secret", partnerKey).Encode()
	request := func(method, target, kind, body string) *http.Request {
		r := httptest.NewRequest(method, testIssuer+target, strings.NewReader(body))
		if kind != "" {
			r.Header.Set("Content-Type", kind)
		}
		return r
	}
	const path, usual = "/oauth2/token", "application/x-www-form-urlencoded"
	change := func(change func(r *http.Request)) *http.Request {
		r := request("POST", path, usual, good)
		change(r)
		return r
	}
	for name, c := range map[string]struct {
		r      *http.Request
		status int
	}{
		"GET":                    {request("GET", path, "", ""), 405},
		"GET with parameters":    {request("GET", path+"?"+good, "", ""), 405},
		"HEAD":                   {request("HEAD", path, "", ""), 405},
		"PUT":                    {request("PUT", path, usual, good), 405},
		"OPTIONS":                {request("OPTIONS", path, "", ""), 405},
		"lower-case post":        {request("post", path, usual, good), 405},
		"query":                  {request("POST", path+"?grant_type=client_credentials", usual, good), 400},
		"query taken out":        {change(func(r *http.Request) { r.RequestURI = path + "?client_secret=" + partnerKey }), 400},
		"query of the URL alone": {change(func(r *http.Request) { r.URL.RawQuery = "x=1" }), 400},
		"no type":                {request("POST", path, "", good), 400},
		"JSON":                   {request("POST", path, "application/json", `{"grant_type":"client_credentials"}`), 400},
		"multipart":              {request("POST", path, "multipart/form-data; boundary=x", good), 400},
		"text":                   {request("POST", path, "text/plain", good), 400},
		"UTF-16":                 {request("POST", path, usual+"; charset=utf-16", good), 400},
		"two types":              {change(func(r *http.Request) { r.Header.Add("Content-Type", usual) }), 400},
		"compressed":             {change(func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }), 400},
		"8 KiB and a byte":       {request("POST", path, usual, "x="+strings.Repeat("y", maxForm-1)), 413},
		"10 MB":                  {request("POST", path, usual, strings.Repeat("y", 10<<20)), 413},
		"10 MB of unknown size": {change(func(r *http.Request) {
			r.ContentLength = -1
			r.Body = io.NopCloser(bytes.NewReader(make([]byte, 10<<20)))
		}), 413},
		"cut short":               {change(func(r *http.Request) { r.Body = io.NopCloser(brokenBody{strings.NewReader(good)}) }), 400},
		"bad escape":              {request("POST", path, usual, good+"&x=%zz"), 400},
		"bad escape of a name":    {request("POST", path, usual, good+"&%=1"), 400},
		"not UTF-8":               {request("POST", path, usual, good+"&x=%ff"), 400},
		"duplicate":               {request("POST", path, usual, good+"&grant_type=client_credentials"), 400},
		"duplicate, escaped":      {request("POST", path, usual, good+"&grant%5Ftype=client_credentials"), 400},
		"duplicate, one empty":    {request("POST", path, usual, good+"&client_secret="), 400},
		"duplicate, two empty":    {request("POST", path, usual, good+"&x=&x"), 400},
		"duplicate unknown":       {request("POST", path, usual, good+"&x=1&x=2"), 400},
		"33 parameters":           {request("POST", path, usual, "a1&a2&a3&a4&a5&a6&a7&a8&a9&b1&b2&b3&b4&b5&b6&b7&b8&b9&c1&c2&c3&c4&c5&c6&c7&c8&c9&d1&d2&d3&d4&d5&d6"), 400},
		"thousands of parameters": {request("POST", path, usual, strings.Repeat("a&", 4000)), 400},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil)
			out := w.ask(c.r)
			w.refused(out, c.status, "invalid_request", partnerKey)
			if allow := out.Header().Get("Allow"); (allow == "POST") != (c.status == 405) {
				t.Errorf("Allow is %q", allow)
			}
		})
	}
}

// TestThreat42ALargeBodyIsNotRead: what announces its length is refused at once.
func TestThreat42ALargeBodyIsNotRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	r := tokenRequest(clientCredentials)
	r.ContentLength, r.Body = maxForm+1, io.NopCloser(errReader{})
	w.refused(w.ask(r), 413, "invalid_request")
}

func TestThreat42PlainHTTP(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil)
	out := httptest.NewRecorder()
	r := basic(tokenRequest(clientCredentials), "partner001", partnerKey)
	w.service.Serve(out, r, Request{Path: "/oauth2/token", Host: "auth.example.com", Client: address})
	if text := w.refused(out, 400, "invalid_request", partnerKey); !strings.Contains(text, "https") {
		t.Errorf("%q does not say what to do", text)
	}
}

func TestFormsThatAreUnusual(t *testing.T) {
	t.Parallel()
	good := with(clientCredentials, "client_id", "partner001", "client_secret", partnerKey).Encode()
	for name, c := range map[string]struct{ kind, body string }{
		"charset":             {"application/x-www-form-urlencoded;charset=UTF-8", good},
		"case of the type":    {"Application/X-WWW-Form-Urlencoded", good},
		"escapes":             {"application/x-www-form-urlencoded", strings.ReplaceAll(good, "client_credentials", "client%5fcredentials")},
		"empty pairs":         {"application/x-www-form-urlencoded", "&&" + good + "&"},
		"without values":      {"application/x-www-form-urlencoded", good + "&scope=&resource=&assertion&x"},
		"unknown parameters":  {"application/x-www-form-urlencoded", good + "&audience=" + url.QueryEscape(testOther) + "&nonce=1;2"},
		"exactly 8 KiB":       {"application/x-www-form-urlencoded", good + "&x=" + strings.Repeat("y", maxForm-len(good)-3)},
		"exactly 32":          {"application/x-www-form-urlencoded", good + "&a1&a2&a3&a4&a5&a6&a7&a8&a9&b1&b2&b3&b4&b5&b6&b7&b8&b9&c1&c2&c3&c4&c5&c6&c7&c8&c9&d1&d2"},
		"a question mark":     {"application/x-www-form-urlencoded", good},
		"of unknown length":   {"application/x-www-form-urlencoded", good},
		"one byte at a time":  {"application/x-www-form-urlencoded", good},
		"with an empty query": {"application/x-www-form-urlencoded", good},
	} {
		w := newWorld(t, nil)
		r := httptest.NewRequest("POST", testIssuer+"/oauth2/token", strings.NewReader(c.body))
		r.Header.Set("Content-Type", c.kind)
		switch name {
		case "with an empty query":
			r.RequestURI += "?"
		case "of unknown length":
			r.ContentLength = -1
		case "one byte at a time":
			r.Body = io.NopCloser(io.MultiReader(strings.NewReader(c.body[:1]), &slowReader{c.body[1:]}))
		}
		if out := w.ask(r); out.Code != 200 {
			t.Errorf("%s: %d %s", name, out.Code, out.Body)
		}
	}
}

type slowReader struct{ rest string }

func (s *slowReader) Read(p []byte) (int, error) {
	if s.rest == "" {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:1])
	s.rest = s.rest[n:]
	return n, nil
}

func TestBodiesAreClearedFromMemory(t *testing.T) {
	t.Parallel()
	for _, from := range []io.Reader{
		strings.NewReader("client_secret=s3cret"),
		brokenBody{strings.NewReader("client_secret=s3cret")},
		strings.NewReader(strings.Repeat("client_secret=s3cret", 1000)),
		io.MultiReader(strings.NewReader("client_secret=s3cret"), errReader{}),
	} {
		if _, refused := readBody(from); refused == nil {
			continue
		}
	}
	for range 8 {
		buffer := buffers.Get().(*[maxForm + 1]byte)
		if bytes.Contains(buffer[:], []byte("s3cret")) {
			t.Error("a secret is left in memory that is used again")
		}
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, errors.New("reset") }
