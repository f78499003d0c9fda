package command_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// accessLine is a line of Caddy's access log in JSON, with members of ours.
func accessLine(status, ours string) string {
	return `{"level":"info","ts":1796000000.25,"logger":"http.log.access.log0","msg":"handled request","request":{"remote_ip":"203.0.113.7","remote_port":"5",` +
		`"client_ip":"203.0.113.8","proto":"HTTP/2.0","method":"GET","host":"api.example.com","uri":"/orders?access_token=s3cr3t-value&b","headers":{"User-Agent":["curl"]}},` +
		`"bytes_read":0,"user_id":"","duration":0.0001,"size":68,"status":` + status + `,"resp_headers":{"Server":["Caddy"]}` + ours + `}`
}

// shownIn is a line of a request without a credential where one is looked for, with other
// headers.
func shownIn(t *testing.T, headers string) string {
	t.Helper()
	line := accessLine("401", `,"jwt_auth_method":"anonymous","jwt_reason":"missing_credentials"`)
	return strings.Replace(line, `"headers":{`, `"headers":{`+headers+strings.Repeat(",", min(len(headers), 1)), 1)
}

const (
	byDetail = `,"jwt_auth_method":"anonymous","jwt_reason":"malformed_token","jwt_detail":"typ is empty"`
	byRule   = `,"jwt_auth_method":"anonymous","jwt_reason":"forbidden","jwt_requirement":"require claim role","jwt_user":"alice","jwt_issuer":"https://auth.example.com/"`
)

// handlerLine is the line of the handler itself about a refusal, as its own fields make it.
func handlerLine(t *testing.T, message string, code reason.Code, cause refusal.Cause) string {
	t.Helper()
	responder, err := refusal.New(refusal.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("POST", "/orders?a=1", nil)
	r.Host = "api.example.com"
	fields := responder.To(code, &cause, false).Refusal(&cause).LogFields(r, r.RequestURI, "api.example.com")
	encoder := zapcore.NewJSONEncoder(zapcore.EncoderConfig{MessageKey: "msg", LevelKey: "level", TimeKey: "ts", NameKey: "logger", EncodeLevel: zapcore.LowercaseLevelEncoder, EncodeTime: zapcore.EpochTimeEncoder})
	line, err := encoder.EncodeEntry(zapcore.Entry{LoggerName: "http.handlers.jwt", Message: message, Level: zapcore.DebugLevel, Time: time.Unix(1796000000, 0)}, fields)
	if err != nil {
		t.Fatal(err)
	}
	return line.String()
}

func TestExplainLog(t *testing.T) {
	t.Parallel()
	console := "2026/11/29 17:00:00.123\t\x1b[34mINFO\x1b[0m\thttp.log.access.log0\thandled request\t"
	docker, err := json.Marshal(map[string]string{"log": accessLine("401", byDetail) + "\n", "stream": "stderr"})
	if err != nil {
		t.Fatal(err)
	}
	var pretty any
	if err := json.Unmarshal([]byte(accessLine("401", byDetail)), &pretty); err != nil {
		t.Fatal(err)
	}
	spread, err := json.MarshalIndent(pretty, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	typRemedy := "What to do: " + reason.Remedy(reason.MalformedToken, "typ is empty")
	for name, c := range map[string]struct {
		log  string
		want []string
	}{
		"a detail": {accessLine("401", byDetail), []string{
			"REFUSED: malformed_token, with status 401\n", "  time         2026-11-30T00:53:20Z\n", "  request      GET api.example.com/orders?access_token=…&…\n",
			"  client       203.0.113.8\n", "  meaning      the header has `typ` without a value\n", "  detail       typ is empty\n", typRemedy,
		}},
		"a rule": {accessLine("403", byRule), []string{
			"REFUSED: forbidden, with status 403\n", "  requirement  require claim role\n", "  user         alice\n", "  issuer       https://auth.example.com/\n",
			"What to do: " + reason.Remedy(reason.Forbidden, ""),
		}},
		"report mode":         {accessLine("200", byRule), []string{"WOULD BE REFUSED without mode report: forbidden, with status 200\n", "Note: The status is not that of a refusal"}},
		"the console format":  {console + accessLine("401", byDetail), []string{"REFUSED: malformed_token, with status 401\n", typRemedy}},
		"a journal":           {"Nov 29 17:00:00 host caddy[12]: " + accessLine("401", byDetail), []string{"REFUSED: malformed_token, with status 401\n", typRemedy}},
		"braces in front":     {"caddy {web} | " + accessLine("401", byDetail), []string{"REFUSED: malformed_token, with status 401\n"}},
		"Docker":              {string(docker), []string{"REFUSED: malformed_token, with status 401\n", typRemedy}},
		"spread over lines":   {string(spread), []string{"REFUSED: malformed_token, with status 401\n", typRemedy}},
		"the handler's line":  {handlerLine(t, "request refused", reason.MissingClaim, refusal.Cause{Detail: reason.NoExpiry.Detail(), User: "u", Issuer: "i"}), []string{"REFUSED: missing_claim, with status 401\n", "  site         api.example.com\n", "  request      POST api.example.com/orders?a=…\n", "  user         u\n", "  issuer       i\n", "What to do: " + reason.Remedy(reason.MissingClaim, reason.NoExpiry.Detail())}},
		"that of report mode": {handlerLine(t, "request would be refused", reason.InsufficientScope, refusal.Cause{Requirement: "require scope a"}), []string{"WOULD BE REFUSED without mode report: insufficient_scope, with status 403\n", "  requirement  require scope a\n"}},
		"that on a console":   {"2026/11/29 17:00:00.123\tDEBUG\thttp.handlers.jwt\trequest refused\t" + `{"reason": "expired", "status": 401, "site": "s", "request": {"method": "GET"}}`, []string{"REFUSED: expired, with status 401\n", "  site         s\n"}},
		"a reason of later":   {accessLine("401", `,"jwt_reason":"of_later"`), []string{"REFUSED: of_later, with status 401\n", "Note: This version knows no such reason"}},
		"accepted":            {accessLine("200", `,"jwt_auth_method":"jwt"`), []string{"NOT REFUSED by a jwt handler\n", "  status       200\n", "Note: The request was not refused.\n"}},
		"anonymous":           {accessLine("200", `,"jwt_auth_method":"anonymous"`), []string{"Note: The jwt handler let the request pass without an identity"}},
		"the upstream's 401":  {accessLine("401", `,"jwt_auth_method":"jwt"`), []string{"NOT REFUSED by a jwt handler\n", "Note: The jwt handler let the request pass, so the answer is from"}},
		"another's 404":       {accessLine("404", ""), []string{"NOT REFUSED by a jwt handler\n", "Note: No jwt handler has seen the request, as the line has no jwt_auth_method: the answer is from another handler"}},
		"without protection":  {accessLine("200", ""), []string{"Note: No jwt handler has seen the request, as the line has no jwt_auth_method. If"}},
		"Caddy's error log":   {strings.Replace(accessLine("401", ""), "http.log.access.log0", "http.log.error.log0", 1), []string{"Note: It is a line of Caddy about an error"}},
		"several":             {strings.Join([]string{accessLine("401", byDetail), "", accessLine("200", `,"jwt_auth_method":"jwt"`), accessLine("200", ""), "caddy started", accessLine("403", byRule)}, "\n"), []string{"Line 1: REFUSED: malformed_token", "Line 6: REFUSED: forbidden", "2 more lines are of requests that no jwt handler refused.\n", "1 more line says nothing of a request.\n"}},
		"a token in another header": {shownIn(t, `"X-Auth-Token":["eyJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t"]`), []string{
			"REFUSED: missing_credentials, with status 401\n", "  credentials  the header X-Auth-Token\n",
			"docs/security.md#logs", "write token_from header X-Auth-Token (", "What to do: " + reason.Remedy(reason.MissingCredentials, ""),
		}},
		"Bearer in another header": {shownIn(t, `"X-Forwarded-Access-Token":["bearer eyJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t"]`), []string{"  credentials  the header X-Forwarded-Access-Token\n"}},
		"a token in a cookie":      {shownIn(t, `"Cookie":["a=b; sid=eyJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t"]`), []string{"  credentials  the cookie sid\n", "write token_from cookie sid ("}},
		"a token in the query":     {strings.Replace(shownIn(t, ""), "access_token=s3cr3t-value", "a%5Fb=%65yJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t", 1), []string{"  credentials  the parameter a_b\n", "write token_from query a_b ("}},
		"a token in the path":      {strings.Replace(shownIn(t, ""), `"/orders?`, `"/t/eyJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t?`, 1), []string{"  request      GET api.example.com/t/REDACTED?access_token=…&…\n"}},
		"a token as a name":        {strings.Replace(shownIn(t, `"eyJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t":["eyJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t"]`), "access_token=s3cr3t-value", "eyJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t=a", 1), []string{"?REDACTED=…&…\n", "What to do:"}},
		"a token beside another":   {strings.Replace(accessLine("401", byDetail), `"User-Agent"`, `"X-Token":["eyJhbGciOiJFUzI1NiJ9.s3cr3t.s3cr3t"],"User-Agent"`, 1), []string{"  credentials  the header X-Token\n", "Note: The log shows what looks like"}},
		"a hidden Authorization":   {shownIn(t, `"Authorization":["REDACTED"]`), []string{"Note: The request has the header Authorization, whose value the log does not show"}},
		"a whole URL":              {strings.Replace(accessLine("401", byDetail), `"/orders`, `"http://bob:s3cr3t@other.example/orders`, 1), []string{"  request      GET api.example.com http://other.example/orders?access_token=…&…\n"}},
		"OPTIONS *":                {`{"request":{"method":"OPTIONS","host":"a.example","uri":"*"},"jwt_reason":"expired"}`, []string{"  request      OPTIONS a.example *\n"}},
		"members of other type":    {`{"msg":"handled request","ts":"noon","status":"401","request":{"uri":7,"host":null},"jwt_reason":"expired","jwt_detail":{}}`, []string{"REFUSED: expired\n", "  time         noon\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runJWT(t, c.log, "explain", "--log", "@-")
			if r.code != 0 || r.err != "" {
				t.Fatalf("exit code %d: %s", r.code, r.err)
			}
			for _, want := range c.want {
				if !strings.Contains(r.out, want) {
					t.Errorf("it lacks %q:\n%s", want, r.out)
				}
			}
			if strings.Contains(r.out, "s3cr3t") || strings.Contains(r.out, "\x1b") {
				t.Errorf("it shows a value of the query, or controls the terminal: %q", r.out)
			}
			if c.log == strings.TrimSpace(c.log) && !strings.Contains(c.log, "\n") {
				if again := runJWT(t, "", "explain", "--log", c.log); again != r {
					t.Errorf("as an argument: %+v", again)
				}
			}
		})
	}
}

// TestExplainLog_JSON has the whole shape, which is stable.
func TestExplainLog_JSON(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "access.log")
	lines := handlerLine(t, "request refused", reason.Forbidden, refusal.Cause{Requirement: "require claim role", User: "alice", Issuer: "https://auth.example.com/"}) +
		accessLine("401", byDetail) + "\n" + accessLine("200", "") + "\nnothing\n"
	if err := os.WriteFile(file, []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	r := runJWT(t, "", "explain", "--log", "@"+file, "--json")
	var got struct{ Lines []map[string]any }
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != 0 {
		t.Fatalf("%v: %+v", err, r)
	}
	for i := range got.Lines {
		if note, _ := got.Lines[i]["note"].(string); note != "" {
			got.Lines[i]["note"] = note[:10]
		}
	}
	text, err := json.Marshal(got.Lines)
	if err != nil {
		t.Fatal(err)
	}
	e, _ := reason.Describe(reason.Forbidden, "")
	typ, _ := reason.Describe(reason.MalformedToken, "typ is empty")
	want, err := json.Marshal([]map[string]any{
		{
			"line": 1, "verdict": "refused", "time": "2026-11-30T00:53:20Z", "site": "api.example.com", "request": map[string]any{"method": "POST", "host": "api.example.com", "uri": "/orders?a=…"},
			"status": 403, "reason": "forbidden", "meaning": e.Meaning, "requirement": "require claim role", "user": "alice", "issuer": "https://auth.example.com/", "remedy": e.Remedy,
		},
		{
			"line": 2, "verdict": "refused", "time": "2026-11-30T00:53:20Z", "request": map[string]any{"method": "GET", "host": "api.example.com", "uri": "/orders?access_token=…&…", "client_ip": "203.0.113.8"},
			"status": 401, "reason": "malformed_token", "meaning": typ.Meaning, "detail": "typ is empty", "remedy": typ.Remedy,
		},
		{
			"line": 3, "verdict": "not_refused", "time": "2026-11-30T00:53:20Z", "request": map[string]any{"method": "GET", "host": "api.example.com", "uri": "/orders?access_token=…&…", "client_ip": "203.0.113.8"},
			"status": 200, "note": "No jwt han",
		},
		{"line": 4, "verdict": "unknown", "note": "It may be "},
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != string(want) {
		t.Errorf("got  %s\nwant %s", text, want)
	}
}

// Only what looks like a credential is named, and only by names that an option can have.
func TestExplainLog_NoCredentials(t *testing.T) {
	t.Parallel()
	const token = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"
	for _, headers := range []string{
		`"User-Agent":["curl"],"Accept":["*/*"]`, `"X-Request-Id":["0b9f3b6e-3c7f-4f0e-8a3a-2f6c1c9d7e10"]`, `"X-Long":["` + strings.Repeat("a", 100) + `"]`,
		`"Authorization":["REDACTED"],"Cookie":["REDACTED"]`, `"X Y":["` + token + `"]`, `"` + strings.Repeat("x", 65) + `":["` + token + `"]`, `"X":"` + token + `"`, `"X":[7]`, `"\u001b[31m":["` + token + `"]`,
	} {
		r := runJWT(t, shownIn(t, headers), "explain", "--log", "@-", "--json")
		if r.code != 0 || strings.Contains(r.out, `"credentials"`) || strings.Contains(r.out, token) {
			t.Errorf("%s: %+v", headers, r)
		}
	}
	r := runJWT(t, shownIn(t, `"X-A":["`+token+`"],"X-B":["a","Token `+token+`"]`), "explain", "--log", "@-", "--json")
	if want := `"credentials": [
					"the header X-A",
					"the header X-B"
				]`; !strings.Contains(r.out, want) || strings.Contains(r.out, token) {
		t.Errorf("%+v lacks %s", r, want)
	}
}

func TestExplainLog_Misuse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		log, want string
		code      int
	}{
		"nothing":           {"", "there is no line", 2},
		"empty lines":       {"\n \n", "there is no line", 2},
		"a token":           {"eyJhbGciOiJFUzI1NiJ9.e30.s3cr3t", "caddy jwt explain @FILE", 2},
		"the common format": {`1.2.3.4 - - [29/Nov/2026:17:00:00 +0000] "GET /?t=s3cr3t HTTP/1.1" 401 68`, "format json", 2},
		"words":             {"why is s3cr3t refused", "it has no JSON", 2},
		"another line":      {`{"level":"info","msg":"server s3cr3t running"}`, "it is about something else", 2},
		"a list":            {`["s3cr3t"]`, "no line says anything of a request", 2},
		"broken JSON":       {`{"msg":"request refused","reason":"s3cr3t`, "it has no JSON", 2},
		"too much":          {strings.Repeat(" ", 1<<20) + "s3cr3t", "1 MiB", 1},
	} {
		r := runJWT(t, c.log, "explain", "--log", "@-")
		if r.code != c.code || !strings.Contains(r.err, c.want) || r.out != "" || strings.Contains(r.err, "s3cr3t") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestExplainLog_Escapes: anyone who sends requests writes what is in the log of them.
func TestExplainLog_Escapes(t *testing.T) {
	t.Parallel()
	quoted, err := json.Marshal(hostile)
	if err != nil {
		t.Fatal(err)
	}
	line := `{"msg":"request refused","ts":Q,"site":Q,"reason":Q,"detail":Q,"requirement":Q,"user":Q,"issuer":Q,"status":401,"request":{"method":Q,"host":Q,"uri":Q,"client_ip":Q}}`
	for _, args := range [][]string{nil, {"--json"}} {
		r := runJWT(t, strings.ReplaceAll(line, "Q", string(quoted)), append([]string{"explain", "--log", "@-"}, args...)...)
		if r.code != 0 {
			t.Fatalf("%+v", r)
		}
		checkSafe(t, "--log", r.out)
	}
}
