package command

import (
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-jwt/caddy-jwt/apikey"
)

// caddyfileLine is the option api_key for a record. It is empty where a Caddyfile
// can't say what the record holds, such as {$HOME}.
func caddyfileLine(r apikey.Record) string {
	var options []string
	sayable := true
	add := func(option string, values ...string) {
		for _, v := range values {
			written, ok := caddyfileQuote(v)
			sayable = sayable && ok
			option += " " + written
		}
		options = append(options, option)
	}
	if r.Consumer != "" {
		add("consumer", r.Consumer)
	}
	if len(r.Scopes) > 0 {
		add("scopes", r.Scopes...)
	}
	if !r.Expires.IsZero() {
		add("expires", r.Expires.Format(time.RFC3339Nano))
	}
	for i := range r.Meta.Len() {
		value, _ := r.Meta.At(i).Text()
		add("meta", r.Meta.NameAt(i), value)
	}
	line := "api_key " + r.ID + " " + r.Hash.String()
	switch {
	case !sayable:
		return ""
	case len(options) == 0:
		return line
	}
	return line + " {\n\t" + strings.Join(options, "\n\t") + "\n}"
}

// caddyfileQuote writes a text so that a Caddyfile yields it again: as it is, in
// quotes or in backticks. It is false where none of them does.
func caddyfileQuote(text string) (string, bool) {
	for _, written := range []string{text, `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`, "`" + text + "`"} {
		if caddyfileYields(written, text) {
			return written, true
		}
	}
	return "", false
}

// caddyfileYields asks Caddy's own parser, which also replaces variables of the
// environment and its short names of placeholders.
func caddyfileYields(written, text string) bool {
	if strings.Contains(text, "{$") {
		return false
	}
	// In the middle of a line and at its end, where << begins a heredoc.
	blocks, err := caddyfile.Parse("Caddyfile", []byte("x {\n\tbefore "+written+" behind "+written+"\n}\n"))
	if err != nil || len(blocks) != 1 || len(blocks[0].Segments) != 1 {
		return false
	}
	line := blocks[0].Segments[0]
	httpcaddyfile.NewShorthandReplacer().ApplyToSegment(&line)
	return len(line) == 4 && line[1].Text == text && line[2].Text == "behind" && line[3].Text == text
}
