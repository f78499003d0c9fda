package credential

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"
)

// TestWarn checks that each warning quotes the log filter to write.
func TestWarn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		source Source
		want   []string // what each line contains
	}{
		"Authorization":     {Source{From: FromHeader, Name: "authorization"}, nil},
		"a cookie":          {Source{From: FromCookie, Name: "session"}, nil},
		"a query parameter": {Source{From: FromQuery, Name: "access_token"}, []string{"format filter { request>uri query { delete access_token } }, as docs/security.md#logs shows"}},
		"another header":    {Source{From: FromHeader, Name: "x-token"}, []string{"format filter { request>headers>X-Token delete }, as docs/security.md#logs shows"}},
		"a header with _":   {Source{From: FromHeader, Name: "x_token"}, []string{"request>headers>X_token delete", "expected_underscore_headers"}},
	} {
		places, err := New(Settings{Tokens: true, TokenFrom: []*Source{&c.source}})
		if err != nil {
			t.Fatal(err)
		}
		core, logs := logcapture.New(zapcore.DebugLevel)
		places.Warn(zap.New(core))
		lines := logs.AllUntimed()
		if len(lines) != len(c.want) {
			t.Errorf("%s: %d lines; want %d", name, len(lines), len(c.want))
			continue
		}
		for n, line := range lines {
			if line.Level != zapcore.WarnLevel || !strings.Contains(line.Message, c.want[n]) {
				t.Errorf("%s: %s %s\nwant in it: %s", name, line.Level, line.Message, c.want[n])
			}
		}
	}
}

func TestPrintingShowsNoCredential(t *testing.T) {
	t.Parallel()
	places, err := New(Settings{Tokens: true})
	if err != nil {
		t.Fatal(err)
	}
	const token = "a-token-that-nobody-may-see"
	var taken Removed
	r := &http.Request{Header: http.Header{"Authorization": {"Bearer " + token}}}
	if _, code := places.Take(r, &taken); code != "" || len(taken.list) != 1 || len(r.Header) != 0 {
		t.Fatalf("nothing was removed: %s", code)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
		for _, v := range []any{&taken, taken.list, taken.list[0]} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, token) || strings.Contains(text, fmt.Sprintf("%x", token)) {
				t.Errorf("%s of %T shows the token: %s", verb, v, text)
			}
		}
	}
}
