package claims_test

import (
	"slices"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

func TestAccessToken(t *testing.T) {
	t.Parallel()
	type kind struct {
		says   bool
		others []string
	}
	for name, test := range map[string]struct {
		answer string
		bound  bool
		want   kind
	}{
		"no member":                     {`{"active":true,"sub":"s"}`, false, kind{false, nil}},
		"RFC 7662's":                    {`{"token_type":"Bearer"}`, false, kind{true, nil}},
		"in capitals, with application": {`{"typ":"APPLICATION/AT+JWT"}`, false, kind{true, nil}},
		"how it is written":             {`{"typ":"JWT","token_type":"urn:ietf:params:oauth:token-type:jwt"}`, false, kind{false, nil}},
		"null":                          {`{"token_type":null,"typ":"Bearer"}`, false, kind{true, nil}},
		"Hydra's refresh token":         {`{"token_type":"Bearer","token_use":"refresh_token"}`, false, kind{true, []string{"token_use"}}},
		"Cognito's ID token":            {`{"token_use":"id"}`, false, kind{false, []string{"token_use"}}},
		"OpenIddict's refresh token":    {`{"token_usage":"refresh_token"}`, false, kind{false, []string{"token_usage"}}},
		"Keycloak's offline token":      {`{"typ":"Offline","token_type":"Bearer"}`, false, kind{true, []string{"typ"}}},
		"several":                       {`{"typ":"ID","token_type":"mac"}`, false, kind{false, []string{"token_type", "typ"}}},
		"bound, to nothing":             {`{"token_type":"DPoP","typ":"DPoP"}`, false, kind{false, []string{"token_type", "typ"}}},
		"bound":                         {`{"token_type":"DPoP"}`, true, kind{true, nil}},
		"a list":                        {`{"token_type":["Bearer"]}`, false, kind{false, []string{"token_type"}}},
		"empty":                         {`{"token_type":""}`, false, kind{false, []string{"token_type"}}},
		"a longer path":                 {`{"typ":"application/x/at+jwt"}`, false, kind{false, []string{"typ"}}},
		"a space":                       {`{"token_type":"Bearer "}`, false, kind{false, []string{"token_type"}}},
	} {
		answer, err := claims.ParseObject([]byte(test.answer))
		if err != nil {
			t.Fatal(err)
		}
		if says, others := claims.AccessToken(answer, test.bound); says != test.want.says || !slices.Equal(others, test.want.others) {
			t.Errorf("%s: %t, %q; want %t, %q", name, says, others, test.want.says, test.want.others)
		}
	}
}
