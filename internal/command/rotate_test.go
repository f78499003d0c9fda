package command_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

const (
	signingKeys = `{"services":[
		{"issuer":"https://a.example","service":{"issuer":"https://a.example","keys":[{"kid":"a2","state":"next"},{"kid":"a1","state":"signing"},{"kid":"a0","state":"retired"}]},
			"forward":{"issuer":"https://a.example/forward","keys":[{"kid":"f1","state":"signing"}]}},
		{"issuer":"https://b.example","service":{"issuer":"https://b.example","keys":[]}}]}`
	rotated = `{"service":"https://a.example","issuer":"https://a.example","signing":{"kid":"a2"},"next":{"kid":"a3","signs_from":"2100-01-02T03:04:05Z"},"retired":[],"rules":[],"stored":true,"notes":["tokens stay valid"]}`
	retired = `{"service":"https://a.example","issuer":"https://a.example","signing":{"kid":"a3"},"next":{"kid":"a4"},"retired":["a1","a2"],"rules":["kid-1","kid-2"],"stored":true,"notes":["use introspection"]}`
)

// TestRotate: what each form of the command asks the server for.
func TestRotate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		body string
	}{
		"the only service": {nil, `{}`},
		"a service":        {[]string{"--issuer", "https://a.example"}, `{"issuer":"https://a.example"}`},
		"forward":          {[]string{"--forward"}, `{"forward":true}`},
		"an emergency":     {[]string{"--retire-now", "--yes", "--issuer", "https://a.example"}, `{"issuer":"https://a.example","retire_now":true}`},
		"both":             {[]string{"--retire-now", "--forward", "--yes"}, `{"retire_now":true,"forward":true}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := answering(t, "POST /jwt/signing-keys", http.StatusOK, rotated)
			r := runJWT(t, "", append([]string{"rotate", "--address", f.address}, c.args...)...).want(t, 0, "The next key is a3, which signs from 2100-01-02T03:04:05Z on", "Note: tokens stay valid")
			if r.out != "a2\n" {
				t.Errorf("standard output is %q", r.out)
			}
			f.wantRequests(t, "POST /jwt/signing-keys "+c.body)
			if f.asked[0].operator == "" {
				t.Error("it does not say who asks")
			}
		})
	}
	f := answering(t, "POST /jwt/signing-keys", http.StatusOK, retired)
	runJWT(t, "", "rotate", "--retire-now", "--yes", "--address", f.address).want(t, 0, "Retired: a1 a2", "Note: use introspection")
	answer := parseJSON[admin.SigningAnswer](t, runJWT(t, "", "rotate", "--retire-now", "--yes", "--json", "--address", f.address).want(t, 0).out)
	if answer.Signing.KeyID != "a3" || len(answer.Rules) != 2 {
		t.Errorf("%+v", answer)
	}
}

// TestRotateAsksFirst: without --yes nothing is retired.
func TestRotateAsksFirst(t *testing.T) {
	t.Parallel()
	f := answering(t, "GET /jwt/signing-keys", http.StatusOK, signingKeys)
	r := runJWT(t, "", "rotate", "--retire-now", "--issuer", "https://a.example", "--address", f.address).want(t, 1, "These keys of https://a.example would be retired", "a1 (signing)", "a2 (next)", "nothing was changed; ", "--yes")
	if strings.Contains(r.err, "a0") || r.out != "" {
		t.Errorf("%+v", r)
	}
	runJWT(t, "", "rotate", "--retire-now", "--forward", "--issuer", "https://a.example", "--address", f.address).want(t, 1, "These keys of https://a.example/forward", "f1 (signing)")
	runJWT(t, "", "rotate", "--retire-now", "--forward", "--issuer", "https://b.example", "--address", f.address).want(t, 1, "the service https://b.example signs no tokens for upstreams")
	runJWT(t, "", "rotate", "--retire-now", "--address", f.address).want(t, 2, "the server has 2 token services; name one with --issuer: https://a.example, https://b.example")
	runJWT(t, "", "rotate", "--retire-now", "--issuer", "https://c.example", "--address", f.address).want(t, 1, "there is no token service with this issuer; the server has https://a.example")
	for _, request := range f.requests() {
		if request != "GET /jwt/signing-keys" {
			t.Error(request)
		}
	}
	f = answering(t, "GET /jwt/signing-keys", http.StatusOK, `{"services":[]}`)
	runJWT(t, "", "rotate", "--retire-now", "--address", f.address).want(t, 1, "has no token service")
}

func TestRotateFails(t *testing.T) {
	t.Parallel()
	refuses := func(status int, text string) string {
		return answering(t, "POST /jwt/signing-keys", status, `{"error":"`+text+`"}`).address
	}
	runJWT(t, "", "rotate", "--address", refuses(http.StatusBadRequest, "issuer: it is missing")).want(t, 2, "issuer: it is missing")
	runJWT(t, "", "rotate", "--address", refuses(http.StatusServiceUnavailable, "not available")).want(t, 1, "not available")
	runJWT(t, "", "rotate", "--address", refuses(http.StatusConflict, "no token service")).want(t, 1, "no token service")
	runJWT(t, "", "rotate", "--address", closedAddress(t)).want(t, 1, "no server answers at", "nothing was changed", "caddy jwt revoke --kid")
	runJWT(t, "", "rotate", "--yes").want(t, 2, "--yes goes with --retire-now")
	runJWT(t, "", "rotate", "--issuer", "").want(t, 2, "--issuer is empty")
	runJWT(t, "", "rotate", "https://a.example").want(t, 2, "usage: caddy jwt rotate")
	noRules := strings.Replace(retired, `["kid-1","kid-2"]`, `[]`, 1)
	r := runJWT(t, "", "rotate", "--retire-now", "--yes", "--address", answering(t, "POST /jwt/signing-keys", http.StatusOK, noRules).address)
	if r.code != 1 || r.out != "a3\n" || !strings.Contains(r.err, "not all rules could be made") {
		t.Errorf("%+v", r)
	}
}

// TestRotateWaits until what was retired is stored.
func TestRotateWaits(t *testing.T) {
	t.Parallel()
	unstored := strings.Replace(retired, `"stored":true`, `"stored":false`, 1)
	status := func(n string) answer {
		return answer{http.StatusOK, `{"state":{"sets":[{"name":"revocations","ready":true},{"name":"signing-0","ready":true,"unstored":` + n + `}]}}`}
	}
	f := newFakeServer(t, map[string][]answer{
		"POST /jwt/signing-keys": {{http.StatusAccepted, unstored}}, "GET /jwt/status": {status("1"), status("1"), status("0")},
	})
	got := parseJSON[admin.SigningAnswer](t, runJWT(t, "", "rotate", "--retire-now", "--yes", "--json", "--address", f.address).want(t, 0).out)
	if !got.Stored || len(f.requests()) != 4 {
		t.Errorf("%+v %v", got, f.requests())
	}
	f = newFakeServer(t, map[string][]answer{"POST /jwt/signing-keys": {{http.StatusAccepted, unstored}}, "GET /jwt/status": {status("1")}})
	r := runJWT(t, "", "rotate", "--retire-now", "--yes", "--address", f.address)
	if r.code != 1 || r.out != "a3\n" || !strings.Contains(r.err, "on this node only") || !strings.Contains(r.err, "don't call the command again") {
		t.Errorf("%+v", r)
	}
}

func TestRotateEscapesWhatTheServerSays(t *testing.T) {
	t.Parallel()
	for _, part := range []string{`"a2"`, `"a3"`, `"tokens stay valid"`} {
		f := answering(t, "POST /jwt/signing-keys", http.StatusOK, strings.Replace(rotated, part, `"mark\u001b[2J"`, 1))
		r := runJWT(t, "", "rotate", "--address", f.address).want(t, 0)
		checkSafe(t, part, r.out+r.err)
	}
	f := answering(t, "GET /jwt/signing-keys", http.StatusOK, strings.ReplaceAll(signingKeys, `"kid":"a1"`, `"kid":"mark\u001b[2J"`))
	r := runJWT(t, "", "rotate", "--retire-now", "--issuer", "https://a.example", "--address", f.address).want(t, 1)
	checkSafe(t, "a kid", r.err)
}

func TestStatusShowsServices(t *testing.T) {
	t.Parallel()
	f := answering(t, "GET /jwt/status", http.StatusOK, `{"issuers":[],"api_keys":[],"services":[
		{"issuer":"https://a.example","use":"service","signing_kid":"a1","next_rotation":"2020-01-02T03:04:05Z"},
		{"issuer":"https://a.example","use":"forward","signing_kid":"","next_rotation":"2100-01-02T03:04:05Z"},
		{"issuer":"mark\u001b[2J","use":"service","signing_kid":"b1"}]}`)
	r := runJWT(t, "", "status", "--address", f.address).want(t, 0)
	for _, part := range []string{"TOKEN SERVICE", "https://a.example", "a1", "overdue since 2020-01-02T03:04:05Z", "forward", "in "} {
		if !strings.Contains(r.out, part) {
			t.Errorf("%q is not in %s", part, r.out)
		}
	}
	checkSafe(t, "the issuer", r.out)
}
