package validator

import (
	"bytes"
	"context"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

func TestThreat08_OtherSerializations(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	good := es256(t, goodHeader, goodClaims)
	parts := strings.Split(good, ".")
	for name, c := range map[string]struct {
		token string
		want  reason.Code
	}{
		"five segments (JWE)":                {"a.b.c.d.e", reason.UnsupportedToken},
		"five segments of a good token":      {good + ".e.f", reason.UnsupportedToken},
		"four segments":                      {good + ".e", reason.MalformedToken},
		"two segments":                       {parts[0] + "." + parts[1], reason.MalformedToken},
		"one segment":                        {parts[0], reason.MalformedToken},
		"nothing":                            {"", reason.MalformedToken},
		"dots alone":                         {"..", reason.MalformedToken},
		"a million dots":                     {strings.Repeat(".", 1_000_000), reason.MalformedToken},
		"dots up to the limit":               {strings.Repeat(".", MaxLength), reason.MalformedToken},
		"an empty header":                    {"." + parts[1] + "." + parts[2], reason.MalformedToken},
		"empty claims":                       {parts[0] + ".." + parts[2], reason.MalformedToken},
		"an empty signature":                 {parts[0] + "." + parts[1] + ".", reason.MalformedToken},
		"JSON serialization":                 {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, reason.MalformedToken},
		"10 MB":                              {strings.Repeat("A", 10<<20), reason.MalformedToken},
		"10 MB of a token":                   {parts[0] + "." + strings.Repeat("A", 10<<20) + "." + parts[2], reason.MalformedToken},
		"one byte over the limit":            {strings.Repeat("A", MaxLength+1), reason.MalformedToken},
		"with the scheme in front":           {"Bearer " + good, reason.MalformedToken},
		"quoted":                             {`"` + good + `"`, reason.MalformedToken},
		"a space behind":                     {good + " ", reason.MalformedToken},
		"detached payload (RFC 7515 app. F)": {parts[0] + ".." + parts[2], reason.MalformedToken},
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			check(t, v, c.token, c.want)
			// This only detects quadratic or worse behavior.
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
		})
	}
}

func TestThreat09_NonCanonicalBase64(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	good := es256(t, goodHeader, goodClaims)
	check(t, v, good, "")
	for segment := range 3 {
		change := func(f func(string) string) string {
			parts := strings.Split(good, ".")
			parts[segment] = f(parts[segment])
			return strings.Join(parts, ".")
		}
		for name, f := range map[string]func(string) string{
			"padding":          func(s string) string { return s + strings.Repeat("=", (4-len(s)%4)%4+1) },
			"one padding sign": func(s string) string { return s + "=" },
			"CR LF at the end": func(s string) string { return s + "\r\n" },
			"LF in the middle": func(s string) string { return s[:4] + "\n" + s[4:] },
			"CR in the middle": func(s string) string { return s[:4] + "\r" + s[4:] },
			"space":            func(s string) string { return s[:4] + " " + s[4:] },
			"tab":              func(s string) string { return s[:4] + "\t" + s[4:] },
			"NUL":              func(s string) string { return s[:4] + "\x00" + s[4:] },
			"plus":             func(s string) string { return s[:4] + "+" + s[5:] },
			"slash":            func(s string) string { return s[:4] + "/" + s[5:] },
			"non-ASCII":        func(s string) string { return s[:4] + "é" + s[5:] },
		} {
			t.Run(name, func(t *testing.T) { check(t, v, change(f), reason.MalformedToken) })
		}
	}
	t.Run("last characters with unused bits set", func(t *testing.T) {
		// A signature of 64 bytes ends in a character of which 4 bits are unused.
		last := strings.IndexByte(alphabetText, good[len(good)-1])
		for bits := 1; bits < 16; bits++ {
			check(t, v, good[:len(good)-1]+string(alphabetText[last|bits]), reason.MalformedToken)
		}
	})
}

func TestThreat08_ALongTokenIsRefusedThoughItsIssuerSignedIt(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	padded := func(n int) string {
		return es256(t, goodHeader, strings.Replace(goodClaims, "{", `{"padding":"`+strings.Repeat("x", n)+`",`, 1))
	}
	check(t, v, padded(11<<10), "")
	check(t, v, padded(13<<10), reason.MalformedToken)
}

// It is not parallel, as it counts allocations.
func TestThreat08_ATokenOfManyValuesIsRefused(t *testing.T) {
	v := newValidator(t, basePolicy())
	many := func(n int) string { return strings.TrimSuffix(strings.Repeat("0,", n), ",") }
	body := func(n int) string { return strings.Replace(goodClaims, "{", `{"a":[`+many(n)+`],`, 1) }
	check(t, v, es256(t, goodHeader, body(1900)), "")
	check(t, v, es256(t, goodHeader, body(2000)), reason.MalformedToken)
	check(t, v, es256(t, strings.Replace(goodHeader, "{", `{"a":[`+many(2000)+`],`, 1), goodClaims), reason.MalformedToken)
	// A refused token costs no more than the shared buffer.
	hostile := b64(goodHeader) + "." + b64(`{"a":[`+many(5000)+`]}`) + ".AAAA"
	check(t, v, hostile, reason.MalformedToken)
	if n := testing.AllocsPerRun(100, func() { _ = v.ValidateInto(context.Background(), hostile, new(Token)) }); n > 12 {
		t.Errorf("%v allocations", n)
	}
}

const alphabetText = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

func TestThreat10_DuplicateAndMiscasedMembers(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	for name, c := range map[string][2]string{
		"alg twice":                  {`{"alg":"ES256","alg":"ES256"}`, goodClaims},
		"alg twice, one escaped":     {`{"alg":"ES256","\u0061lg":"none"}`, goodClaims},
		"kid twice":                  {`{"alg":"ES256","kid":"p256","kid":"p256"}`, goodClaims},
		"exp twice":                  {goodHeader, strings.Replace(goodClaims, `"exp"`, `"exp":1,"exp"`, 1)},
		"sub twice":                  {goodHeader, strings.Replace(goodClaims, `"sub"`, `"sub":"admin","sub"`, 1)},
		"twice in a nested object":   {goodHeader, strings.Replace(goodClaims, `"sub"`, `"a":{"b":1,"b":2},"sub"`, 1)},
		"twice in an array's object": {goodHeader, strings.Replace(goodClaims, `"sub"`, `"a":[{"b":1,"b":2}],"sub"`, 1)},
	} {
		t.Run(name, func(t *testing.T) { check(t, v, es256(t, c[0], c[1]), reason.MalformedToken) })
	}
	t.Run("EXP is not exp", func(t *testing.T) {
		check(t, v, es256(t, goodHeader, strings.Replace(goodClaims, `"exp"`, `"EXP"`, 1)), reason.MissingClaim)
		check(t, v, es256(t, goodHeader, strings.Replace(goodClaims, `"exp":1800000600`, `"exp":1,"EXP":1800000600`, 1)), reason.Expired)
		check(t, v, es256(t, goodHeader, strings.Replace(goodClaims, `"exp"`, `"EXP":1,"exp"`, 1)), "")
	})
	t.Run("Iss is not iss", func(t *testing.T) {
		check(t, v, es256(t, goodHeader, strings.Replace(goodClaims, `"iss"`, `"Iss"`, 1)), reason.UnknownIssuer)
	})
	t.Run("ALG is not alg", func(t *testing.T) {
		check(t, v, es256(t, `{"ALG":"ES256"}`, goodClaims), reason.MalformedToken)
		check(t, v, es256(t, `{"ALG":"none","alg":"ES256","KID":"other","Crit":["x"]}`, goodClaims), "")
	})
}

func TestThreat13_ClaimsThatAreNoStrictObject(t *testing.T) {
	t.Parallel()
	v := newValidator(t, basePolicy())
	deep := strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000)
	for name, claims := range map[string]string{
		"null": `null`, "array": `[]`, "array of an object": `[` + goodClaims + `]`, "text": `"x"`, "number": `5`, "true": `true`,
		"nothing but space": ` `, "invalid UTF-8 in a value": strings.Replace(goodClaims, "alice", "al\xffice", 1),
		"invalid UTF-8 in a name": strings.Replace(goodClaims, `"scope"`, "\"sc\xc0\xafpe\"", 1),
		"an overlong encoding":    strings.Replace(goodClaims, "alice", "\xc1\xa1lice", 1),
		"half a surrogate pair":   strings.Replace(goodClaims, "alice", `\ud800`, 1),
		"a NUL in a value":        strings.Replace(goodClaims, "alice", "al\x00ice", 1),
		"a NUL behind":            goodClaims + "\x00", "a byte order mark": "\xef\xbb\xbf" + goodClaims,
		"something behind": goodClaims + "x", "another object behind": goodClaims + goodClaims, "a comma at the end": strings.TrimSuffix(goodClaims, "}") + ",}",
		"a comment": "/* */" + goodClaims, "single quotes": strings.ReplaceAll(goodClaims, `"`, `'`), "cut off": strings.TrimSuffix(goodClaims, "}"),
		"leading zero": strings.Replace(goodClaims, "1800000600", "01800000600", 1), "hexadecimal": strings.Replace(goodClaims, "1800000600", "0x6B49D458", 1),
		"NaN": strings.Replace(goodClaims, "1800000600", "NaN", 1), "a raw line end in a value": strings.Replace(goodClaims, "alice", "al\nice", 1),
		"depth 33": `{"a":` + strings.Repeat("[", 32) + strings.Repeat("]", 32) + "}",
	} {
		t.Run(name, func(t *testing.T) { check(t, v, es256(t, goodHeader, claims), reason.MalformedToken) })
	}
	t.Run("depth 10,000", func(t *testing.T) { check(t, v, es256(t, goodHeader, deep), reason.MalformedToken) })
	t.Run("the header likewise", func(t *testing.T) {
		for _, header := range []string{`null`, `[]`, `"x"`, goodHeader + " x", "{\"alg\":\"ES256\",\"a\":\"\xff\"}"} {
			check(t, v, es256(t, header, goodClaims), reason.MalformedToken)
		}
	})
	t.Run("depth 32 and spaces pass", func(t *testing.T) {
		check(t, v, es256(t, "\t"+goodHeader+"\r\n", strings.TrimSuffix(goodClaims, "}")+` , "a" : `+strings.Repeat("[", 31)+strings.Repeat("]", 31)+" } "), "")
	})
}

// Go's decoder skips line ends, but segments with line ends are invalid, no matter where
// and how many they are.
func TestSegmentsWithLineEnds(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 24; n++ {
		good := base64.RawURLEncoding.EncodeToString(bytes.Repeat([]byte{0xa5}, n))
		if part, _, ok := decode(nil, good); !ok || len(part) != n {
			t.Fatalf("%q: %x", good, part)
		}
		for at := range len(good) + 1 {
			for _, end := range []string{"\n", "\r", "\r\n"} {
				for times := 1; times <= 9; times++ {
					bad := good[:at] + strings.Repeat(end, times) + good[at:]
					if part, _, ok := decode(nil, bad); ok {
						t.Fatalf("%q is read as %x", bad, part)
					}
				}
			}
		}
	}
	for times := range 9 {
		if part, _, ok := decode(nil, strings.Repeat("\n", times)); ok {
			t.Errorf("%d line ends are read as %x", times, part)
		}
	}
}
