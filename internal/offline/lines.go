package offline

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
)

// Lines are the lines of a Caddyfile that made the jwt handlers of its JSON config. The JSON
// does not have them. So they are noted while the Caddyfile is read, under the content of the
// handler, by which they are found again: blocks of one content have several places.
type Lines struct {
	handlers map[string][]block // by canonical
	global   []line             // of the global option
}

// block is a jwt directive.
type block struct {
	at    string // of the directive
	lines []line // the directive's own first
}

// line is what a line has: its words, and where it is.
type line struct {
	words []string
	at    string
}

// noting are the lines that are being noted, nil unless a config is adapted to be explained.
var noting atomic.Pointer[Lines]

// NoteHandler notes the lines of a directive from which a handler was made. d has the
// directive's segment, and is not changed.
func NoteHandler(d *caddyfile.Dispenser, handler any) {
	lines := noting.Load()
	if lines == nil {
		return
	}
	content, err := json.Marshal(handler)
	read := linesOf(d)
	if err != nil || len(read) == 0 {
		return
	}
	if lines.handlers == nil {
		lines.handlers = map[string][]block{}
	}
	key := canonical(content)
	lines.handlers[key] = append(lines.handlers[key], block{read[0].at, read})
}

// NoteGlobal notes the lines of the global option, of which d has the segment.
func NoteGlobal(d *caddyfile.Dispenser) {
	if lines := noting.Load(); lines != nil {
		lines.global = append(lines.global, linesOf(d)...)
	}
}

// linesOf returns the lines of a directive and its block.
func linesOf(segment *caddyfile.Dispenser) []line {
	d := *segment
	d.Reset()
	if !d.Next() {
		return nil
	}
	var lines []line
	for _, token := range d.NextSegment() {
		at := place(token.File, token.Line)
		if len(lines) == 0 || lines[len(lines)-1].at != at {
			lines = append(lines, line{at: at})
		}
		last := &lines[len(lines)-1]
		last.words = append(last.words, token.Text)
	}
	return lines
}

// place returns where a line is, such as Caddyfile:12.
func place(file string, number int) string {
	if wd, err := os.Getwd(); err == nil && filepath.IsAbs(file) {
		if relative, err := filepath.Rel(wd, file); err == nil && filepath.IsLocal(relative) {
			file = relative
		}
	}
	return file + ":" + strconv.Itoa(number)
}

// canonical returns a text that is the same for all JSON of one handler.
func canonical(handler json.RawMessage) string {
	var members map[string]any
	d := json.NewDecoder(bytes.NewReader(handler))
	d.UseNumber()
	if d.Decode(&members) != nil {
		return ""
	}
	delete(members, "handler") // its name, which is not in the handler itself
	text, err := json.Marshal(members)
	if err != nil {
		return ""
	}
	return string(text)
}

// fill sets the lines of a report about a config.
func (l *Lines) fill(report *explain.Report, config json.RawMessage) {
	for i := range report.Handlers {
		h := &report.Handlers[i]
		blocks := l.handlers[canonical(at(config, h.Pointer))]
		for _, b := range blocks {
			if !slices.Contains(h.Lines, b.at) {
				h.Lines = append(h.Lines, b.at)
			}
		}
		for n := range h.Checks {
			h.Checks[n].Line = l.option(blocks, h.Checks[n].Option)
		}
	}
}

// option returns the lines that have an option: those of the blocks, else one of the global
// option, where a named issuer has its own.
func (l *Lines) option(blocks []block, option string) string {
	wanted := wordsOf(option)
	if len(wanted) == 0 {
		return ""
	}
	var places []string
	for _, b := range blocks {
		if at := best(b.lines, wanted); at != "" && !slices.Contains(places, at) {
			places = append(places, at)
		}
	}
	if len(places) == 0 {
		return best(l.global, wanted)
	}
	return strings.Join(places, " or ")
}

// best returns the place of the line that has most of the words of an option. The first word
// names it. The issuer and its audience may stand behind the directive itself.
func best(lines []line, wanted []string) (at string) {
	most := 0
	for n, line := range lines {
		score := 0
		named := line.words[0] == wanted[0]
		if named {
			score = 1
		}
		for _, word := range wanted[1:] {
			if slices.Contains(line.words[1:], word) {
				score += 2
			}
		}
		behind := n == 0 && (wanted[0] == "issuer" || wanted[0] == "audience" || wanted[0] == "jwt") && score > 0
		if (named || behind) && score > most {
			most, at = score, line.at
		}
	}
	return at
}

// wordsOf returns the words of an option, without quotes.
func wordsOf(option string) []string {
	tokens, err := caddyfile.Tokenize([]byte(option), "")
	if err != nil {
		return strings.Fields(option)
	}
	words := make([]string, len(tokens))
	for i, token := range tokens {
		words[i] = token.Text
	}
	return words
}

// at returns what a pointer (RFC 6901) names, nil for nothing.
func at(config json.RawMessage, pointer string) json.RawMessage {
	if pointer == "" {
		return config
	}
	unescape := strings.NewReplacer("~1", "/", "~0", "~")
	for name := range strings.SplitSeq(strings.TrimPrefix(pointer, "/"), "/") {
		name = unescape.Replace(name)
		if n, err := strconv.Atoi(name); err == nil {
			var list []json.RawMessage
			if json.Unmarshal(config, &list) == nil {
				if n < 0 || n >= len(list) {
					return nil
				}
				config = list[n]
				continue
			}
		}
		var object map[string]json.RawMessage
		if json.Unmarshal(config, &object) != nil {
			return nil
		}
		config = object[name]
	}
	return config
}
