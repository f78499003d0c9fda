package keystore

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/claims"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ body, want string }{
		"inactive":                    {`{"active":false}`, "inactive"},
		"inactive, with more":         {`{"active":false,"token_use":"refresh_token","iss":"https://other.example"}`, "inactive"},
		"after a byte order mark":     {"\xef\xbb\xbf" + `{"active":false}`, "inactive"},
		"of ZITADEL":                  {`{"active":true,"scope":"openid","client_id":"1@api","token_type":"Bearer","exp":1,"iat":1,"nbf":1,"sub":"2","aud":["3"],"iss":"https://idp.example","jti":"V2_1"}`, "active"},
		"of Hydra":                    {`{"active":true,"client_id":"c","sub":"s","exp":1,"iat":1,"aud":[],"iss":"https://idp.example","token_type":"Bearer","token_use":"access_token"}`, "active"},
		"of Hydra, a refresh token":   {`{"active":true,"client_id":"c","sub":"s","iss":"https://idp.example","token_type":"Bearer","token_use":"refresh_token"}`, `refused {"active":true,"token_use":"refresh_token"}`},
		"of Keycloak":                 {`{"active":true,"typ":"Bearer","token_type":"Bearer","azp":"web","username":"ada","iss":"https://idp.example"}`, "active"},
		"of Keycloak, a refresh":      {`{"active":true,"typ":"Refresh","iss":"https://idp.example"}`, `refused {"active":true,"typ":"Refresh"}`},
		"of Keycloak, offline":        {`{"active":true,"typ":"Offline","token_type":"Bearer"}`, `refused {"active":true,"typ":"Offline"}`},
		"of Keycloak, an ID token":    {`{"active":true,"typ":"ID"}`, `refused {"active":true,"typ":"ID"}`},
		"of Keycloak, bound to what":  {`{"active":true,"typ":"DPoP","token_type":"DPoP"}`, `refused {"active":true,"token_type":"DPoP","typ":"DPoP"}`},
		"of oidc-provider":            {`{"active":true,"client_id":"c","iss":"https://idp.example","token_type":"Bearer"}`, "active"},
		"of oidc-provider, refresh":   {`{"active":true,"client_id":"c","iss":"https://idp.example","exp":9999999999,"sub":"s"}`, `refused {"active":true}`},
		"of Keycloak, bound, and how": {`{"active":true,"typ":"DPoP","token_type":"DPoP","cnf":{"jkt":"x"}}`, "active"},
		"bound to null":               {`{"active":true,"token_type":"dpop","cnf":null}`, `refused {"active":true,"token_type":"dpop"}`},
		"of oidc-provider, DPoP":      {`{"active":true,"token_type":"DPoP","cnf":{"jkt":"x"}}`, "active"},
		"a bound refresh token":       {`{"active":true,"token_type":"DPoP","typ":"Refresh","cnf":{"jkt":"x"}}`, `refused {"active":true,"typ":"Refresh"}`},
		"of an old one, clients":      {`{"active":true,"token_type":"client_credentials"}`, "active"},
		"of doorkeeper, a refresh":    {`{"active":true,"scope":"read","client_id":"c","iat":1}`, `refused {"active":true}`},
		"of OpenIddict":               {`{"active":true,"token_type":"Bearer","token_usage":"access_token"}`, "active"},
		"of OpenIddict, a refresh":    {`{"active":true,"token_type":"Bearer","token_usage":"refresh_token"}`, `refused {"active":true,"token_usage":"refresh_token"}`},
		"at+jwt":                      {`{"active":true,"typ":"at+jwt"}`, "active"},
		"a kind in capitals":          {`{"active":true,"token_type":"BEARER","typ":"application/AT+JWT"}`, "active"},
		"JWT says no kind":            {`{"active":true,"typ":"JWT"}`, `refused {"active":true}`},
		"JWT beside a kind":           {`{"active":true,"typ":"JWT","token_type":"Bearer"}`, "active"},
		"null says no kind":           {`{"active":true,"token_type":null}`, `refused {"active":true}`},
		"null beside a kind":          {`{"active":true,"token_type":null,"typ":"Bearer"}`, "active"},
		"id_token":                    {`{"active":true,"token_type":"Bearer","token_use":"id_token"}`, `refused {"active":true,"token_use":"id_token"}`},
		"id":                          {`{"active":true,"token_use":"id"}`, `refused {"active":true,"token_use":"id"}`},
		"logout+jwt":                  {`{"active":true,"typ":"logout+jwt","token_type":"Bearer"}`, `refused {"active":true,"typ":"logout+jwt"}`},
		"mac":                         {`{"active":true,"token_type":"mac"}`, `refused {"active":true,"token_type":"mac"}`},
		"a kind that is empty":        {`{"active":true,"token_type":""}`, `refused {"active":true,"token_type":""}`},
		"a kind that is a list":       {`{"active":true,"token_type":["Bearer"]}`, `refused {"active":true,"token_type":""}`},
		"a kind that is long":         {`{"active":true,"token_type":"` + strings.Repeat("x", 1000) + `"}`, `refused {"active":true,"token_type":""}`},
		"another issuer":              {`{"active":true,"token_type":"Bearer","iss":"https://idp.example/"}`, `refused {"active":true,"iss":"https://idp.example/"}`},
		"an issuer that is a list":    {`{"active":true,"token_type":"Bearer","iss":["https://idp.example"]}`, `refused {"active":true,"iss":""}`},
		"an issuer that is null":      {`{"active":true,"token_type":"Bearer","iss":null}`, `refused {"active":true,"iss":""}`},
		"active as text":              {`{"active":"true","token_type":"Bearer"}`, `error: the answer has no "active" that is true or false (RFC 7662 section 2.2)`},
		"active as a number":          {`{"active":1}`, `error: the answer has no "active" that is true or false (RFC 7662 section 2.2)`},
		"active as null":              {`{"active":null}`, `error: the answer has no "active" that is true or false (RFC 7662 section 2.2)`},
		"no active":                   {`{"token_type":"Bearer","sub":"s"}`, `error: the answer has no "active" that is true or false (RFC 7662 section 2.2)`},
		"Active in capitals":          {`{"Active":true,"token_type":"Bearer"}`, `error: the answer has no "active" that is true or false (RFC 7662 section 2.2)`},
		"active twice":                {`{"active":false,"active":true,"token_type":"Bearer"}`, "error: the answer is not a strict JSON object (RFC 8259): an object has two members of one name"},
		"a list":                      {`[{"active":true}]`, "error: the answer is an array and not an object"},
		"a page":                      {"<!DOCTYPE html><html>", "error: the answer is a page (HTML or XML) and not JSON; the URL may be that of a sign-in page or of a proxy's error"},
		"nothing":                     {"", "error: the answer is empty and not a JSON object"},
		"cut off":                     {`{"active":true,"token_`, "error: the answer is not a strict JSON object (RFC 8259): not a strict JSON object"},
		"something behind it":         {`{"active":true,"token_type":"Bearer"}{}`, "error: the answer is not a strict JSON object (RFC 8259): not a strict JSON object"},
		"other bytes than UTF-8":      {"{\"active\":true,\"token_type\":\"Bearer\",\"a\":\"\xff\"}", "error: the answer is not a strict JSON object (RFC 8259): not UTF-8"},
		"too many values":             {`{"active":true,"token_type":"Bearer","a":[` + strings.Repeat("1,", 2000) + `1]}`, "error: the answer is not a strict JSON object (RFC 8259): too many values"},
		"too large":                   {`{"active":true,"token_type":"Bearer","a":"` + strings.Repeat("a", maxAnswerBytes) + `"}`, "error: the answer is larger than 65536 bytes"},
		"as large as it may be":       {`{"active":true,"token_type":"Bearer","a":"` + strings.Repeat("a", maxAnswerBytes-44) + `"}`, "active"},
		"a token type without active": {`{"token_type":"Bearer"}`, `error: the answer has no "active" that is true or false (RFC 7662 section 2.2)`},
	} {
		expect(t, name, outcome(judge([]byte(c.body), "https://idp.example", false)), c.want)
	}
	const untyped, refresh, other = `{"active":true,"sub":"s"}`, `{"active":true,"typ":"Refresh"}`, `{"active":true,"iss":"https://other.example"}`
	expect(t, "untyped, where that is allowed", outcome(judge([]byte(untyped), "https://idp.example", true)), "active")
	expect(t, "another kind, even there", outcome(judge([]byte(refresh), "https://idp.example", true)), `refused {"active":true,"typ":"Refresh"}`)
	expect(t, "another issuer, even there", outcome(judge([]byte(other), "https://idp.example", true)), `refused {"active":true,"iss":"https://other.example"}`)
	expect(t, "any issuer, where none is named", outcome(judge([]byte(other), "", true)), "active")
}

func outcome(j judged, err error) string {
	switch {
	case err != nil:
		return "error: " + err.Error()
	case j.active:
		return "active"
	case j.value.Kind() == claims.Null:
		return "inactive"
	default:
		return "refused " + string(j.value.AppendJSON(nil))
	}
}

// FuzzJudge requires that only an answer that says so in so many words makes a token active,
// and that what is kept of others is little.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		`{"active":true,"token_type":"Bearer","iss":"https://idp.example","exp":1}`,
		`{"active":true,"token_use":"refresh_token","token_type":"Bearer"}`,
		`{"active":"true"}`, `{"active":false}`, `{"\u0061ctive":true,"typ":"\u0042earer","exp":1e9}`,
		"\xef\xbb\xbf{}", "<html>", `{"active":true,"active":false}`, "",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		before := string(body)
		read := []byte(before) // a fuzz target must leave its argument alone
		j, err := judge(read, "https://idp.example", false)
		if string(read) != before {
			t.Fatal("the answer was changed")
		}
		clear(read) // what is kept must not share its memory
		again, err2 := judge([]byte(before), "https://idp.example", false)
		if outcome(j, err) != outcome(again, err2) {
			t.Fatalf("%s, then %s", outcome(j, err), outcome(again, err2))
		}
		if err != nil {
			return
		}
		if !j.active {
			if text := j.value.AppendJSON(nil); len(text) > 64+6*5*maxSaid || !j.expires.IsZero() {
				t.Errorf("%d bytes are kept of an answer that is refused", len(text))
			}
			return
		}
		active, _ := j.value.Member("active")
		if truth, ok := active.True(); !ok || !truth {
			t.Error("active without saying so")
		}
		typed := false
		for _, name := range []string{"token_use", "token_usage", "token_type", "typ"} {
			if v, ok := j.value.Member(name); ok && v.Kind() != claims.Null {
				text, _ := v.Text()
				switch strings.ToLower(text) {
				case "jwt", "urn:ietf:params:oauth:token-type:jwt":
				case "bearer", "access", "access_token", "client_credentials", "at+jwt", "application/at+jwt", "urn:ietf:params:oauth:token-type:access_token":
					typed = true
				default:
					t.Errorf("active with %s %q", name, text)
				}
			}
		}
		if iss, ok := j.value.Member("iss"); ok {
			if text, _ := iss.Text(); text != "https://idp.example" {
				t.Error("active with another issuer")
			}
		}
		if !typed {
			t.Error("active without a kind")
		}
		if _, ok := j.value.Member("exp"); ok == j.expires.IsZero() || j.expires.After(time.Unix(1<<40, 0)) {
			t.Errorf("exp: %v, %v", ok, j.expires)
		}
	})
}
