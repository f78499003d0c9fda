package integration

import (
	"crypto/ecdsa"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// A client's assertion is for this service alone, lives for minutes, is used once and is
// signed with the client's own key.
func TestThreat70_AssertionsAreForThisServiceAndOnce(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t), nil)
	k := keys(t)
	key := n.newClientKey(t, nil)
	access := n.minted(t, key)
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	id := "deployer"
	claim := func(name string, value any) string { return assertion(t, id, object{name: value}, nil) }
	typ := func(value any) string { return assertion(t, id, nil, object{"typ": value}) }
	public, ok := k.ES256.Private.Public().(*ecdsa.PublicKey)
	if !ok {
		t.Fatal("the key is no EC key")
	}
	point, err := public.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	good := object{"iss": id, "sub": id, "aud": authIssuer, "iat": at(0), "exp": at(time.Minute), "jti": "hmac"}
	endpoint := authIssuer + tokenPath
	forms := map[string]string{
		"aud is the endpoint":                 claim("aud", endpoint),
		"aud is the endpoint, in an array":    claim("aud", []string{endpoint}),
		"aud is the issuer and the endpoint":  claim("aud", []string{authIssuer, endpoint}),
		"aud is the issuer twice":             claim("aud", []string{authIssuer, authIssuer}),
		"aud is the issuer with a slash":      claim("aud", authIssuer+"/"),
		"aud is the issuer in capitals":       claim("aud", strings.ToUpper(authIssuer)),
		"aud is another issuer":               claim("aud", "https://auth.other.test"),
		"aud is a resource":                   claim("aud", audience),
		"aud is the issuer of forward tokens": claim("aud", authIssuer+"/forward"),
		"no aud":                              claim("aud", nil),
		"an empty aud":                        claim("aud", []string{}),
		"aud is any":                          claim("aud", "*"),
		"iss is another client":               claim("iss", "console"),
		"iss is the service":                  claim("iss", authIssuer),
		"no iss":                              claim("iss", nil),
		"sub is another client":               claim("sub", "console"),
		"no sub":                              claim("sub", nil),
		"no exp":                              claim("exp", nil),
		"expired":                             claim("exp", at(-5*time.Minute)),
		"exp an hour ahead":                   claim("exp", at(time.Hour)),
		"exp ten minutes ahead":               claim("exp", at(10*time.Minute)),
		"nbf ahead":                           claim("nbf", at(10*time.Minute)),
		"no jti":                              claim("jti", nil),
		"an empty jti":                        claim("jti", ""),
		"jti is a number":                     claim("jti", 1),
		"typ at+jwt":                          typ("at+jwt"),
		"typ dpop+jwt":                        typ("dpop+jwt"),
		"typ forward+jwt":                     typ("forward+jwt"),
		"typ logout+jwt":                      typ("logout+jwt"),
		"typ is a number":                     typ(1),
		"of an unknown client":                assertion(t, "nobody", nil, nil),
		"signed by another key":               peers.NewKey(t, "ES256", "").Token(t, good, nil),
		"signed by an RSA key":                k.RS256.Named("").Token(t, good, nil),
		"alg none":                            peers.WithSignature(k.ES256.Named("").SigningInput(t, good, object{"alg": "none"}), nil),
		"HMAC with the public key":            peers.HMAC(t, "HS256", point, good, nil),
		"HMAC with its PEM":                   peers.HMAC(t, "HS256", k.ES256.PublicPEM(t), good, nil),
		"HMAC with the PEM's DER":             peers.HMAC(t, "HS256", block(k.ES256.PublicPEM(t)), good, nil),
		"a key in the header":                 withOwnKey(t, good),
		"an access token of the service":      access,
		"the client's access token":           n.form(t, tokenPath, asserted(assertion(t, id, nil, nil))).token(t),
		"an ID token for the client":          k.RS256.Token(t, peers.Claims(firstIDP, id, object{"nonce": "n", "azp": id}), nil),
		"a proof of possession":               dpopProof(t, endpoint),
		"no JWT":                              "assertion",
		"no signature":                        strings.TrimSuffix(assertion(t, id, nil, nil), "A") + ".",
		"empty":                               "",
		"six kilobytes":                       strings.Repeat("a", 6<<10) + ".a.a",
	}
	// Each from a network of its own: failures of one would have the next refused unread.
	network := 0
	elsewhere := func() change {
		network++
		return from(fmt.Sprintf("10.%d.%d.7", network/200, network%200))
	}
	for what, text := range forms {
		t.Run(what, func(t *testing.T) {
			codes := []string{"invalid_client"}
			if text == "" {
				codes = append(codes, "invalid_request")
			}
			n.form(t, tokenPath, asserted(text), elsewhere()).noToken(t, codes...)
			n.form(t, introspectPath, append(asserted(text)[2:], "token", access), elsewhere()).noToken(t, codes...)
		})
	}
	t.Run("the type of another assertion", func(t *testing.T) {
		n.form(t, tokenPath, []string{"grant_type", grantBearer, "assertion", assertion(t, id, nil, nil)}, elsewhere()).noToken(t, "invalid_grant")
	})
	t.Run("what is right, and only once", func(t *testing.T) {
		for what, text := range map[string]string{
			"as it is": assertion(t, id, nil, nil), "aud in an array": claim("aud", []string{authIssuer}), "without typ": typ(nil), "of its type": typ("client-authentication+jwt"),
		} {
			token := n.form(t, tokenPath, asserted(text)).token(t)
			n.is(t, what, n.at(site, token), accepted)
			n.form(t, tokenPath, asserted(text)).noToken(t, "invalid_client")
			n.form(t, introspectPath, append(asserted(text)[2:], "token", access)).noToken(t, "invalid_client")
		}
	})
	t.Run("the same jti of another client is another one", func(t *testing.T) {
		for _, id := range []string{"deployer", "console"} {
			n.form(t, tokenPath, asserted(assertion(t, id, object{"jti": "the same"}, nil))).token(t)
		}
	})
	t.Run("the endpoint as audience is for the client that says so", func(t *testing.T) {
		n.form(t, tokenPath, asserted(assertion(t, "legacy", object{"aud": endpoint}, nil))).token(t)
		n.form(t, tokenPath, asserted(assertion(t, "legacy", object{"aud": []string{authIssuer, endpoint}}, nil)), elsewhere()).noToken(t, "invalid_client")
	})
}

func block(text []byte) []byte {
	b, _ := pem.Decode(text)
	return b.Bytes
}

// withOwnKey is signed with a key that the header brings along.
func withOwnKey(t *testing.T, claims object) string {
	t.Helper()
	k := peers.NewKey(t, "ES256", "")
	return k.Token(t, claims, object{"jwk": k.JWK()})
}

// dpopProof is a proof of possession (RFC 9449) of the client's key.
func dpopProof(t *testing.T, endpoint string) string {
	t.Helper()
	k := keys(t).ES256.Named("")
	return k.Token(t, object{"htm": "POST", "htu": endpoint, "iat": time.Now().Unix(), "jti": "proof"}, object{"typ": "dpop+jwt", "jwk": k.JWK()})
}

// platformToken is a good token of GitHub for the job that may deploy, with changes.
func platformToken(t *testing.T, claims, headers object) string {
	t.Helper()
	all := object{
		"sub": "repo:acme@1/shop@1001:ref:refs/heads/main", "repository": "acme/shop", "repository_id": "1001", "repository_owner_id": "1",
		"ref": "refs/heads/main", "event_name": "push", "exp": time.Now().Add(5 * time.Minute).Unix(), "jti": "job",
	}
	for name, value := range claims {
		all[name] = value
	}
	return keys(t).RS256.Token(t, peers.Claims(githubIssuer, authIssuer, all), headers)
}

// A platform's token gets one of ours only if it was made for us and is of the job that is
// pinned by what never changes hands.
func TestThreat71_OnlyTheJobThatIsPinned(t *testing.T) {
	t.Parallel()
	n := startService(t, "", attackedSites(t), nil)
	own := n.minted(t, n.newClientKey(t, nil))
	github := func(claims object) string { return platformToken(t, claims, nil) }
	svid := func(claims object) string {
		all := object{"sub": spiffe + "/ci", "iss": nil, "exp": time.Now().Add(5 * time.Minute).Unix()}
		for name, value := range claims {
			all[name] = value
		}
		return keys(t).RS256.Token(t, peers.Claims("", authIssuer, all), nil)
	}
	network := 0
	exchange := func(text string) answer {
		network++ // each from its own, as failures count
		return n.form(t, tokenPath, []string{"grant_type", grantBearer, "assertion", text}, from(fmt.Sprintf("10.71.%d.7", network)))
	}
	for what, text := range map[string]string{
		"for another audience":          github(object{"aud": "https://github.com/acme"}),
		"for a cloud":                   github(object{"aud": "sts.amazonaws.com"}),
		"for us and another":            github(object{"aud": []string{authIssuer, "https://other.example.test"}}),
		"for our resource":              github(object{"aud": audience}),
		"for our endpoint":              github(object{"aud": authIssuer + tokenPath}),
		"of another repository":         github(object{"repository_id": "1002"}),
		"of a new one of the same name": github(object{"repository_id": "2002", "repository": "acme/shop"}),
		"of the owner's next name":      github(object{"repository_owner_id": "2", "repository_id": "1003"}),
		"of a pull request":             github(object{"ref": "refs/pull/7/merge", "event_name": "pull_request"}),
		"of another branch":             github(object{"ref": "refs/heads/main2"}),
		"with the id as a number":       github(object{"repository_id": 1001.5}),
		"with several ids":              github(object{"repository_id": "1001 1002"}),
		"without the claim":             github(object{"repository_id": nil}),
		"expired":                       github(object{"exp": time.Now().Add(-10 * time.Minute).Unix()}),
		"without an end":                github(object{"exp": nil}),
		"that lives for two days":       github(object{"exp": time.Now().Add(48 * time.Hour).Unix()}),
		"of another issuer":             github(object{"iss": "https://token.actions.githubusercontent.test"}),
		"of an organization's issuer":   github(object{"iss": "https://token.actions.githubusercontent.com/acme"}),
		"signed by another key":         keys(t).Stranger.Token(t, peers.Claims(githubIssuer, authIssuer, object{"repository_id": "1001", "ref": "refs/heads/main"}), nil),
		"an access token":               platformToken(t, nil, object{"typ": "at+jwt"}),
		"a forwarded one":               platformToken(t, nil, object{"typ": "forward+jwt"}),
		"an access token of ours":       own,
		"a client's assertion":          assertion(t, "deployer", nil, nil),
		"an SVID of another domain":     svid(object{"sub": "spiffe://other.example.test/ci"}),
		"of a domain that begins alike": svid(object{"sub": "spiffe://prod.example.test.evil.test/ci"}),
		"of another workload":           svid(object{"sub": spiffe + "/web"}),
		"of a path below":               svid(object{"sub": spiffe + "/ci/x"}),
		"of GitHub, without iss":        github(object{"iss": nil}),
		"an SVID for others":            svid(object{"aud": "other"}),
		"an SVID with our iss":          svid(object{"iss": authIssuer}),
		"an SVID with GitHub's iss":     svid(object{"iss": githubIssuer}),
		"garbage":                       "garbage",
	} {
		t.Run(what, func(t *testing.T) { exchange(text).noToken(t, "invalid_grant") })
	}
	t.Run("as a client's own assertion", func(t *testing.T) {
		n.form(t, tokenPath, asserted(github(nil))).noToken(t, "invalid_client")
	})
	t.Run("beside a client's credential", func(t *testing.T) {
		key := n.newClientKey(t, nil)
		n.form(t, tokenPath, []string{"grant_type", grantBearer, "assertion", github(nil)}, clientBasic(key.ID, key.Key)).noToken(t, "invalid_request")
	})
	t.Run("none at all", func(t *testing.T) {
		n.form(t, tokenPath, []string{"grant_type", grantBearer}).noToken(t, "invalid_request", "invalid_grant")
	})
	t.Run("what is right, as often as the platform presents it", func(t *testing.T) {
		for _, text := range []string{github(nil), svid(nil), svid(object{"iss": "https://oidc.example.test"})} {
			for range 2 {
				c := claimsOf(t, exchange(text).token(t))
				if c["client_id"] != "ci" || c["scope"] != "deploy" || audienceOf(c) != audience {
					t.Error(c)
				}
			}
		}
	})
}
