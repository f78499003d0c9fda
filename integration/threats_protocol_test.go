package integration

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// A refused request that looks like gRPC is never a success for a server that asks this
// one whether a request may pass.
func TestThreat51_GRPCRefusalsAreNoSuccess(t *testing.T) {
	t.Parallel()
	const auth = `
	jwt {
		issuer {$ISSUER} {
			ca {$CA}
		}
		audience https://api.example.test
		%s
	}
	handle_errors {
		respond "page"
	}
`
	front := func(host, auth string) string {
		return fmt.Sprintf(`https://%s {
	forward_auth https://localhost:{$PORT} {
		uri /check
		header_up Host %s
		transport http {
			tls_insecure_skip_verify
			tls_server_name %s
			versions 1.1 2
		}
	}
	respond SECRET
}
`, host, auth, auth)
	}
	s := newFixture(t, "https://auth.example.test {"+fmt.Sprintf(auth, "")+"}\nhttps://grpc.example.test {"+fmt.Sprintf(auth, "error_format grpc")+"}\n", options{}, keys(t).RS256)
	port := s.address()[strings.LastIndex(s.address(), ":")+1:]
	s.mustReload(t, "https://auth.example.test {"+fmt.Sprintf(auth, "")+"}\nhttps://grpc.example.test {"+fmt.Sprintf(auth, "error_format grpc")+"}\n"+
		strings.ReplaceAll(front("front.example.test", "auth.example.test")+front("frontgrpc.example.test", "grpc.example.test"), "{$PORT}", port))
	kinds := []string{"application/grpc", "application/grpc+proto", "Application/GRPC", "application/grpc-web", "application/grpc-web+proto", "application/grpc;x=y"}
	for _, version := range []protocol{http1, http2, h3} {
		client := s.client(version)
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			for _, kind := range kinds {
				for _, te := range []string{"", "trailers"} {
					for _, host := range []string{"auth.example.test", "grpc.example.test", "front.example.test", "frontgrpc.example.test"} {
						changes := []change{header("Content-Type", kind)}
						if te != "" {
							changes = append(changes, header("TE", te))
						}
						a := s.send(t, client, method, host, "/", changes...)
						call := host == "grpc.example.test" && method == http.MethodPost && te != "" && version != http1 && !strings.Contains(kind, "web")
						if strings.Contains(a.body, "SECRET") || (a.status < 300) != call || call && a.header.Get("Grpc-Status") != "16" {
							t.Errorf("%v %s %s %q at %s: %d %v %s", version, method, kind, te, host, a.status, a.header, a.body)
						}
					}
				}
			}
		}
	}
	for _, c := range []struct {
		name, host string
		metadata   []string
		code       codes.Code
		text       string
	}{
		{"no token", "auth.example.test", nil, codes.Unauthenticated, "a token is required, in the header Authorization with the scheme Bearer"},
		{"an opaque one", "auth.example.test", []string{"authorization", "Bearer x"}, codes.Unauthenticated, "the token is not a JWT"},
		{"an empty one", "auth.example.test", []string{"authorization", "Bearer"}, codes.InvalidArgument, "the request has an empty credential"},
		{"no token, with 200", "grpc.example.test", nil, codes.Unauthenticated, "a token is required, in the header Authorization with the scheme Bearer"},
	} {
		ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), c.metadata...), 10*time.Second)
		_, _, err := callGRPC(ctx, s.dialGRPC(t, c.host), "/shop.Orders/Get")
		cancel()
		if got := status.Convert(err); got.Code() != c.code || got.Message() != c.text {
			t.Errorf("%s: %v %q; want %v %q", c.name, got.Code(), got.Message(), c.code, c.text)
		}
	}
}

// wellFormed is one challenge: a scheme and quoted parameters.
var wellFormed = regexp.MustCompile(`^(Bearer|Basic|ApiKey) [a-z_]+="(?:[^"\\]|\\["\\])*"(?:, [a-z_]+="(?:[^"\\]|\\["\\])*")*$`)

// Whatever is in the config, each challenge is one well-formed line, and Bearer comes first.
func TestThreat54_ChallengesAreWellFormed(t *testing.T) {
	t.Parallel()
	held := peers.NewAPIKey(t, "partner", nil)
	sites := func(realm, scope string) string {
		text := ""
		for host, options := range map[string]string{
			"tokens": "issuer {$ISSUER} {\nca {$CA}\n}\naudience https://api.example.test", "keys": "api_keys {$KEYS}\napi_key_from basic",
			"resource": "issuer {$ISSUER} {\nca {$CA}\n}\napi_keys {$KEYS}\napi_key_from header X-API-Key\napi_key_from basic\nresource https://mcp.example.test/mcp",
			"both":     "issuer {$ISSUER} {\nca {$CA}\n}\naudience https://api.example.test\napi_keys {$KEYS}\napi_key_from header X-API-Key\napi_key_from basic",
		} {
			text += "https://" + host + ".example.test {\njwt {\n" + options + "\nrealm " + realm + "\nrequire scope " + scope + "\n}\nrespond ok\n}\n"
		}
		return text
	}
	s, _ := newAPIKeyFixture(t, sites("api", "a"), options{}, held)
	for _, c := range [][2]string{{"`a\"b`", "a"}, {"`a, Basic realm b`", "a"}, {"`a\\b`", "a:b/c,d;e=f"}, {"`' OR 1`", "x"}} {
		s.mustReload(t, sites(c[0], c[1]))
		for host, schemes := range map[string]string{"tokens": "Bearer", "keys": "ApiKey Basic", "both": "Bearer Basic", "resource": "Bearer Basic"} {
			for _, changes := range [][]change{nil, {bearer("x")}, {apiKey(held.Text)}, {basic("x", held.Text)}, {basic("x", "unknown")}} {
				a := s.send(t, s.http, http.MethodGet, host+".example.test", "/", changes...)
				if a.status != 401 && a.status != 403 {
					t.Fatalf("%s: status %d", host, a.status)
				}
				var got []string
				for _, line := range a.header.Values("WWW-Authenticate") {
					scheme, _, _ := strings.Cut(line, " ")
					got = append(got, scheme)
					if !wellFormed.MatchString(line) {
						t.Errorf("%s with %q: %s", host, c, line)
					}
				}
				if want := "https://mcp.example.test" + metadataPlace + "/mcp"; host == "resource" && (asScriptReads(a, "resource_metadata") != want || asScriptReads(a, "scope") != c[1]) {
					t.Errorf("%q: clients find %q and %q in %v", c, asScriptReads(a, "resource_metadata"), asScriptReads(a, "scope"), a.header)
				}
				if strings.Join(got, " ") != schemes {
					t.Errorf("%s: the schemes are %v, want %s", host, got, schemes)
				}
			}
		}
	}
	for _, c := range [][2]string{{"a=b", "a"}, {"\"a\r\nb\"", "a"}, {"ä", "a"}, {"api", "`a\"b`"}, {"api", "`a\\b`"}, {"api", "ä"}, {"api", "\"a b\""}} {
		if err := s.reload(sites(c[0], c[1])); err == nil {
			t.Errorf("the realm %q and the scope %q load", c[0], c[1])
		}
	}
	site := func(url string) string {
		return "https://tokens.example.test {\njwt {\nissuer {$ISSUER} {\nca {$CA}\n}\nresource " + url + "\n}\nrespond ok\n}\n"
	}
	s.mustReload(t, site("https://mcp.example.test/mcp"))
	for _, url := range []string{
		"`https://mcp.example.test/a\"b`", "`https://mcp.example.test/a, Basic realm=\"b`", "\"https://mcp.example.test/a\r\nb\"", "https://mcp.example.test/scope=all",
		"`https://mcp.example.test/a\\b`", "https://mcp.example.test/ä", "`https://mcp.exam\"ple.test/a`", "https://mcp.example.test/a,b",
	} {
		if err := s.reload(site(url)); err == nil {
			t.Errorf("the resource %s loads", url)
		}
	}
}
