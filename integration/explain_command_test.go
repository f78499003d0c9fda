package integration

import (
	"encoding/json"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// commandArgs are the arguments of `caddy jwt explain` for the request. Credentials are in
// files.
func (q asked) commandArgs(t *testing.T) []string {
	t.Helper()
	q.withDefaults()
	uri := q.uri
	if strings.Contains(uri, "access_token") || strings.Contains(uri, "api_key") {
		uri = "@" + tempFile(t, "uri", uri+"\n")
	}
	args := []string{"explain", "--json", "--site", q.host, "--method", q.method, "--uri", uri}
	if q.body != "" {
		args = append(args, "--data", "@"+tempFile(t, "body.json", q.body))
	}
	headers := q.headers.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	token, key := q.token, q.key
	if token != "" && key != "" { // one credential is asked about, the other is part of the request
		headers.Add("X-API-Key", key)
		key = ""
	}
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, value := range headers[name] {
			if slices.Contains(credentialHeaders, name) {
				value = "@" + tempFile(t, "header", value+"\n")
			}
			args = append(args, "--header", name+": "+value)
		}
	}
	if token+key != "" {
		args = append(args, "@"+tempFile(t, "credential", token+key+"\n"))
	}
	return args
}

// credentialHeaders are the headers that have credentials.
var credentialHeaders = []string{"Authorization", "Cookie", "X-Api-Key"}

// withCredential reports whether the question is about a credential. Being let in without
// an identity is no success then.
func (q asked) withCredential() bool {
	for name := range q.headers {
		if slices.Contains(credentialHeaders, name) {
			return true
		}
	}
	return q.token+q.key != "" || strings.Contains(q.uri, "access_token") || strings.Contains(q.uri, "api_key")
}

// byCommand runs `caddy jwt explain --json` and reads its report.
func (q asked) byCommand(t *testing.T, dir string, env map[string]string, more ...string) *explained {
	t.Helper()
	args := append(q.commandArgs(t), more...)
	c := jwtCommandIn(t, dir, env, args...)
	e := &explained{text: c.stdout}
	if err := json.Unmarshal([]byte(c.stdout), e); err != nil {
		t.Fatalf("caddy jwt %q: %v\n%s", args, err, c)
	}
	success := e.Verdict == "accepted" || !q.withCredential() && (e.Verdict == "anonymous" || e.Verdict == "unprotected")
	if (c.code == 0) != success || c.code > 1 {
		t.Errorf("exit code %d for %s", c.code, e.Verdict)
	}
	return e
}

// offline is byCommand with the config, the storage and the files of this server.
func (d *explainer) offline(t *testing.T, q asked, more ...string) *explained {
	t.Helper()
	return q.byCommand(t, d.dir, d.opts.env, append([]string{"--config", filepath.Join(d.dir, "Caddyfile")}, more...)...)
}
