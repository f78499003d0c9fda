package main

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// agents is what resources, messages of the Model Context Protocol, opaque tokens and tenants
// cost.
type agents struct {
	// Rows are whole servers beside each other.
	Rows    []row `json:"rows"`
	Rounds  int   `json:"rounds"`
	Seconds int   `json:"seconds"`
	// Steps are the Go benchmarks.
	Steps *goBenches `json:"steps"`
}

// The rows by name.
const (
	everythingOn  = "HTTPS, RS256 token seen before, a site with everything, beside one without"
	everythingGET = "the same, its GET judged by `mcp`"
	opaqueSeen    = "HTTPS, opaque token seen before, beside a JWT seen before"
	messageOf     = "HTTPS, POST of %d KiB, with `mcp` beside without"
)

// messageSizes are those of the messages, in KiB.
var messageSizes = []int{1, 4, 16, 256}

// agentBenches are the Go benchmarks, by package.
var agentBenches = map[string][]string{".": {"MCP", "Opaque"}, "./internal/rule": {"ScopeRules"}}

// opaqueToken is what no validator can read.
const opaqueToken = "ory_at_Zk3mVq0Xw8sT5bN1yRc7uJ2dLhGf4aPe.Q9vKxM6tYzBnWcDr"

func (b *bench) agents() (*agents, error) {
	a := &agents{Rounds: b.rounds, Seconds: b.seconds}
	endpoint := httptest.NewServer(http.HandlerFunc(answerIntrospection))
	defer endpoint.Close()
	list, err := b.agentRows(endpoint.URL)
	if err != nil {
		return nil, err
	}
	if a.Rows, err = b.rows(list); err != nil {
		return nil, err
	}
	a.Steps = &goBenches{Values: map[string]map[string][]float64{}}
	for _, name := range slices.Sorted(maps.Keys(agentBenches)) {
		g, err := b.goBench(b.root, pattern(agentBenches[name]), b.benchTime, name)
		if err != nil {
			return nil, err
		}
		maps.Copy(a.Steps.Values, g.Values)
	}
	return a, nil
}

// answerIntrospection says of each token that it is good, with the claims of a usual one.
func answerIntrospection(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	now := time.Now()
	_, _ = fmt.Fprintf(w, `{"active":true,"token_type":"Bearer","iss":"http://127.0.0.1","aud":[%q],"sub":"auth0|%024d","client_id":"my-client-id-of-32-characters-xx",`+
		`"iat":%d,"exp":%d,"scope":"openid profile email orders:read orders:write","roles":["admin","editor"]}`,
		audience, 0, now.Unix(), now.Add(12*time.Hour).Unix())
}

// agentRows starts the servers and says what is sent to them. endpoint is that of the
// introspection.
func (b *bench) agentRows(endpoint string) ([]*comparison, error) {
	text, err := token(jwt.SigningMethodRS256, b.keys.rsa, 0)
	if err != nil {
		return nil, err
	}
	bearer := func(name, text string) (credential, error) {
		c := credential{file: b.file(name), header: "Authorization", prefix: "Bearer "}
		return c, os.WriteFile(c.file, []byte(text+"\n"), 0o600)
	}
	seen, err := bearer("agents-seen.txt", text)
	if err != nil {
		return nil, err
	}
	opaque, err := bearer("agents-opaque.txt", opaqueToken)
	if err != nil {
		return nil, err
	}
	const (
		ok    = "\nbody_read\nrespond ok"
		rules = "require scope orders:read\nforward user X-User\n"
		mcp   = "mcp {\ntool delete_* {\nrequire scope orders:write\n}\ntool read_* list_* {\nrequire scope orders:read\n}\nmethod tools/* {\nrequire scope openid\n}\ndefault deny\n}\n"
	)
	signed := fmt.Sprintf("issuer %s {\npublic_key %q\naudience %s\n}\n", issuer, b.keys.rsaFile, audience)
	asked := fmt.Sprintf("issuer http://127.0.0.1 {\nintrospection %s/introspect {\ncache 1h\n}\naudience %s\n}\n", endpoint, audience)
	everything := signed + asked + fmt.Sprintf("issuer https://login.example.com/{tid}/v2.0 {\npublic_key %q\naudience %s\ntenants *\n}\n", b.keys.ecFile, audience) +
		"resource https://127.0.0.1:{PORT} {\nauthorization_servers " + strings.TrimSuffix(issuer, "/") + "\n}\nscope_implies admin orders:write\nscope_implies orders:write orders:read\n"
	site := func(name, directives string) (*server, error) {
		return b.startCaddy(name, "https", "", directives+ok)
	}
	plain := "jwt {\n" + signed + rules + "}"
	type pair struct {
		comparison
		bareSite, withSite string
	}
	pairs := []pair{
		{comparison{name: everythingOn, credential: seen}, plain, "jwt {\n" + everything + rules + "}\njwt /mcp {\n" + signed + rules + mcp + "}"},
		{comparison{name: everythingGET, credential: seen}, plain, "jwt {\n" + everything + rules + mcp + "}"},
		{comparison{name: opaqueSeen, credential: opaque, bareCredential: &seen}, plain, "jwt {\n" + asked + rules + "}"},
	}
	for _, kib := range messageSizes {
		sent := seen
		sent.body = b.file(fmt.Sprintf("message-%d.json", kib))
		if err := os.WriteFile(sent.body, toolCall(kib<<10), 0o600); err != nil {
			return nil, err
		}
		pairs = append(pairs, pair{comparison{name: fmt.Sprintf(messageOf, kib), credential: sent}, plain, "jwt {\n" + signed + rules + mcp + "}"})
	}
	var list []*comparison
	for n, p := range pairs {
		one := p.comparison
		if one.bare, err = site(fmt.Sprintf("agents-bare-%d", n), p.bareSite); err != nil {
			return nil, err
		}
		if one.with, err = site(fmt.Sprintf("agents-with-%d", n), p.withSite); err != nil {
			return nil, err
		}
		list = append(list, &one)
	}
	return list, nil
}

// toolCall is a call of a tool whose message has this size.
func toolCall(size int) []byte {
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_note","arguments":{"text":"%s"}}}`
	return fmt.Appendf(nil, call, strings.Repeat("Some words of a note, and more. ", size/32+1)[:size-len(call)+2])
}
