package integration

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// revocationModes are sites that take the same credentials and treat refusals differently.
const revocationModes = `
(both) {
	import issuer
	api_keys partners
}
https://api.example.test {
	jwt {
		import both
	}
	import keyholder
	import reasons
}
https://report.example.test {
	jwt {
		import both
		mode report
	}
	import keyholder
}
https://optional.example.test {
	jwt {
		import both
		optional
	}
	import keyholder
	import reasons
}
https://preflight.example.test {
	jwt {
		import both
		allow_preflight
	}
	import keyholder
	import reasons
}
https://cookie.example.test {
	jwt {
		import both
		token_from cookie session
		api_key_from cookie key
	}
	import keyholder
	import reasons
}
https://inner.example.test {
	jwt {
		import both
		mode report
	}
	route {
		jwt {
			import both
		}
		import keyholder
	}
	import reasons
}
https://outer.example.test {
	jwt {
		import both
	}
	route {
		jwt {
			import both
			optional
		}
		import keyholder
	}
	import reasons
}
https://grpc.example.test {
	jwt {
		import both
		error_format grpc
	}
	import keyholder
}
https://aws.example.test {
	jwt {
		import both
		error_format aws
	}
	import keyholder
}
`

// What is revoked is refused however a site takes credentials and answers refusals.
func TestRevocationInEveryMode(t *testing.T) {
	t.Parallel()
	for name, global := range map[string]string{
		"with a cache": sharedState, "without a cache": strings.Replace(sharedState, "{", "{\n\t\tcache off", 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if cacheOff && name == "without a cache" {
				return // the other one has none either
			}
			testRevocationModes(t, newSharedFixture(t, revocationModes, options{global: global}, keys(t).RS256))
		})
	}
}

func testRevocationModes(t *testing.T, s *fixture) {
	k := keys(t)
	good, token := k.RS256.Token(t, s.claims(map[string]any{"jti": "good"}), nil), k.RS256.Token(t, s.claims(map[string]any{"jti": "bad"}), nil)
	goodKey, key := s.makeKey(t, nil), s.makeKey(t, nil)
	send := func(t *testing.T, method, host string, changes ...change) answer {
		t.Helper()
		s.upstream.Take()
		return s.send(t, s.http, method, host, "/", changes...)
	}
	hosts := []string{site, "report.example.test", "optional.example.test", "preflight.example.test", "inner.example.test", "outer.example.test", "grpc.example.test", "aws.example.test"}
	for _, host := range hosts {
		checkStatus(t, send(t, http.MethodGet, host, bearer(token)), http.StatusOK)
		checkStatus(t, send(t, http.MethodGet, host, apiKey(key.Key)), http.StatusOK)
	}
	s.addRule(t, object{"kind": "jti", "value": "bad"})
	s.addRule(t, object{"kind": "key", "value": key.ID})

	t.Run("a token and a key in one request", func(t *testing.T) {
		checkStatus(t, send(t, http.MethodGet, site, bearer(good), apiKey(goodKey.Key)), http.StatusOK)
		for what, changes := range map[string][]change{
			"the token is revoked": {bearer(token), apiKey(goodKey.Key)},
			"the key is revoked":   {bearer(good), apiKey(key.Key)},
			"both are":             {bearer(token), apiKey(key.Key)},
		} {
			a := send(t, http.MethodGet, site, changes...)
			if checkReason(t, a, http.StatusUnauthorized, "revoked"); len(s.upstream.Take()) != 0 {
				t.Errorf("%s: the upstream was asked", what)
			}
		}
	})
	for _, host := range []string{site, "optional.example.test", "preflight.example.test", "inner.example.test", "outer.example.test"} {
		t.Run(host, func(t *testing.T) {
			for _, credential := range []change{bearer(token), apiKey(key.Key)} {
				s.refused(t, send(t, http.MethodGet, host, credential), http.StatusUnauthorized, "revoked")
			}
			checkStatus(t, send(t, http.MethodGet, host, bearer(good)), http.StatusOK)
			checkStatus(t, send(t, http.MethodGet, host, apiKey(goodKey.Key)), http.StatusOK)
		})
	}
	t.Run("mode report", func(t *testing.T) {
		for _, credential := range []change{bearer(token), apiKey(key.Key)} {
			mark := s.logs.mark()
			seen := send(t, http.MethodGet, "report.example.test", credential).upstream(t)
			checkHeaders(t, seen.Header, map[string]string{"X-User": "", "X-Key-Id": ""})
			s.logs.mark()
			found := false
			for _, e := range s.logs.since(mark) {
				found = found || e.Msg == "request would be refused" && strings.Contains(e.line, `"revoked"`)
			}
			if !found {
				t.Error("the log does not say that the request would be refused")
			}
		}
	})
	t.Run("a preflight brings nothing in", func(t *testing.T) {
		origin, method := header("Origin", "https://app.example.test"), header("Access-Control-Request-Method", "GET")
		seen := send(t, http.MethodOptions, "preflight.example.test", bearer(token), origin, method).upstream(t)
		checkHeaders(t, seen.Header, map[string]string{"X-User": "", "Authorization": ""})
		s.refused(t, send(t, http.MethodOptions, "preflight.example.test", bearer(token), origin), http.StatusUnauthorized, "revoked")
		s.refused(t, send(t, http.MethodOptions, site, bearer(token), origin, method), http.StatusUnauthorized, "revoked")
	})
	t.Run("cookies", func(t *testing.T) {
		const host = "cookie.example.test"
		checkStatus(t, send(t, http.MethodGet, host, cookie("session", good)), http.StatusOK)
		checkStatus(t, send(t, http.MethodGet, host, cookie("key", goodKey.Key)), http.StatusOK)
		s.refused(t, send(t, http.MethodGet, host, cookie("session", token)), http.StatusUnauthorized, "revoked")
		s.refused(t, send(t, http.MethodGet, host, cookie("key", key.Key)), http.StatusUnauthorized, "revoked")
	})
	t.Run("gRPC", func(t *testing.T) {
		for _, pair := range [][]string{{"authorization", "Bearer " + token}, {"x-api-key", key.Key}} {
			ctx, cancel := context.WithTimeout(metadata.AppendToOutgoingContext(t.Context(), pair...), 10*time.Second)
			_, _, err := callGRPC(ctx, s.dialGRPC(t, "grpc.example.test"), "/shop.Orders/Get")
			cancel()
			if got := status.Convert(err); got.Code() != codes.Unauthenticated {
				t.Errorf("%s: %v %q", pair[0], got.Code(), got.Message())
			}
		}
	})
	t.Run("every protocol", func(t *testing.T) {
		for _, version := range []protocol{http1, http2, h3} {
			for _, credential := range []change{bearer(token), apiKey(key.Key)} {
				s.refused(t, s.send(t, s.client(version), http.MethodGet, site, "/", credential), http.StatusUnauthorized, "revoked")
			}
		}
	})
	t.Run("the text for a token", func(t *testing.T) {
		if a := send(t, http.MethodGet, "aws.example.test", bearer(token)); a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			t.Errorf("status %d", a.status)
		}
	})
}
