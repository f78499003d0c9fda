package explain

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

func TestSecondOpinion(t *testing.T) {
	t.Parallel()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.ParsePEM(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	sign := func(change func(*jwt.Token, jwt.MapClaims)) string {
		claims := jwt.MapClaims{"iss": "https://issuer.example/", "aud": "api", "sub": "alice-secret", "exp": now.Add(time.Hour).Unix()}
		token := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
		change(token, claims)
		text, err := token.SignedString(private)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		token   string
		policy  func(*validator.Policy)
		accepts bool
		err     string
		why     string
	}{
		"good":              {sign(func(*jwt.Token, jwt.MapClaims) {}), nil, true, "", ""},
		"expired":           {sign(func(_ *jwt.Token, c jwt.MapClaims) { c["exp"] = now.Add(-time.Hour).Unix() }), nil, false, "expired", ""},
		"another audience":  {sign(func(_ *jwt.Token, c jwt.MapClaims) { c["aud"] = "other" }), nil, false, "audience", ""},
		"forged":            {sign(func(*jwt.Token, jwt.MapClaims) {})[:150] + strings.Repeat("A", 86), nil, false, "", ""},
		"another typ":       {sign(func(t *jwt.Token, _ jwt.MapClaims) { t.Header["typ"] = "logout+jwt" }), nil, true, "", "does not look at typ"},
		"bound":             {sign(func(_ *jwt.Token, c jwt.MapClaims) { c["cnf"] = map[string]any{"jkt": "x"} }), nil, true, "", "does not look at cnf"},
		"without a user":    {sign(func(_ *jwt.Token, c jwt.MapClaims) { delete(c, "sub") }), nil, true, "", "user_claim"},
		"lives too long":    {sign(func(*jwt.Token, jwt.MapClaims) {}), func(p *validator.Policy) { p.MaxLifetime = time.Minute }, true, "", "max_lifetime"},
		"critical":          {sign(func(t *jwt.Token, _ jwt.MapClaims) { t.Header["crit"] = []string{"x"} }), nil, true, "", "crit"},
		"another claim":     {sign(func(_ *jwt.Token, c jwt.MapClaims) { c["client"] = "x" }), func(p *validator.Policy) { p.AudienceClaims = []string{"client"} }, true, "", "aud alone"},
		"no expiry allowed": {sign(func(_ *jwt.Token, c jwt.MapClaims) { delete(c, "exp") }), func(p *validator.Policy) { p.AllowNoExpiry = true }, true, "", ""},
		"not a token":       {"alice-secret", nil, false, "malformed", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			keys := make([]key.Key, len(public))
			for i := range public {
				keys[i] = public[i]
			}
			policy := validator.Policy{Issuer: "https://issuer.example/", Audience: []string{"api"}, Keys: keystore.NewStatic(keystore.NewSet(keys)), Leeway: time.Minute}
			if c.policy != nil {
				c.policy(&policy)
			}
			v, err := validator.New([]validator.Policy{policy}, func() time.Time { return now })
			if err != nil {
				t.Fatal(err)
			}
			p, ok := v.PolicyFor(c.token)
			if !ok {
				t.Fatal("no policy")
			}
			o := SecondOpinion(t.Context(), p, c.token, now, v.Explain(t.Context(), c.token))
			if o == nil || !o.Asked || o.Accepts != c.accepts || !strings.Contains(o.Error, c.err) || (o.Error == "") != c.accepts {
				t.Fatalf("%+v", o)
			}
			if !strings.Contains(o.Why, c.why) || c.why == "" && o.Why != "" {
				t.Errorf("why %q, want %q", o.Why, c.why)
			}
			if strings.Contains(o.Error+o.Why, "alice") || strings.Contains(o.Error, "other") {
				t.Errorf("%+v has a part of the token", o)
			}
		})
	}
}

func TestSecondOpinionIsNotAskedWithSecrets(t *testing.T) {
	t.Parallel()
	o := SecondOpinion(t.Context(), validator.Policy{Symmetric: true}, "a.b.c", time.Now(), nil)
	if o == nil || o.Asked || o.Accepts || !strings.Contains(o.Why, "not asked") {
		t.Errorf("%+v", o)
	}
}
