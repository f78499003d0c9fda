package command_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// unsigned returns a token with these claims, which nobody signed.
func unsigned(t *testing.T, claims map[string]any) string {
	t.Helper()
	payload, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + encode(payload) + "." + encode([]byte("not a signature"))
}

const revoked = `{"id":"sub-1","stored":true,"cached_tokens_refused":2,"api_keys_still_valid":["k1"],"notes":["disable the user at the issuer too"]}`

// TestRevoke: what each form of the command asks the server for.
func TestRevoke(t *testing.T) {
	t.Parallel()
	exp := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	withID := unsigned(t, map[string]any{"iss": "https://i/", "jti": "t1", "sub": "alice", "exp": exp.Unix()})
	withoutID := unsigned(t, map[string]any{"iss": "https://i/", "exp": exp.Unix()})
	end := exp.Format(time.RFC3339)
	for name, c := range map[string]struct {
		stdin string
		args  []string
		body  map[string]any
	}{
		"a token's id":      {"", []string{"--jti", "a b", "--issuer", "https://i/"}, map[string]any{"kind": "jti", "value": "a b", "issuer": "https://i/"}},
		"a user":            {"", []string{"--sub", "alice", "--any-issuer", "--reason", "left"}, map[string]any{"kind": "sub", "value": "alice", "any_issuer": true, "reason": "left"}},
		"a client":          {"", []string{"--client", "c"}, map[string]any{"kind": "client", "value": "c"}},
		"a key":             {"", []string{"--key", "k", "--store", "s"}, map[string]any{"kind": "key", "value": "k", "store": "s"}},
		"a signing key":     {"", []string{"--kid", "1", "--issuer", "https://i/"}, map[string]any{"kind": "kid", "value": "1", "issuer": "https://i/"}},
		"until a time":      {"", []string{"--sub", "a", "--end", "2100-01-02T03:04:05+01:00"}, map[string]any{"kind": "sub", "value": "a", "end": "2100-01-02T02:04:05Z"}},
		"before a time":     {"", []string{"--sub", "a", "--not-before", "2020-01-02T03:04:05Z", "--skew", "30s"}, map[string]any{"kind": "sub", "value": "a", "not_before": "2020-01-02T03:04:35Z"}},
		"an issuer":         {"", []string{"--issuer", "https://i/", "--not-before", "2020-01-02T03:04:05Z"}, map[string]any{"kind": "issuer", "value": "https://i/", "not_before": "2020-01-02T03:04:05Z"}},
		"a token":           {withID, []string{"--token", "@-"}, map[string]any{"kind": "token", "value": withID, "end": end}},
		"an opaque token":   {"opaque\n", []string{"--token", "@-"}, map[string]any{"kind": "token", "value": "opaque"}},
		"a file, by its id": {"", []string{"@" + write(t, "Bearer "+withID+"\n"), "--yes"}, map[string]any{"kind": "jti", "value": "t1", "issuer": "https://i/", "end": end}},
		"a file without id": {withoutID + "\n", []string{"@-", "--yes"}, map[string]any{"kind": "token", "value": withoutID, "end": end}},
		"another end":       {withID, []string{"@-", "--yes", "--end", "2100-01-02T03:04:05Z"}, map[string]any{"kind": "jti", "value": "t1", "issuer": "https://i/", "end": "2100-01-02T03:04:05Z"}},
		"text, insisting":   {"", []string{withID, "--yes"}, map[string]any{"kind": "jti", "value": "t1", "issuer": "https://i/", "end": end}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := answering(t, "POST /jwt/revocations", http.StatusCreated, revoked)
			r := runJWT(t, c.stdin, append([]string{"revoke", "--address", f.address}, c.args...)...).want(t, 0)
			if r.out != "sub-1\n" {
				t.Errorf("standard output is %q", r.out)
			}
			if got := f.body(t, 0); !reflect.DeepEqual(got, c.body) {
				t.Errorf("the server got %v, want %v", got, c.body)
			}
			if f.asked[0].operator == "" || len(f.asked) != 1 {
				t.Errorf("the requests are %+v", f.asked)
			}
		})
	}
}

func TestRevokeTimesRelativeToNow(t *testing.T) {
	t.Parallel()
	f := answering(t, "POST /jwt/revocations", http.StatusCreated, revoked)
	for n, c := range []struct {
		args   []string
		member string
		want   time.Duration
	}{
		{[]string{"--not-before", "now"}, "not_before", 0},
		{[]string{"--not-before", "now", "--skew", "30s"}, "not_before", 30 * time.Second},
		{[]string{"--not-before", "24h"}, "not_before", -24 * time.Hour},
		{[]string{"--end", "2d"}, "end", 48 * time.Hour},
	} {
		runJWT(t, "", append([]string{"revoke", "--address", f.address, "--sub", "a"}, c.args...)...).want(t, 0)
		text, _ := f.body(t, n)[c.member].(string)
		got, err := time.Parse(time.RFC3339, text)
		if off := time.Until(got) - c.want; err != nil || off > time.Second || off < -time.Minute {
			t.Errorf("%v: %s is %q", c.args, c.member, text)
		}
	}
}

func TestRevokeTellsWhatTheServerSays(t *testing.T) {
	t.Parallel()
	f := answering(t, "POST /jwt/revocations", http.StatusCreated, revoked)
	runJWT(t, "", "revoke", "--sub", "a", "--address", f.address).want(t, 0, "2 of the tokens that this server has seen lately are refused",
		"API keys that still work: k1\n", "Note: disable the user at the issuer too\n")
	r := runJWT(t, "", "revoke", "--sub", "a", "--address", f.address, "--json").want(t, 0, "disable the user")
	if want := "{\n\t\"id\": \"sub-1\",\n\t\"stored\": true,\n\t\"cached_tokens_refused\": 2,\n\t\"api_keys_still_valid\": [\n\t\t\"k1\"\n\t],\n\t\"notes\": [\n\t\t\"disable the user at the issuer too\"\n\t]\n}\n"; r.out != want {
		t.Errorf("--json is %s", r.out)
	}
	f = answering(t, "POST /jwt/revocations", http.StatusCreated, `{"id":"sub-1","stored":true,"cached_tokens_refused":0,"notes":["`+admin.NoteNoneCached+`"]}`)
	if r := runJWT(t, "", "revoke", "--sub", "a", "--address", f.address).want(t, 0, "Warning: none of the tokens"); strings.Contains(r.err, "Note") {
		t.Errorf("it says the same twice: %s", r.err)
	}
	if r := runJWT(t, "", "revoke", "--key", "a", "--address", f.address).want(t, 0); r.err != "" {
		t.Errorf("of a key: %s", r.err)
	}
	f = answering(t, "POST /jwt/revocations", http.StatusCreated, `{"id":"sub-1","stored":true,"cached_tokens_refused":-1}`)
	if r := runJWT(t, "", "revoke", "--sub", "a", "--address", f.address).want(t, 0); r.err != "" {
		t.Errorf("where the server does not know: %s", r.err)
	}
}

// TestRevokeWaitsUntilStored: 202 is in force on that server alone, so the command waits for
// the storage, and fails in the end.
func TestRevokeWaitsUntilStored(t *testing.T) {
	t.Parallel()
	page := func(unstored int) answer {
		return answer{http.StatusOK, fmt.Sprintf(`{"issuers":[],"api_keys":[],"state":{"sets":[{"name":"keys-s","unstored":0},{"name":"revocations","ready":true,"unstored":%d}]}}`, unstored)}
	}
	made := answer{http.StatusAccepted, `{"id":"sub-1","stored":false,"cached_tokens_refused":1}`}
	t.Run("in the end", func(t *testing.T) {
		t.Parallel()
		f := newFakeServer(t, map[string][]answer{
			"POST /jwt/revocations": {made}, "GET /jwt/status": {page(1), {http.StatusInternalServerError, ""}, page(0)},
		})
		r := runJWT(t, "", "revoke", "--sub", "a", "--address", f.address, "--json").want(t, 0)
		if got := parseJSON[struct{ Stored bool }](t, r.out); !got.Stored {
			t.Errorf("--json is %s", r.out)
		}
	})
	t.Run("not", func(t *testing.T) {
		t.Parallel()
		f := newFakeServer(t, map[string][]answer{"POST /jwt/revocations": {made}, "GET /jwt/status": {page(1)}})
		r := runJWT(t, "", "revoke", "--sub", "a", "--address", f.address)
		if r.code != 1 || r.out != "sub-1\n" || !strings.Contains(r.err, "holds on this node only") {
			t.Errorf("%+v", r)
		}
	})
}

// TestRevokeMisused: exit code 2, and the server is not asked for anything.
func TestRevokeMisused(t *testing.T) {
	t.Parallel()
	key, _ := apikey.New("cj")
	id, _ := apikey.IDOf(key)
	token := unsigned(t, map[string]any{"jti": "t1"})
	f := answering(t, "POST /jwt/revocations", http.StatusCreated, revoked)
	for name, c := range map[string]struct {
		args []string
		err  string
	}{
		"nothing":                 {nil, "what is to be revoked is missing"},
		"an id alone":             {[]string{"alice"}, "whose id the argument is; write --sub for a user"},
		"two things":              {[]string{"--sub", "a", "--jti", "b"}, "--jti and --sub are different rules"},
		"a thing and a token":     {[]string{"--sub", "a", "@-"}, "--sub and a token's file are different rules"},
		"two tokens":              {[]string{"@a", "@b"}, "usage: caddy jwt revoke"},
		"empty":                   {[]string{"--sub", ""}, "--sub is empty"},
		"an empty issuer":         {[]string{"--sub", "a", "--issuer", ""}, "--issuer is empty"},
		"issuer and any issuer":   {[]string{"--sub", "a", "--issuer", "i", "--any-issuer"}, "exclude each other"},
		"a kid without issuer":    {[]string{"--kid", "1"}, "--kid needs --issuer"},
		"a kid of any issuer":     {[]string{"--kid", "1", "--any-issuer"}, "--kid needs --issuer"},
		"all of an issuer":        {[]string{"--issuer", "i"}, "--issuer alone needs --not-before"},
		"an issuer, any":          {[]string{"--issuer", "i", "--any-issuer", "--not-before", "now"}, "exclude each other"},
		"a key's issuer":          {[]string{"--key", "k", "--issuer", "i"}, "an API key has no issuer"},
		"a token's issuer":        {[]string{"--token", "@-", "--issuer", "i"}, "--token is about this one token"},
		"the issuer of a file":    {[]string{"@-", "--any-issuer"}, "the issuer is the one that the token names"},
		"a user's store":          {[]string{"--sub", "k", "--store", "s"}, "--store goes with --key"},
		"not before of a key":     {[]string{"--key", "k", "--not-before", "now"}, "--not-before goes with --sub, --client and --issuer"},
		"not before of a token":   {[]string{"@-", "--not-before", "now"}, "--not-before goes with"},
		"skew alone":              {[]string{"--sub", "k", "--skew", "30s"}, "--skew goes with --not-before"},
		"a bad skew":              {[]string{"--sub", "k", "--not-before", "now", "--skew", "x"}, `--skew: "x" is not a valid duration`},
		"a negative skew":         {[]string{"--sub", "k", "--not-before", "now", "--skew", "-1s"}, "--skew: "},
		"a bad time":              {[]string{"--sub", "k", "--not-before", "yesterday"}, "now, or how long ago, such as 24h"},
		"a time to come":          {[]string{"--sub", "k", "--not-before", "-1h"}, "--not-before: -1h is in the future"},
		"an end of the past":      {[]string{"--sub", "k", "--end", "2020-01-02T03:04:05Z"}, "--end: 2020-01-02T03:04:05Z is in the past"},
		"an end of now":           {[]string{"--sub", "k", "--end", "now"}, "--end: now is not in the future"},
		"no config":               {[]string{"--sub", "k", "--config", "/nowhere/Caddyfile"}, "finding the admin endpoint: "},
		"a bad address":           {[]string{"--sub", "k", "--address", "localhost"}, "write host and port"},
		"a key in place of an id": {[]string{"--key", key}, "--key is an API key itself; write its id: --key " + id},
		"a token for its id":      {[]string{"--jti", token}, "--jti is a token itself; write the token into a file, and --token @FILE"},
		"a token among arguments": {[]string{token}, "write @FILE, or @- for standard input"},
		"a token in its flag":     {[]string{"--token", token}, "write @FILE, or @- for standard input"},
		"an unknown flag":         {[]string{"--user", "a"}, "unknown flag: --user"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append([]string{"revoke", "--address", f.address}, c.args...)
			if strings.Contains(name, "no config") {
				args = append([]string{"revoke"}, c.args...)
			}
			r := runJWT(t, token, args...).want(t, 2, c.err)
			if strings.Contains(r.err, token[len(token)-10:]) || strings.Contains(r.err, key[20:]) {
				t.Errorf("a secret shows: %s", r.err)
			}
		})
	}
	f.wantRequests(t)
}

// TestRevokeRefused: nothing is revoked, for a reason that is no misuse.
func TestRevokeRefused(t *testing.T) {
	t.Parallel()
	key, _ := apikey.New("cj")
	id, _ := apikey.IDOf(key)
	token := unsigned(t, map[string]any{"jti": "t1", "iss": "https://i/", "sub": "alice", "iat": 1_700_000_000})
	past := unsigned(t, map[string]any{"jti": "t1", "iss": "https://i/", "exp": 1_700_000_000})
	f := answering(t, "POST /jwt/revocations", http.StatusCreated, revoked)
	for name, c := range map[string]struct {
		stdin string
		args  []string
		err   []string
	}{
		"a token that nobody verified": {token, []string{"@-"}, []string{"its signature was NOT checked", "issuer (iss)   https://i/\n", "id (jti)       t1\n", "subject (sub)  alice\n",
			"issued (iat)   2023-11-14T22:13:20Z\n", "expires (exp)  nothing\n", "nothing was changed; the rule would be of kind jti", "--yes"}},
		"one of Entra":             {unsigned(t, map[string]any{"uti": "u1", "iss": "https://i/"}), []string{"@-"}, []string{"It has no jti but uti", "of kind token"}},
		"an opaque one":            {"opaque", []string{"@-"}, []string{"It is not a JWT", "of kind token"}},
		"one that has expired":     {past, []string{"@-", "--yes"}, []string{"it expired at 2023-11-14T22:13:20Z", "--end revokes it all the same"}},
		"one, by itself":           {past, []string{"--token", "@-"}, []string{"it expired at 2023-11-14T22:13:20Z"}},
		"nothing":                  {"\n", []string{"@-"}, []string{"it is empty"}},
		"several":                  {token + "\n" + token, []string{"@-"}, []string{"there are 2 tokens"}},
		"an API key":               {key, []string{"@-"}, []string{"it is an API key, not a token; caddy jwt revoke --key " + id + " refuses it"}},
		"a file that is not there": {"", []string{"@/nowhere/token"}, []string{"open /nowhere/token"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := runJWT(t, c.stdin, append([]string{"revoke", "--address", f.address}, c.args...)...).want(t, 1, c.err...)
			if strings.Contains(r.err, token[len(token)-10:]) || strings.Contains(r.err, key[20:]) {
				t.Errorf("a secret shows: %s", r.err)
			}
		})
	}
	f.wantRequests(t)
	for status, code := range map[int]int{400: 2, 409: 1, 503: 1} {
		f := answering(t, "POST /jwt/revocations", status, `{"error":"issuer: it is missing"}`)
		runJWT(t, "", "revoke", "--sub", "a", "--address", f.address).want(t, code, "issuer: it is missing")
	}
}

func TestRevokeWithoutServer(t *testing.T) {
	t.Parallel()
	runJWT(t, "", "revoke", "--sub", "a", "--address", closedAddress(t)).want(t, 1, "no server answers at 127.0.0.1:", "nothing was changed", "--config FILE works on the storage")
}

func TestRevokeDryRun(t *testing.T) {
	t.Parallel()
	f := answering(t, "POST /jwt/revocations", http.StatusCreated, revoked)
	token := unsigned(t, map[string]any{"jti": "t1", "iss": "https://i/"})
	r := runJWT(t, token, "revoke", "@-", "--address", f.address, "--dry-run", "--reason", "why").want(t, 0, "Nothing was changed.", "its signature was NOT checked")
	if r.out != "kind jti, value t1, issuer https://i/, reason why\n" {
		t.Errorf("%q", r.out)
	}
	r = runJWT(t, token, "revoke", "--token", "@-", "--address", f.address, "--dry-run", "--json").want(t, 0)
	if want := "{\n\t\"kind\": \"token\",\n\t\"value\": \"" + revocation.TokenValue(token) + "\"\n}\n"; r.out != want || strings.Contains(r.out+r.err, token) {
		t.Errorf("%s", r.out)
	}
	f.wantRequests(t)
}

const ruleList = `{"items":[
{"id":"sub-1","kind":"sub","value":"alice","issuer":"https://i/","not_before":"2026-01-02T03:04:05Z","reason":"left","by":"root@ops","node":"n","at":"2026-01-02T03:04:06Z"},
{"id":"key-2","kind":"key","value":"k","store":"s","end":"2027-01-02T03:04:05Z"}],"next":%q}`

func TestRevocations(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t, map[string][]answer{"GET /jwt/revocations": {
		{http.StatusOK, fmt.Sprintf(ruleList, "0123-ab")}, {http.StatusOK, `{"items":[{"id":"jti-3","kind":"jti","value":"v"}]}`},
	}})
	r := runJWT(t, "", "revocations", "--address", f.address, "--kind", "sub", "--value", "alice", "--issuer", "https://i/").want(t, 0)
	for n, want := range []string{
		"ID KIND VALUE ISSUER NOT BEFORE END MADE BY REASON",
		"sub-1 sub alice https://i/ 2026-01-02T03:04:05Z - 2026-01-02T03:04:06Z root@ops left", "key-2 key k (s) - - 2027-01-02T03:04:05Z - - -", "jti-3 jti v - - - - - -",
	} {
		if got := strings.Join(strings.Fields(strings.Split(r.out, "\n")[n]), " "); got != want {
			t.Errorf("line %d is %q, want %q", n+1, got, want)
		}
	}
	query := "issuer=https%3A%2F%2Fi%2F&kind=sub&limit=1000&value=alice"
	f.wantRequests(t, "GET /jwt/revocations?"+query, "GET /jwt/revocations?after=0123-ab&"+query)

	f = newFakeServer(t, map[string][]answer{"GET /jwt/revocations": {{http.StatusOK, fmt.Sprintf(ruleList, "x")}}})
	r = runJWT(t, "", "revocations", "--address", f.address, "--limit", "1", "--json").want(t, 0, "There are more than these 1;")
	if want := "[\n\t{\n\t\t\"id\": \"sub-1\",\n\t\t\"kind\": \"sub\",\n\t\t\"value\": \"alice\",\n\t\t\"issuer\": \"https://i/\",\n\t\t\"not_before\": \"2026-01-02T03:04:05Z\",\n\t\t\"reason\": \"left\",\n\t\t\"by\": \"root@ops\",\n\t\t\"node\": \"n\",\n\t\t\"at\": \"2026-01-02T03:04:06Z\"\n\t}\n]\n"; r.out != want {
		t.Errorf("--json is %s", r.out)
	}
	f = answering(t, "GET /jwt/revocations", http.StatusOK, `{"items":[]}`)
	if r := runJWT(t, "", "revocations", "--address", f.address, "--json").want(t, 0); r.out != "[]\n" {
		t.Errorf("none as JSON: %q", r.out)
	}
}

func TestRevocationsDelete(t *testing.T) {
	t.Parallel()
	gone := `{"id":"sub-1","kind":"sub","value":"alice"}`
	f := newFakeServer(t, map[string][]answer{"DELETE /jwt/revocations/sub-1": {{http.StatusOK, gone}}, "DELETE /jwt/revocations/sub-2": {{http.StatusOK, gone}}})
	if r := runJWT(t, "", "revocations", "delete", "sub-1", "--reason", "wrong user", "--address", f.address).want(t, 0); r.out != "sub-1: deleted\n" {
		t.Errorf("%q", r.out)
	}
	r := runJWT(t, "sub-1\n sub-2 \n\n", "revocations", "delete", "@-", "--reason", "r", "--address", f.address).want(t, 0)
	if r.out != "sub-1: deleted\nsub-2: deleted\n" {
		t.Errorf("%q", r.out)
	}
	f.wantRequests(t, "DELETE /jwt/revocations/sub-1?reason=wrong+user", "DELETE /jwt/revocations/sub-1?reason=r", "DELETE /jwt/revocations/sub-2?reason=r")
	if r := runJWT(t, "", "revocations", "delete", "sub-1", "--reason", "r", "--json", "--address", f.address).want(t, 0); r.out != "{\n\t\"id\": \"sub-1\",\n\t\"kind\": \"sub\",\n\t\"value\": \"alice\"\n}\n" {
		t.Errorf("%s", r.out)
	}
	// A file's results are a list, however many there are, so that jq finds them.
	for stdin, want := range map[string]string{"sub-1": "sub-1 ", "sub-1\nsub-2": "sub-1 sub-1 "} {
		var list []struct{ ID string }
		r := runJWT(t, stdin, "revocations", "delete", "@-", "--reason", "r", "--json", "--address", f.address).want(t, 0)
		ids := ""
		err := json.Unmarshal([]byte(r.out), &list)
		for _, rule := range list {
			ids += rule.ID + " "
		}
		if err != nil || ids != want {
			t.Errorf("%v: %s", err, r.out)
		}
	}
	r = runJWT(t, "sub-1\nno-3\nsub-2", "revocations", "delete", "@-", "--reason", "r", "--address", f.address)
	if r.code != 1 || r.out != "sub-1: deleted\n" || !strings.Contains(r.err, "id 2 of 3: there is nothing at this path") {
		t.Errorf("%+v", r)
	}
	f = answering(t, "DELETE /jwt/revocations/a", http.StatusServiceUnavailable, `{"error":"the storage did not confirm the change"}`)
	runJWT(t, "", "revocations", "delete", "a", "--reason", "r", "--address", f.address).want(t, 1, "the storage did not confirm the change")
}

func TestRevocationsMisused(t *testing.T) {
	t.Parallel()
	f := newFakeServer(t, nil)
	keyText, _ := apikey.New("cj")
	for name, c := range map[string]struct {
		args []string
		err  string
	}{
		"a kind":            {[]string{"--kind", "user"}, "write jti, sub, client, key, kid, issuer or token"},
		"a limit":           {[]string{"--limit", "0"}, "--limit must be at least 1"},
		"another word":      {[]string{"rm", "x"}, `unknown command "rm" (is delete meant?)`},
		"list":              {[]string{"list"}, "caddy jwt revocations alone lists the rules"},
		"delete nothing":    {[]string{"delete", "--reason", "r"}, "usage: caddy jwt revocations delete"},
		"without a reason":  {[]string{"delete", "a"}, "a reason is missing"},
		"a reason is empty": {[]string{"delete", "a", "--reason", ""}, "a reason is missing"},
		// What is in a URL is logged by the server before it can refuse it.
		"a token as the reason": {[]string{"delete", "a", "--reason", unsigned(t, map[string]any{"jti": "1"})}, "--reason: there is a token in it"},
		"a key as the reason":   {[]string{"delete", "a", "--reason", "leaked: " + keyText}, "--reason: there is an API key in it"},
		"a token as the value":  {[]string{"--value", unsigned(t, map[string]any{"jti": "1"})}, "--value: there is a token in it"},
	} {
		t.Run(name, func(t *testing.T) {
			runJWT(t, "", append(append([]string{"revocations"}, c.args...), "--address", f.address)...).want(t, 2, c.err)
		})
	}
	f.wantRequests(t)
	token := unsigned(t, map[string]any{"jti": "1"})
	runJWT(t, token, "revocations", "delete", "@-", "--reason", "r", "--address", f.address).want(t, 2, "the id: there is a token in it")
	runJWT(t, token, "api-key", "disable", "@-", "--store", "s", "--address", f.address).want(t, 2, "the id: there is a token in it")
	f.wantRequests(t)
	runJWT(t, "\n", "revocations", "delete", "@-", "--reason", "r", "--address", f.address).want(t, 1, "there is no id")
	f.wantRequests(t)
}
