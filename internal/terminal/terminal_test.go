package terminal

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"plain":                    {"x509: certificate is valid for a.example", "x509: certificate is valid for a.example"},
		"other languages":          {"Größe 日本語\u3000עברית é", "Größe 日本語\u3000עברית é"},
		"empty":                    {"", ""},
		"a sequence":               {"\x1b[2J\x1b]0;x\a", `\u001b[2J\u001b]0;x\u0007`},
		"a sequence of one byte":   {"\u009b2J", `\u009b2J`},
		"a raw byte":               {"a\x9b2J", `a\ufffd2J`},
		"lines":                    {"a\r\nb\tc", `a\u000d\u000ab\u0009c`},
		"delete":                   {"\x7f", `\u007f`},
		"another direction":        {"a\u202egpj.exe\u2066", `a\u202egpj.exe\u2066`},
		"what can't be seen":       {"ad\u200bmin\ufeff\u00ad", `ad\u200bmin\ufeff\u00ad`},
		"beyond sixteen bits":      {"\U000e0041", `\udb40\udc41`},
		"of private use":           {"\ue000", `\ue000`},
		"a line of another script": {"a\u2028b\u0085", `a\u2028b\u0085`},
		"the replacement itself":   {"a\ufffdb", "a\ufffdb"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Text(c.text); got != c.want {
				t.Errorf("%q, want %q", got, c.want)
			}
		})
	}
}

func TestNoCharacterThatTextLetsPassControlsATerminal(t *testing.T) {
	t.Parallel()
	for c := rune(0); c <= unicode.MaxRune; c++ {
		if !utf8.ValidRune(c) {
			continue
		}
		if got := Text(string(c)); got == string(c) && unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Co, unicode.Cs) {
			t.Fatalf("%U passes", c)
		} else if got != string(c) && unicode.In(c, unicode.L, unicode.N, unicode.P, unicode.S, unicode.Zs) && c != utf8.RuneError {
			t.Fatalf("%U is escaped", c)
		}
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	const text = "a\tb\n\x1b[2Jé日\U0001f600\u202e\x9b\r\n"
	const want = "a\tb\n\\u001b[2Jé日\U0001f600\\u202e\\ufffd\\u000d\n"
	for size := 1; size <= len(text); size++ { // characters that come in pieces too
		var out bytes.Buffer
		w := NewWriter(&out)
		for rest := text; rest != ""; {
			n := min(size, len(rest))
			if wrote, err := w.Write([]byte(rest[:n])); wrote != n || err != nil {
				t.Fatal(wrote, err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", size, out.String(), want)
		}
	}
}

func TestWriterKeepsJSON(t *testing.T) {
	t.Parallel()
	value := map[string]string{"a\u202e": "\x1b\u009b\u2066\U000e0041é\"\\\n"}
	var out bytes.Buffer
	e := json.NewEncoder(NewWriter(&out))
	e.SetIndent("", "\t")
	if err := e.Encode(value); err != nil {
		t.Fatal(err)
	}
	var back map[string]string
	if err := json.Unmarshal(out.Bytes(), &back); err != nil || len(back) != 1 || back["a\u202e"] != value["a\u202e"] {
		t.Errorf("%q: %v", out.String(), err)
	}
	if strings.ContainsAny(out.String(), "\u009b\u202e\u2066") {
		t.Errorf("%q", out.String())
	}
}
