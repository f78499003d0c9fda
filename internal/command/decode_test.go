package command_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// unsignedToken is a token with a signature that nobody can check.
func unsignedToken(header, body string) string {
	e := base64.RawURLEncoding.EncodeToString
	return e([]byte(header)) + "." + e([]byte(body)) + "." + e([]byte(strings.Repeat("s", 64)))
}

// goodBody has claims that nothing is to be noted about.
func goodBody(more string) string {
	now := time.Now()
	return fmt.Sprintf(`{"iss":"https://auth.example.com","sub":"alice","aud":"api","iat":%d,"exp":%d%s}`, now.Add(-2*time.Hour-time.Minute).Unix(), now.Add(time.Hour).Unix(), more)
}

type decodedJSON struct {
	Kind                   string
	Header, Claims         map[string]any
	HeaderText, ClaimsText string
	SignatureChecked       *bool `json:"signature_checked"`
	Notes                  []struct{ Note, Text string }
}

func decodeJSON(t *testing.T, token string) decodedJSON {
	t.Helper()
	r := runJWT(t, token, "decode", "--json").want(t, 0, "NOT CHECKED")
	var d decodedJSON
	if err := json.Unmarshal([]byte(strings.NewReplacer(`"claims_text"`, `"claimstext"`, `"header_text"`, `"headertext"`).Replace(r.out)), &d); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if d.SignatureChecked == nil || *d.SignatureChecked {
		t.Errorf("signature_checked is not false: %s", r.out)
	}
	return d
}

func (d decodedJSON) words() (words []string) {
	for _, n := range d.Notes {
		words = append(words, n.Note)
	}
	slices.Sort(words)
	return words
}

func TestDecodeShowsWhatATokenSays(t *testing.T) {
	t.Parallel()
	token := unsignedToken(`{"alg":"ES256","kid":"k"}`, goodBody(`,"n":12345678901234567890`))
	r := runJWT(t, "Authorization: Bearer "+token+"\n", "decode").want(t, 0)
	if r.err != "" || !strings.HasPrefix(r.out, "NOT CHECKED.") || strings.Contains(r.out, "To note") {
		t.Error(r.out)
	}
	for _, want := range []string{`"alg": "ES256"`, `"sub": "alice"`, `12345678901234567890`, "# ", "2 hours ago", "in 59 minutes", time.Now().UTC().Format("2006-01-02T")} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%s is missing in\n%s", want, r.out)
		}
	}
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"decode", "@" + file}, {"decode", token, "--yes"}} {
		if again := runJWT(t, "", args...).want(t, 0); again.out != r.out {
			t.Errorf("%q:\n%s", args, again.out)
		}
	}
	if r := runJWT(t, `{"access_token":"`+token+`"}`, "decode", "@-").want(t, 0, "answer of a token endpoint"); !strings.Contains(r.out, `"sub": "alice"`) {
		t.Error(r.out)
	}
	d := decodeJSON(t, token)
	if d.Kind != "jwt" || d.Header["kid"] != "k" || d.Claims["sub"] != "alice" || d.Notes == nil || len(d.Notes) != 0 {
		t.Errorf("%+v", d)
	}
}

func TestDecodeNotesWhatIsOdd(t *testing.T) {
	t.Parallel()
	const es = `{"alg":"ES256"}`
	at := func(d time.Duration) int64 { return time.Now().Add(d).Unix() }
	rest := `"iss":"i","sub":"s","aud":"a"`
	exp := fmt.Sprintf(`,"exp":%d}`, at(time.Hour))
	whole := unsignedToken(es, goodBody(""))
	parts := strings.Split(whole, ".")
	for name, c := range map[string]struct {
		token string
		words []string
	}{
		"alg none":                  {strings.TrimSuffix(unsignedToken(`{"alg":"none"}`, goodBody("")), strings.Split(unsignedToken(`{}`, ""), ".")[2]), []string{"alg_none", "no_signature"}},
		"alg nOnE":                  {unsignedToken(`{"alg":"nOnE"}`, goodBody("")), []string{"alg_none"}},
		"no alg":                    {unsignedToken(`{}`, goodBody("")), []string{"alg_missing"}},
		"an unknown alg":            {unsignedToken(`{"alg":"ES256K"}`, goodBody("")), []string{"alg_unknown"}},
		"keys in the header":        {unsignedToken(`{"alg":"ES256","jku":"https://evil.example/","x5u":"https://evil.example/","jwk":{},"x5c":[]}`, goodBody("")), []string{"key_in_token"}},
		"crit":                      {unsignedToken(`{"alg":"ES256","crit":["exp"]}`, goodBody("")), []string{"crit"}},
		"b64 false":                 {unsignedToken(`{"alg":"ES256","b64":false}`, goodBody("")), []string{"b64"}},
		"b64 true":                  {unsignedToken(`{"alg":"ES256","b64":true}`, goodBody("")), nil},
		"enc":                       {unsignedToken(`{"alg":"ES256","enc":"A256GCM"}`, goodBody("")), []string{"enc"}},
		"a token in a token":        {unsignedToken(`{"alg":"ES256","cty":"JWT"}`, goodBody("")), []string{"nested"}},
		"two parts":                 {parts[0] + "." + parts[1], []string{"parts"}},
		"four parts":                {whole + ".AA", []string{"parts"}},
		"padding":                   {unsignedTokenPadded(es, goodBody("")), []string{"encoding"}},
		"a broken signature":        {parts[0] + "." + parts[1] + ".AB", []string{"encoding"}},
		"duplicate claims":          {unsignedToken(es, `{"iss":"i","aud":"a","sub":"a","sub":"b"`+exp), []string{"duplicate_members"}},
		"duplicates in the header":  {unsignedToken(`{"alg":"none","alg":"ES256"}`, goodBody("")), []string{"duplicate_members"}},
		"half a surrogate":          {unsignedToken(es, `{"x":"\ud800",`+rest+exp), []string{"not_strict"}},
		"no exp":                    {unsignedToken(es, `{`+rest+`}`), []string{"exp_missing"}},
		"exp in milliseconds":       {unsignedToken(es, fmt.Sprintf(`{%s,"exp":%d000}`, rest, at(time.Hour))), []string{"exp_milliseconds"}},
		"iat in milliseconds":       {unsignedToken(es, fmt.Sprintf(`{%s,"iat":%d000%s`, rest, at(0), exp)), []string{"iat_milliseconds"}},
		"exp as a text":             {unsignedToken(es, `{`+rest+`,"exp":"tomorrow"}`), []string{"exp_not_number"}},
		"exp below zero":            {unsignedToken(es, `{`+rest+`,"exp":-1}`), []string{"exp_not_time"}},
		"exp of no time":            {unsignedToken(es, `{`+rest+`,"exp":1e300}`), []string{"exp_not_time"}},
		"expired":                   {unsignedToken(es, fmt.Sprintf(`{%s,"exp":%d}`, rest, at(-time.Hour))), []string{"expired"}},
		"not yet valid":             {unsignedToken(es, fmt.Sprintf(`{%s,"nbf":%d%s`, rest, at(time.Minute*30), exp)), []string{"not_yet_valid"}},
		"never valid":               {unsignedToken(es, fmt.Sprintf(`{%s,"nbf":%d%s`, rest, at(2*time.Hour), exp)), []string{"never_valid", "not_yet_valid"}},
		"issued in the future":      {unsignedToken(es, fmt.Sprintf(`{%s,"iat":%d%s`, rest, at(time.Minute*30), exp)), []string{"issued_in_future"}},
		"valid for ten years":       {unsignedToken(es, fmt.Sprintf(`{%s,"exp":%d}`, rest, at(10*366*24*time.Hour))), []string{"long_lived"}},
		"no issuer and no audience": {unsignedToken(es, `{"sub":"a"`+exp), []string{"aud_missing", "iss_missing"}},
		"an issuer with a space":    {unsignedToken(es, `{"iss":"i ","aud":"a"`+exp), []string{"iss_odd"}},
		"bound to a key":            {unsignedToken(es, `{`+rest+`,"cnf":{"jkt":"x"}`+exp), []string{"bound"}},
		"an ID token":               {unsignedToken(es, `{`+rest+`,"at_hash":"x"`+exp), []string{"id_token"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := decodeJSON(t, c.token)
			if !slices.Equal(d.words(), c.words) {
				t.Errorf("%q, want %q", d.words(), c.words)
			}
			r := runJWT(t, c.token, "decode").want(t, 0)
			for _, n := range d.Notes {
				if n.Text == "" || !strings.Contains(r.out, n.Text) {
					t.Errorf("people don't read %q in\n%s", n.Text, r.out)
				}
			}
		})
	}
	// What readers differ about is shown as it was written.
	d := decodeJSON(t, unsignedToken(es, `{"sub":"a","a":{"b":1,"b":2},"sub":"c"}`))
	if d.Claims != nil || d.ClaimsText != `{"sub":"a","a":{"b":1,"b":2},"sub":"c"}` || !strings.Contains(d.Notes[0].Text, `"b", "sub"`) {
		t.Errorf("%+v", d)
	}
	jwe := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RSA-OAEP","enc":"A256GCM"}`)) + ".a.b.c.d"
	if d := decodeJSON(t, jwe); d.Kind != "jwe" || d.Claims != nil || d.Header["enc"] != "A256GCM" || !slices.Equal(d.words(), []string{"encrypted"}) {
		t.Errorf("%+v", d)
	}
}

// unsignedTokenPadded has padding, as some libraries write it.
func unsignedTokenPadded(header, body string) string {
	for {
		parts := strings.Split(unsignedToken(header, body), ".")
		if n := len(parts[1]) % 4; n != 0 {
			parts[1] += strings.Repeat("=", 4-n)
			return strings.Join(parts, ".")
		}
		body = strings.Replace(body, "}", ` }`, 1)
	}
}

func TestDecodeSaysWhatItCannotDecode(t *testing.T) {
	t.Parallel()
	apiKey, _ := apikey.New("cj")
	good := unsignedToken(`{"alg":"ES256"}`, goodBody(""))
	for name, c := range map[string]struct {
		in   string
		args []string
		code int
		says string
	}{
		"an API key":          {apiKey, nil, 1, "it is an API key"},
		"an opaque token":     {"ya29.a0AfB_byC", nil, 1, "introspection is configured"},
		"a header of no JSON": {"abcd.efgh.ijkl", nil, 1, "the header is not a JSON object"},
		"claims of no JSON":   {unsignedToken(`{"alg":"ES256"}`, "hello"), nil, 1, "the claims is not a JSON object"},
		"claims that are cut": {good[:60], nil, 1, "JSON object"},
		"an array of claims":  {unsignedToken(`{"alg":"ES256"}`, `[1]`), nil, 1, "not a JSON object"},
		"no base64url":        {"eyJhbGciOiJFUzI1NiJ9.e!y.AA", nil, 1, "not base64url"},
		"five tokens":         {strings.Repeat(good+"\n", 5), nil, 1, "there are 5 tokens"},
		"10 MB":               {strings.Repeat("x", 10<<20), nil, 1, "more than 1 MiB"},
		"nothing":             {"", nil, 1, "it is empty"},
		"a missing file":      {"", []string{"@/no/such/file"}, 1, "no such file"},
		"a token in argv":     {"", []string{good}, 2, "history"},
		"two arguments":       {"", []string{"@a", "@b"}, 2, "usage"},
		"an unknown flag":     {"", []string{"--jsn"}, 2, "--json meant"},
	} {
		r := runJWT(t, c.in, append([]string{"decode"}, c.args...)...).want(t, c.code, c.says)
		if strings.Contains(r.err, good[30:60]) || strings.Contains(r.err, apiKey[5:]) {
			t.Errorf("%s: the error has a part of what was read: %s", name, r.err)
		}
	}
	file := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(file, []byte(strings.Repeat("x", 10<<20)), 0o600); err != nil {
		t.Fatal(err)
	}
	runJWT(t, "", "decode", "@"+file).want(t, 1, "more than 1 MiB")
	runJWT(t, "", "decode", file).want(t, 2, "write @"+file)
}

// What a token says can't control the terminal.
func TestDecodeEscapesWhatStrangersWrote(t *testing.T) {
	t.Parallel()
	hostile := "\u202e\u200b\u009b31m\u2028"
	for _, c := range []string{
		unsignedToken(`{"alg":"ES256","kid":"`+hostile+`"}`, `{"sub":"`+hostile+`","`+hostile+`":1,"`+hostile+`":2}`),
		unsignedToken(`{"alg":"ES256"}`, "{\"sub\":\"\x7f\xff\"}"),
		unsignedToken(`{"alg":"ES256"}`, `{"sub":"\u001b]0;x\u0007","exp":"\u001b[2J"}`),
	} {
		for _, args := range [][]string{{"decode"}, {"decode", "--json"}} {
			r := runJWT(t, c, args...).want(t, 0)
			for _, text := range []string{r.out, r.err} {
				if strings.ContainsFunc(text, func(c rune) bool {
					return c < ' ' && c != '\n' && c != '\t' || c >= 0x7f && c < 0xa0 || strings.ContainsRune(hostile, c) && c > 0x7f
				}) {
					t.Errorf("%q", text)
				}
			}
		}
	}
}
