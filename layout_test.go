package caddyjwt_test

import (
	"os"
	"os/exec"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// room is what docs/design.md says of a package.
type room struct {
	caddy bool     // whether it may import Caddy
	may   []string // the packages of the module that it may import
	all   bool     // or all of them
}

// rooms reads the table of docs/design.md.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	text, err := os.ReadFile("docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "\n## What may import what\n")
	if !ok {
		t.Fatal("docs/design.md has no table of what may import what")
	}
	table, _, _ = strings.Cut(table, "\n## ")
	rooms := map[string]room{}
	for _, row := range regexp.MustCompile(`(?m)^\| ([^|]+) \| ([^|]+) \|$`).FindAllStringSubmatch(table, -1) {
		r := room{may: regexp.MustCompile("[a-z/]+").FindAllString(row[2], -1)}
		switch row[2] {
		case "may import", "---":
			continue
		case "nothing of ours":
			r.may = nil
		case "all":
			r.all = true
		}
		for name := range strings.SplitSeq(row[1], ", ") {
			this := r
			name, this.caddy = strings.CutSuffix(name, " **C**")
			rooms[strings.Trim(name, "`")] = this
		}
	}
	return rooms
}

// TestLayout compares what the packages import with the table of docs/design.md.
func TestLayout(t *testing.T) {
	t.Parallel()
	const module = "github.com/caddy-jwt/caddy-jwt"
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "./...").Output()
	if err != nil {
		t.Fatal(err)
	}
	rooms := rooms(t)
	short := func(p string) string {
		if p == module {
			return "root"
		}
		return strings.TrimPrefix(strings.TrimPrefix(p, module+"/"), "internal/")
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		name := short(words[0])
		seen[name] = true
		r, ok := rooms[name]
		if !ok {
			t.Errorf("docs/design.md has no row for %s", name)
			continue
		}
		for _, imported := range words[1:] {
			switch {
			case strings.HasPrefix(imported, "github.com/caddyserver/caddy/"):
				if !r.caddy {
					t.Errorf("%s imports Caddy: %s", name, imported)
				}
			case imported == module || strings.HasPrefix(imported, module+"/"):
				if !r.all && !slices.Contains(r.may, path.Base(short(imported))) && !slices.Contains(r.may, short(imported)) {
					t.Errorf("%s imports %s", name, short(imported))
				}
			}
		}
	}
	for name := range rooms {
		if !seen[name] {
			t.Errorf("docs/design.md has a row for %s, which is no package", name)
		}
	}
}
