package command

import (
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// caddyfileLine returns the option api_key for a record, or an empty string if a
// Caddyfile can't express the record: Caddy would replace {$HOME}, for one.
func caddyfileLine(r apikey.Record) string {
	var options []string
	expressible := true
	add := func(option string, values ...string) {
		for _, v := range values {
			written, ok := caddyfileQuote(v)
			expressible = expressible && ok
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
	case !expressible:
		return ""
	case len(options) == 0:
		return line
	}
	return line + " {\n\t" + strings.Join(options, "\n\t") + "\n}"
}

// caddyfileQuote quotes a text for a Caddyfile if it needs quotes: as it is, in quotes
// or in backticks. It reports whether one of these works.
func caddyfileQuote(text string) (string, bool) {
	// What can't be shown can't be copied. The ends of lines are shown as they are.
	if line := strings.NewReplacer("\n", "", "\t", "").Replace(text); terminal.Text(line) != line {
		return "", false
	}
	for _, written := range []string{text, `"` + strings.ReplaceAll(text, `"`, `\"`) + `"`, "`" + text + "`"} {
		if caddyfileReads(written, text) {
			return written, true
		}
	}
	return "", false
}

// caddyfileReads reports whether Caddy reads what is written as text. It uses Caddy's
// own parser, which also replaces environment variables and short placeholders.
func caddyfileReads(written, text string) bool {
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
