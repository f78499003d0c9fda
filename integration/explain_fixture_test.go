package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// explained is a report of POST /jwt/explain and of `caddy jwt explain --json`, written
// down again from the reference: its members may be added to, and never renamed.
type explained struct {
	Verdict     string `json:"verdict"`
	Reason      string `json:"reason"`
	Detail      string `json:"detail"`
	Requirement string `json:"requirement"`
	Status      int    `json:"status"`
	Remedy      string `json:"remedy"`
	Request     struct {
		Method string `json:"method"`
		Host   string `json:"host"`
		URI    string `json:"uri"`
	} `json:"request"`
	Handlers      []explainedHandler `json:"handlers"`
	Certain       bool               `json:"certain"`
	PassedOver    []string           `json:"passed_over"`
	SecondOpinion *struct {
		Library string `json:"library"`
		Accepts bool   `json:"accepts"`
		Error   string `json:"error"`
		Why     string `json:"why"`
	} `json:"second_opinion"`
	Notes []string `json:"notes"`
	text  string
}

type explainedHandler struct {
	Site        string           `json:"site"`
	Place       int              `json:"place"`
	Of          int              `json:"of"`
	Pointer     string           `json:"pointer"`
	Lines       []string         `json:"lines"`
	Mode        string           `json:"mode"`
	Verdict     string           `json:"verdict"`
	Reason      string           `json:"reason"`
	Detail      string           `json:"detail"`
	Requirement string           `json:"requirement"`
	Status      int              `json:"status"`
	Checks      []explainedCheck `json:"checks"`
	User        string           `json:"user"`
	AuthMethod  string           `json:"auth_method"`
	Issuer      string           `json:"issuer"`
	Scopes      []string         `json:"scopes"`
}

type explainedCheck struct {
	Check   string `json:"check"`
	Outcome string `json:"outcome"`
	Reason  string `json:"reason"`
	Detail  string `json:"detail"`
	Seen    string `json:"seen"`
	Wanted  string `json:"wanted"`
	Option  string `json:"option"`
	Line    string `json:"line"`
}

func (e *explained) String() string { return e.text }

// decisive is the check for which a handler refuses: its first that failed.
func (h *explainedHandler) decisive() explainedCheck {
	for _, c := range h.Checks {
		if c.Outcome == "failed" {
			return c
		}
	}
	return explainedCheck{}
}

// last is the handler that decided.
func (e *explained) last() *explainedHandler {
	if len(e.Handlers) == 0 {
		return &explainedHandler{}
	}
	return &e.Handlers[len(e.Handlers)-1]
}

// shown are what the sites of these tests import: an error route that shows why, and an
// answer that shows the identity.
const shown = `
(shown) {
	handle_errors {
		header X-Reason {http.jwt.reason}
		header X-Detail "{http.jwt.detail}"
		header X-Requirement "{http.jwt.requirement}"
		header X-User {http.auth.user.id}
		header X-Method {http.jwt.auth_method}
		respond "refused" {err.status_code}
	}
}
(in) {
	respond "user={http.auth.user.id}
method={http.jwt.auth_method}
reason={http.jwt.reason}
detail={http.jwt.detail}
requirement={http.jwt.requirement}"
}
(from_issuer) {
	issuer {$ISSUER} {
		ca {$CA}
	}
	audience https://api.example.test
}
`

// explainer is a Caddy whose sites are asked over plain HTTP, and about which people ask why.
type explainer struct {
	*node
	issuer *peers.KeyServer
}

// newExplainer starts an issuer with the keys of the ring, and a Caddy with the sites.
func newExplainer(t *testing.T, sites string, opts options) *explainer {
	t.Helper()
	d := &explainer{issuer: peers.NewKeyServer(t, peers.NewCA(t), keys(t).published()...)}
	opts.env = mergedEnv(map[string]string{"ISSUER": d.issuer.URL, "CA": d.issuer.CA.File}, opts.env)
	d.node = newNode(t, opts)
	sites = strings.ReplaceAll(sites, "{$PLAIN}", strconv.Itoa(d.plain))
	d.sites = shown + sites + "\nhttp://open.example.test {\n\trespond \"open\"\n}\n"
	d.begin()
	d.waitUntilItRuns()
	if strings.Contains(opts.global, "state {") {
		d.whenReady(t)
	}
	return d
}

func mergedEnv(all ...map[string]string) map[string]string {
	env := map[string]string{}
	for _, one := range all {
		maps.Copy(env, one)
	}
	return env
}

// claims of a good token of the issuer.
func (d *explainer) claims(changes map[string]any) map[string]any {
	return peers.Claims(d.issuer.URL, audience, changes)
}

// asked is a request, and what is asked about it.
type asked struct {
	host, method, uri string
	// token or key is the credential in the place that is the default.
	token, key string
	headers    http.Header
	body       string // for the sites with mcp
	emptyBody  bool   // whether it is known that there is none
	introspect bool   // whether the issuer may be asked
}

func (q *asked) withDefaults() {
	if q.method == "" {
		q.method = http.MethodGet
		if q.body != "" || q.emptyBody {
			q.method = http.MethodPost
		}
	}
	if q.uri == "" {
		q.uri = "/"
	}
}

// origin is a site as its own pages name it.
func (n *node) origin(host string) string { return fmt.Sprintf("http://%s:%d", host, n.plain) }

// served is the answer of the server itself.
type served struct {
	status                      int
	reason, detail, requirement string
	user, method                string
}

var shownIn = regexp.MustCompile(`(?m)^(user|method|reason|detail|requirement)=(.*)$`)

// serve sends the request and reads what the server made of it. It may be called from any
// goroutine.
func (d *explainer) serve(q asked) (served, error) {
	q.withDefaults()
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	r, err := http.NewRequest(q.method, d.origin(q.host)+q.uri, body)
	if err != nil {
		return served{}, err
	}
	r.Header = q.headers.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	if q.token != "" {
		r.Header.Add("Authorization", "Bearer "+q.token)
	}
	if q.key != "" {
		r.Header.Add("X-API-Key", q.key)
	}
	res, err := d.client.Do(r)
	if err != nil {
		return served{}, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return served{}, err
	}
	shown := func(text string) string {
		if strings.HasPrefix(text, "{http.") { // as no jwt has judged the request
			return ""
		}
		return text
	}
	header := func(name string) string { return shown(res.Header.Get(name)) }
	s := served{status: res.StatusCode, reason: header("X-Reason"), detail: header("X-Detail"), requirement: header("X-Requirement"), user: header("X-User"), method: header("X-Method")}
	for _, m := range shownIn.FindAllStringSubmatch(string(text), -1) {
		m[2] = shown(m[2])
		switch m[1] {
		case "user":
			s.user = m[2]
		case "method":
			s.method = m[2]
		case "reason":
			s.reason = m[2]
		case "detail":
			s.detail = m[2]
		case "requirement":
			s.requirement = m[2]
		}
	}
	return s, nil
}

// question is the request as the body of POST /jwt/explain. The credential is named as
// such, or in the headers, where the request has it. Of two it is the token.
func (q asked) question(inHeaders bool) object {
	q.withDefaults()
	body := object{"site": q.host, "method": q.method, "uri": q.uri}
	if q.body != "" || q.emptyBody {
		body["body"] = q.body
	}
	if q.introspect {
		body["introspect"] = true
	}
	headers := q.headers.Clone()
	if headers == nil {
		headers = http.Header{}
	}
	if q.token != "" {
		if inHeaders {
			headers.Add("Authorization", "Bearer "+q.token)
		} else {
			body["token"] = q.token
		}
	}
	if q.key != "" {
		if inHeaders || q.token != "" {
			headers.Add("X-API-Key", q.key)
		} else {
			body["api_key"] = q.key
		}
	}
	if len(headers) > 0 {
		body["headers"] = headers
	}
	return body
}

// explain asks POST /jwt/explain. It may be called from any goroutine.
func (n *node) explain(question object) (*explained, error) {
	text, err := json.Marshal(question)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequest(http.MethodPost, "http://"+n.adminAddress()+"/jwt/explain", bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := adminChanges.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("POST /jwt/explain: %d: %s", res.StatusCode, answer)
	}
	e := &explained{text: string(answer)}
	return e, json.Unmarshal(answer, e)
}

// mustExplain is explain where it has to answer.
func (n *node) mustExplain(t *testing.T, question object) *explained {
	t.Helper()
	e, err := n.explain(question)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// dialCounter is a listener that nobody may connect to.
type dialCounter struct {
	addr  string
	dials chan struct{}
}

func newDialCounter(t *testing.T) *dialCounter {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &dialCounter{addr: listener.Addr().String(), dials: make(chan struct{}, 1000)}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
			c.dials <- struct{}{}
		}
	}()
	return c
}

func (c *dialCounter) count() int { return len(c.dials) }
