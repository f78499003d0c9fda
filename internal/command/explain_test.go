package command_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/command"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

var updateReports = flag.Bool("update", false, "write what is printed of the reports of testdata/explain into them")

// tokenToExplain is the text of a token that nobody signed.
func tokenToExplain() string {
	part := func(json string) string { return base64.RawURLEncoding.EncodeToString([]byte(json)) }
	return part(`{"alg":"ES256"}`) + "." + part(`{"iss":"https://auth.example.com/","sub":"alice"}`) + "." + part(strings.Repeat("s", 64))
}

// server returns an admin endpoint that explains with a report.
func explainingServer(t *testing.T, report any) *fakeServer {
	t.Helper()
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	return newFakeServer(t, map[string][]answer{"POST /jwt/explain": {{http.StatusOK, string(text)}}})
}

// fakeOffline answers each question about a config with a report, and keeps the last one.
type fakeOffline struct {
	asked  *explain.Offline
	report explain.Report
	err    error
}

func (f *fakeOffline) explain(_ context.Context, o *explain.Offline) (explain.Report, error) {
	f.asked = o
	return f.report, f.err
}

func (f *fakeOffline) run(t *testing.T, stdin string, args ...string) ran {
	t.Helper()
	return runCommand(t, command.New(f.explain), stdin, append([]string{"explain"}, args...)...)
}

// Each file of testdata/explain has a command, the report that it gets, the exit code, and
// what it prints of the report.
func TestExplainPrints(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/explain/*.txt")
	if err != nil || len(files) < 12 {
		t.Fatalf("%d reports: %v", len(files), err)
	}
	const line = "\n----------\n"
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			parts := strings.SplitN(contentOf(t, name), line, 3)
			var report explain.Report
			d := json.NewDecoder(strings.NewReader(parts[1]))
			d.DisallowUnknownFields()
			if err := d.Decode(&report); err != nil {
				t.Fatal(err)
			}
			words := strings.Fields(strings.ReplaceAll(parts[0], "@TOKEN", "@"+write(t, tokenToExplain())))[3:]
			args := words
			if !strings.Contains(parts[0], "--config") {
				args = append(args, "--address", explainingServer(t, report).address)
			}
			f := &fakeOffline{report: report}
			r := f.run(t, "", args...)
			got := fmt.Sprintf("exit code %d\n\n%s", r.code, r.out)
			if *updateReports {
				if err := os.WriteFile(name, []byte(strings.Join([]string{parts[0], parts[1], got}, line)), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != parts[2] {
				t.Errorf("it prints\n%s\nwant\n%s", got, parts[2])
			}
			for text := range strings.Lines(r.out) {
				if n := len([]rune(text)); n > 101 {
					t.Errorf("a line of %d characters: %s", n, text)
				}
			}
			asJSON := f.run(t, "", append(args, "--json")...)
			if asJSON.code != r.code {
				t.Errorf("exit code %d with --json; want %d", asJSON.code, r.code)
			}
			var again explain.Report
			if err := json.Unmarshal([]byte(asJSON.out), &again); err != nil {
				t.Fatal(err)
			}
			if a, b := toJSON(t, again), toJSON(t, report); a != b {
				t.Errorf("--json has not the report\n%s\nbut\n%s", b, a)
			}
		})
	}
}

func toJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// What the arguments ask, of a server and of a config.
func TestExplainAsks(t *testing.T) {
	t.Parallel()
	token := tokenToExplain()
	key, _ := apikey.New("cj")
	file, header := write(t, token+"\n"), write(t, "Authorization: Bearer "+token+"\n")
	uri, keys := write(t, "/orders?access_token="+token+"\n"), write(t, `{"keys":[]}`)
	for name, c := range map[string]struct {
		stdin string
		args  []string
		want  explain.Offline
	}{
		"a token":                 {"", []string{"@" + file}, explain.Offline{Question: explain.Question{Credential: token}}},
		"on standard input":       {" \"" + token + "\"\r\n", []string{"@-"}, explain.Offline{Question: explain.Question{Credential: token}}},
		"a whole header":          {"", []string{"@" + header}, explain.Offline{Question: explain.Question{Credential: token}}},
		"an API key":              {key + "\n", []string{"@-"}, explain.Offline{Question: explain.Question{Credential: key}}},
		"among the arguments":     {"", []string{token, "--yes"}, explain.Offline{Question: explain.Question{Credential: token}}},
		"nothing":                 {"", nil, explain.Offline{}},
		"a request":               {"", []string{"--uri", "https://a.example/x?y=1", "--method", "PATCH", "--site", "a.example", "--remote", "192.0.2.1"}, explain.Offline{Question: explain.Question{URI: "https://a.example/x?y=1", Method: "PATCH", Site: "a.example", Remote: "192.0.2.1"}}},
		"a URI from a file":       {"", []string{"--uri", "@" + uri}, explain.Offline{Question: explain.Question{URI: "/orders?access_token=" + token}}},
		"headers":                 {"", []string{"--header", "x-plan: gold", "--header", "X-Plan: blue", "--header", "Host:b.example"}, explain.Offline{Question: explain.Question{Header: http.Header{"X-Plan": {"gold", "blue"}, "Host": {"b.example"}}}}},
		"a header from a file":    {"Bearer " + token + "\n", []string{"--header", "Authorization: @-"}, explain.Offline{Question: explain.Question{Header: http.Header{"Authorization": {"Bearer " + token}}}}},
		"its name in the file":    {"", []string{"--header", "authorization: @" + header}, explain.Offline{Question: explain.Question{Header: http.Header{"Authorization": {"Bearer " + token}}}}},
		"a header, insisting":     {"", []string{"--header", "Authorization: Bearer " + token, "--yes"}, explain.Offline{Question: explain.Question{Header: http.Header{"Authorization": {"Bearer " + token}}}}},
		"a time":                  {"", []string{"--at", "2030-01-02T03:04:05+01:00"}, explain.Offline{Question: explain.Question{At: time.Date(2030, 1, 2, 2, 4, 5, 0, time.UTC)}}},
		"keys":                    {"", []string{"--jwks", keys}, explain.Offline{JWKS: []byte(`{"keys":[]}`)}},
		"keys, written as a file": {"", []string{"--jwks", "@" + keys}, explain.Offline{JWKS: []byte(`{"keys":[]}`)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := &fakeOffline{report: explain.Report{Verdict: explain.Accepted}}
			f.run(t, c.stdin, append(c.args, "--config", "some.json", "--adapter", "json5")...).want(t, 0)
			c.want.Path, c.want.Adapter = "some.json", "json5"
			if got, want := toJSON(t, f.asked), toJSON(t, c.want); got != want {
				t.Errorf("it asks\n%s\nwant\n%s", got, want)
			}
			if !c.want.At.IsZero() || c.want.JWKS != nil {
				return
			}
			s := explainingServer(t, explain.Report{Verdict: explain.Accepted})
			r := f.run(t, c.stdin, append(c.args, "--address", s.address)...).want(t, 0)
			body := s.body(t, 0)
			if q := c.want.Question; q.Credential != "" && !strings.Contains(toJSON(t, body), q.Credential) || q.URI != "" && body["uri"] != q.URI {
				t.Errorf("the server was asked %v", body)
			}
			if strings.Contains(r.out+r.err, "alice") || strings.Contains(r.out+r.err, token) {
				t.Errorf("the output has a part of the token:\n%s%s", r.out, r.err)
			}
		})
	}
	t.Run("an issuer without a config", func(t *testing.T) {
		f := &fakeOffline{report: explain.Report{Verdict: explain.Accepted}}
		for _, more := range [][]string{nil, {"--jwks", keys}} {
			f.run(t, "", append([]string{"@" + file, "--issuer", "https://auth.example.com/", "--audience", "me"}, more...)...).want(t, 0)
			if o := f.asked; o.Fetch != (more == nil) || (o.JWKS != nil) != (more != nil) || o.Path != "" || string(o.Config) != string(explain.LiveConfig("https://auth.example.com/", "me")) {
				t.Errorf("it asks %s", toJSON(t, o))
			}
		}
	})
	t.Run("a time from now, and ago", func(t *testing.T) {
		f := &fakeOffline{report: explain.Report{Verdict: explain.Accepted}}
		for text, want := range map[string]time.Duration{"24h": 24 * time.Hour, "-2d": -48 * time.Hour, "now": 0} {
			before := time.Now()
			f.run(t, "", "--config", "c", "--at", text).want(t, 0)
			if at := f.asked.At; at.Before(before.Add(want)) || at.After(time.Now().Add(want)) {
				t.Errorf("%s: %v", text, at)
			}
		}
	})
}

// 0 is only for what the caller hopes for.
func TestExplainExitCodes(t *testing.T) {
	t.Parallel()
	token, key := write(t, tokenToExplain()), write(t, "0123456789abcdefghij")
	with, without := []string{"@" + token}, []string{"--header", "X-Plan: gold"}
	for _, c := range []struct {
		verdict explain.Verdict
		args    []string
		code    int
	}{
		{explain.Accepted, with, 0}, {explain.Accepted, without, 0},
		{explain.Refused, with, 1}, {explain.Refused, without, 1},
		{explain.Anonymous, with, 1}, {explain.Anonymous, without, 0},
		{explain.Unprotected, with, 1}, {explain.Unprotected, without, 0},
		{explain.Undecided, with, 1}, {explain.Undecided, without, 1},
		{"", with, 1}, {"", without, 1},
		{explain.Anonymous, []string{"--header", "X-Api-Key: @" + key}, 1},
		{explain.Anonymous, []string{"--header", "cookie: @" + key}, 1},
		{explain.Anonymous, []string{"--header", "X-Token: @" + token}, 1},
		{explain.Unprotected, []string{"--uri", "@" + token}, 1},
	} {
		f := &fakeOffline{report: explain.Report{Verdict: c.verdict, Reason: reason.Expired}}
		for _, asJSON := range [][]string{nil, {"--json"}} {
			r := f.run(t, "", append(append([]string{"--config", "c"}, c.args...), asJSON...)...)
			if r.code != c.code || r.out == "" {
				t.Errorf("%q with %q: exit code %d, want %d\n%s", c.verdict, c.args, r.code, c.code, r.out)
			}
		}
	}
}

func TestExplainMisused(t *testing.T) {
	t.Parallel()
	token := tokenToExplain()
	key, _ := apikey.New("cj")
	file := write(t, token)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{token}, "shell's history"},
		{[]string{key}, "shell's history"},
		{[]string{"--header", "Authorization: Bearer x"}, "'Authorization: @FILE'"},
		{[]string{"--header", "X-Other: " + token}, "shell's history"},
		{[]string{"--uri", "/?key=" + key}, "shell's history"},
		{[]string{"https://api.example.com/"}, "--uri"},
		{[]string{file}, "write @" + file},
		{[]string{"@a", "@b"}, "usage"},
		{[]string{"--header", "no header"}, "'Name: value'"},
		{[]string{"--header", "no header: x"}, "'Name: value'"},
		{[]string{"--header", "X-A: a\nX-B: b"}, "several lines"},
		{[]string{"@-", "--header", "X-A: @-"}, "only once"},
		{[]string{"--at", "2030-01-01T00:00:00Z"}, "--config"},
		{[]string{"--jwks", file}, "--config"},
		{[]string{"--config", "c", "--at", "noon"}, "--at"},
		{[]string{"--config", "c", "--address", "localhost:2019"}, "together"},
		{[]string{"--config", "c", "--issuer", "https://a.example/", "--audience", "b"}, "together"},
		{[]string{"--issuer", "https://a.example/"}, "--audience"},
		{[]string{"--audience", "b"}, "--issuer"},
		{[]string{"--config", ""}, "--config is empty"},
		{[]string{"--adapter", "json"}, "--config"},
		{[]string{"--address", "no/address"}, "--address"},
		{[]string{"--log", "{}", "--uri", "/"}, "--log"},
		{[]string{"--log", "{}", "@" + file}, "--log"},
		{[]string{"--url", "/"}, "--uri"},
	} {
		f := &fakeOffline{}
		r := f.run(t, token, c.args...).want(t, 2, c.want)
		if f.asked != nil || r.out != "" || strings.Contains(r.err, token) || strings.Contains(r.err, key) {
			t.Errorf("%q: it asks %v, prints %s, %s", c.args, f.asked, r.out, r.err)
		}
	}
}

func TestExplainFails(t *testing.T) {
	t.Parallel()
	file := write(t, tokenToExplain())
	serverAnswers := func(status int, body string) string {
		return newFakeServer(t, map[string][]answer{"POST /jwt/explain": {{status, body}}}).address
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want []string
	}{
		"nobody listens":          {[]string{"@" + file, "--address", closedAddress(t)}, 1, []string{"no answer", "--address", "--config"}},
		"an older server":         {[]string{"@" + file, "--address", newFakeServer(t, nil).address}, 1, []string{"can't explain", "--config"}},
		"a server of another":     {[]string{"@" + file, "--address", serverAnswers(200, "<html>")}, 1, []string{"does not answer with a report"}},
		"what it calls invalid":   {[]string{"@" + file, "--address", serverAnswers(422, `{"error":"no site has the host x; the sites are a, b"}`)}, 2, []string{"the sites are a, b"}},
		"what it may not":         {[]string{"@" + file, "--address", serverAnswers(403, `{"error":"this role may not"}`)}, 1, []string{"this role may not"}},
		"a file that is missing":  {[]string{"@/no/such/file"}, 1, []string{"/no/such/file"}},
		"an empty file":           {[]string{"@" + write(t, "\n")}, 1, []string{"empty"}},
		"what is no token":        {[]string{"@" + write(t, "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")}, 1, []string{"public key"}},
		"keys that are missing":   {[]string{"@" + file, "--config", "c", "--jwks", "/no/such/keys"}, 1, []string{"--jwks", "/no/such/keys"}},
		"a header that is not":    {[]string{"--header", "X-A: @/no/such/value"}, 1, []string{"X-A", "/no/such/value"}},
		"a URI that is not":       {[]string{"--uri", "@/no/such/uri"}, 1, []string{"--uri", "/no/such/uri"}},
		"a config that is broken": {[]string{"@" + file, "--config", "c"}, 1, []string{"the config is broken"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := (&fakeOffline{err: errors.New("the config is broken")}).run(t, "", c.args...).want(t, c.code, c.want...)
			if r.out != "" {
				t.Errorf("it prints %s", r.out)
			}
		})
	}
}

// The help leads from a refusal to its cause: each of its examples can be called.
func TestExplainHelpShowsWhatWorks(t *testing.T) {
	t.Parallel()
	help := (&fakeOffline{}).run(t, "", "--help").want(t, 0).out
	examples := 0
	for text := range strings.Lines(help) {
		_, words, ok := strings.Cut(text, "caddy jwt explain ")
		if !ok || !strings.HasPrefix(text, "    ") || strings.Contains(words, "--log") {
			continue
		}
		examples++
		words = strings.NewReplacer("@token.txt", "@"+write(t, tokenToExplain()), "@header.txt", "@"+write(t, "Bearer "+tokenToExplain()), "@call.json", "@"+write(t, "{}"), "keys.json", write(t, "{}")).Replace(words)
		args := strings.Fields(words)
		for i, a := range args { // the only quotes of the examples
			if value, ok := strings.CutPrefix(a, "'"); ok {
				args[i] = value + " " + strings.TrimSuffix(args[i+1], "'")
				args = append(args[:i+1], args[i+2:]...)
				break
			}
		}
		if !strings.Contains(words, "--config") && !strings.Contains(words, "--issuer") {
			args = append(args, "--address", explainingServer(t, explain.Report{Verdict: explain.Accepted}).address)
		}
		(&fakeOffline{report: explain.Report{Verdict: explain.Accepted}}).run(t, tokenToExplain(), args...).want(t, 0)
	}
	if examples < 8 {
		t.Errorf("%d examples:\n%s", examples, help)
	}
}

// Claims, headers and settings reach the terminal with escapes, and in lines that are ours.
func TestExplainEscapesWhatOthersWrote(t *testing.T) {
	t.Parallel()
	file := write(t, tokenToExplain())
	check := func(c reason.Check) explain.Report {
		return explain.Report{Verdict: explain.Refused, Certain: true, Handlers: []explain.Handler{{Verdict: explain.Refused, Checks: []explain.Check{{Check: c}}}}}
	}
	handler := func(h explain.Handler) explain.Report {
		return explain.Report{Verdict: h.Verdict, Certain: true, Handlers: []explain.Handler{h}}
	}
	for name, report := range map[string]explain.Report{
		"what was seen":   check(reason.Check{Name: reason.CheckIssuer, Outcome: reason.Failed, Seen: hostile}),
		"seen, long":      check(reason.Check{Name: reason.CheckIssuer, Outcome: reason.Failed, Seen: hostile, Wanted: hostile}),
		"what was wanted": check(reason.Check{Name: reason.CheckIssuer, Outcome: reason.Failed, Wanted: hostile}),
		"a detail":        check(reason.Check{Name: reason.CheckForm, Outcome: reason.Failed, Detail: hostile}),
		"an option":       check(reason.Check{Name: reason.CheckForm, Outcome: reason.Failed, Option: hostile}),
		"a check's name":  check(reason.Check{Name: hostile, Outcome: reason.Failed, Seen: "x"}),
		"one not made":    check(reason.Check{Name: hostile, Outcome: reason.Skipped}),
		"an outcome":      check(reason.Check{Name: "form", Outcome: hostile, Seen: hostile}),
		"a line":          {Verdict: explain.Refused, Certain: true, Handlers: []explain.Handler{{Verdict: explain.Refused, Checks: []explain.Check{{Check: reason.Check{Outcome: reason.Failed, Option: "o"}, Line: hostile}}}}},
		"a user":          handler(explain.Handler{Verdict: explain.Accepted, User: hostile}),
		"a method":        handler(explain.Handler{Verdict: explain.Accepted, AuthMethod: hostile}),
		"an issuer":       handler(explain.Handler{Verdict: explain.Accepted, Issuer: hostile}),
		"scopes":          handler(explain.Handler{Verdict: explain.Accepted, Scopes: []string{hostile}}),
		"a site":          handler(explain.Handler{Verdict: explain.Accepted, Site: hostile}),
		"lines":           handler(explain.Handler{Verdict: explain.Accepted, Lines: []string{hostile}}),
		"a reason":        handler(explain.Handler{Verdict: explain.Refused, Reason: hostile}),
		"a verdict":       handler(explain.Handler{Verdict: hostile}),
		"an answer":       handler(explain.Handler{Verdict: explain.Anonymous, Mode: "enforce", Answer: hostile}),
		"in report mode":  handler(explain.Handler{Verdict: explain.Anonymous, Mode: "report", Reason: hostile}),
		"the request":     {Verdict: explain.Refused, Request: explain.Request{Method: "GET", URI: hostile}},
		"the reason":      {Verdict: explain.Refused, Reason: hostile},
		"the detail":      {Verdict: explain.Refused, Detail: hostile},
		"the requirement": {Verdict: explain.Refused, Requirement: hostile},
		"the remedy":      {Verdict: explain.Refused, Remedy: hostile},
		"a note":          {Verdict: explain.Refused, Notes: []string{hostile}},
		"passed over":     {Verdict: explain.Undecided, Over: []string{hostile}, Handlers: []explain.Handler{{}}},
		"a second":        {Verdict: explain.Refused, SecondOpinion: &explain.Opinion{Library: "x", Asked: true, Error: hostile}},
		"why it differs":  {Verdict: explain.Refused, SecondOpinion: &explain.Opinion{Library: "x", Asked: true, Why: hostile}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := explainingServer(t, report).address
			for _, args := range [][]string{{}, {"--json"}} {
				r := (&fakeOffline{}).run(t, "", append([]string{"@" + file, "--address", address}, args...)...)
				checkSafe(t, "the output", r.out)
			}
		})
	}
	t.Run("an error", func(t *testing.T) {
		address := newFakeServer(t, map[string][]answer{"POST /jwt/explain": {{500, toJSON(t, map[string]string{"error": hostile})}}}).address
		checkSafe(t, "the error", (&fakeOffline{}).run(t, "", "@"+file, "--address", address).want(t, 1).err)
		checkSafe(t, "the error", (&fakeOffline{err: errors.New(hostile)}).run(t, "", "@"+file, "--config", "c").want(t, 1).err)
	})
}

// TestExplain_AnAnswer: that a handler answers itself is said first, and no credential is asked
// for.
func TestExplain_AnAnswer(t *testing.T) {
	t.Parallel()
	const answer = "the metadata of the resource https://mcp.example.com/mcp"
	for _, mode := range []string{"enforce", "report", "clear"} {
		report := explain.Report{Verdict: explain.Anonymous, Certain: true, Handlers: []explain.Handler{{Site: "mcp.example.com", Mode: mode, Verdict: explain.Anonymous, Answer: answer}}}
		out := (&fakeOffline{}).run(t, "", "--address", explainingServer(t, report).address).want(t, 0).out
		for _, want := range []string{"ANSWERED by jwt, for which no credential is needed: " + answer + "\n", "jwt of mcp.example.com: answers with " + answer + "\n"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s: it does not say %q:\n%s", mode, want, out)
			}
		}
		if strings.Contains(out, "none was given") {
			t.Errorf("%s: it asks for a credential:\n%s", mode, out)
		}
	}
}
