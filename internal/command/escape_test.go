package command_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// hostile is text that clears a terminal's screen, sets its title, writes over the line
// before, turns the direction of text around, and makes a line of its own.
const hostile = "mark\x1b[2J\x1b]0;owned\a\r\u009b1A\u202eevil\u2066\u200b\u2028\nAll is well\tok\x7f\U000e0041"

// checkSafe requires that an output has the hostile text, with nothing in it that a
// terminal obeys, and in one line.
func checkSafe(t *testing.T, what, text string) {
	t.Helper()
	if !strings.Contains(text, `mark\u001b[2J`) {
		t.Errorf("%s: the text is not there: %q", what, text)
	}
	for _, c := range text {
		if !strconv.IsGraphic(c) && c != '\n' && c != '\t' {
			t.Errorf("%s: it has %U: %q", what, c, text)
			break
		}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "All is well") {
			t.Errorf("%s: a line that others wrote: %q", what, text)
		}
	}
}

// serverThatAnswers returns the address of a server that answers each request like this.
func serverThatAnswers(t *testing.T, status int, body []byte) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write(body)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// What issuers, key files and other servers wrote reaches the terminal with escapes,
// whichever part of a status page it is in.
func TestStatusEscapesWhatOthersWrote(t *testing.T) {
	t.Parallel()
	issuer := map[string]any{
		"id": "a", "issuers": []string{"https://i.example"}, "kind": "remote", "state": "stale",
		"keys": []any{map[string]any{"kid": "k", "alg": "ES256", "type": "P-256"}}, "problems": []any{map[string]any{"key": "k", "reason": "r"}},
		"last_error": "e", "source": "https://i.example",
	}
	file := map[string]any{"file": "/f", "state": "stale", "keys": 1, "last_error": "e"}
	with := func(of map[string]any, member string, value any) map[string]any {
		changed := map[string]any{}
		for k, v := range of {
			changed[k] = v
		}
		changed[member] = value
		return changed
	}
	for name, c := range map[string][2]map[string]any{
		"the issuer":          {with(issuer, "issuers", []string{hostile}), file},
		"the id":              {with(issuer, "id", hostile), file},
		"the state":           {with(issuer, "state", hostile), file},
		"a kid":               {with(issuer, "keys", []any{map[string]any{"kid": hostile}}), file},
		"an algorithm":        {with(issuer, "keys", []any{map[string]any{"alg": hostile}}), file},
		"a kind of key":       {with(issuer, "keys", []any{map[string]any{"type": hostile}}), file},
		"the key of a fault":  {with(issuer, "problems", []any{map[string]any{"key": hostile}}), file},
		"a fault":             {with(issuer, "problems", []any{map[string]any{"reason": hostile}}), file},
		"the last error":      {with(issuer, "last_error", hostile), file},
		"the path":            {issuer, with(file, "file", hostile)},
		"the state of a file": {issuer, with(file, "state", hostile)},
		"the error of a file": {issuer, with(file, "last_error", hostile)},
	} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(map[string]any{"issuers": []any{c[0]}, "api_keys": []any{c[1]}})
			if err != nil {
				t.Fatal(err)
			}
			address := serverThatAnswers(t, http.StatusOK, body)
			table := runJWT(t, "", "status", "--address", address)
			text := table.out
			if name == "a kid" { // which is in quotes besides
				text = strings.ReplaceAll(text, `mark\x1b`, `mark\u001b`)
			}
			checkSafe(t, "the table", text)
			asJSON := runJWT(t, "", "status", "--json", "--address", address)
			if table.code != 1 || asJSON.code != 1 {
				t.Errorf("exit codes %d and %d; want 1", table.code, asJSON.code)
			}
			checkSafe(t, "JSON", asJSON.out)
			var page struct{ Issuers, APIKeys []map[string]any }
			if err := json.Unmarshal([]byte(asJSON.out), &page); err != nil {
				t.Errorf("no JSON: %v", err)
			}
		})
	}
	t.Run("bytes that are no text", func(t *testing.T) {
		address := serverThatAnswers(t, http.StatusOK, []byte("{\"issuers\":[{\"id\":\"mark\\u001b[2J\x9b1A\",\"last_error\":\"e\"}]}"))
		for _, args := range [][]string{{}, {"--json"}} {
			checkSafe(t, "the output", runJWT(t, "", append([]string{"status", "--address", address}, args...)...).out)
		}
	})
	for name, status := range map[string]int{"no page": http.StatusOK, "an error": http.StatusInternalServerError, "no such path": http.StatusNotFound} {
		t.Run(name, func(t *testing.T) {
			body, err := json.Marshal(hostile)
			if err != nil {
				t.Fatal(err)
			}
			if status != http.StatusOK {
				body = []byte(hostile)
			}
			r := runJWT(t, "", "status", "--address", serverThatAnswers(t, status, body)).want(t, 1)
			if status != http.StatusOK {
				checkSafe(t, "the error", r.err)
			}
		})
	}
}

// The commands for key files print names, ids, and what is wrong with a file.
func TestAPIKeyCommandsEscapeWhatOthersWrote(t *testing.T) {
	t.Parallel()
	quoted := func(text string) string { return `"` + strings.ReplaceAll(text, `"`, `""`) + `"` }
	key, _ := apikey.New("cj")
	t.Run("names in a CSV", func(t *testing.T) {
		for what, csv := range map[string]string{
			"a key that is taken":      "Name,Key\n" + quoted(hostile) + "," + key + "\n",
			"one that is not":          "Name,Key\n" + quoted(hostile) + ",short\n",
			"a column":                 quoted(hostile) + ",Key\n",
			"a value that is no state": "Name,Key,Enabled\nx," + key + "," + quoted(hostile) + "\n",
		} {
			for _, args := range [][]string{{}, {"--json"}} {
				r := run(t, csv, append([]string{"import", "@-", "--append", filepath.Join(t.TempDir(), "keys.jsonl"), "--no-wait"}, args...)...)
				checkHarmless(t, what, r.out+r.err)
			}
		}
	})
	t.Run("a key file", func(t *testing.T) {
		text, err := json.Marshal(hostile)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			`{"id":` + string(text) + `}`, `{"id":"a","name":` + string(text) + `}`, `{` + string(text) + `:1}`, `{"id":"a","consumer":` + string(text) + `}`,
			`{"id":"a","scopes":[` + string(text) + `]}`, `{"id":"a","expires":` + string(text) + `}`, hostile,
		} {
			path := write(t, line+"\n")
			for _, args := range [][]string{{"list", "--file", path}, {"disable", "a", "--file", path, "--no-wait"}, {"import", path, "--append", path, "--no-wait"}} {
				r := run(t, "", args...).want(t, 1)
				checkHarmless(t, line, r.out+r.err)
			}
		}
	})
	t.Run("a description", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "keys.jsonl")
		run(t, "", "new", "--append", path, "--description", "one\r\ntwo", "--no-wait").want(t, 0)
		r := run(t, "", "list", "--json", "--file", path).want(t, 0)
		checkHarmless(t, "list", r.out)
	})
	t.Run("the name of a file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "mark\x1b[2J\u009b1A\u202e.jsonl")
		r := run(t, "", "list", "--file", path).want(t, 1)
		checkSafe(t, "the error", r.err)
		run(t, "", "new", "--append", path, "--no-wait").want(t, 0)
		if _, err := os.Stat(path); err != nil {
			t.Fatal(err)
		}
		r = run(t, "", "new", "--append", path, "--no-wait").want(t, 0)
		checkSafe(t, "the note", r.err)
		r = run(t, "", "disable", "nobody", "--file", path, "--no-wait").want(t, 1)
		checkSafe(t, "the error", r.err)
	})
}

// checkHarmless requires that an output, whatever it says, has nothing in it that a
// terminal obeys.
func checkHarmless(t *testing.T, what, text string) {
	t.Helper()
	for _, c := range text {
		if !strconv.IsGraphic(c) && c != '\n' && c != '\t' {
			t.Errorf("%s: it has %U: %q", what, c, text)
			return
		}
	}
	if text == "" {
		t.Errorf("%s: it says nothing", what)
	}
}
