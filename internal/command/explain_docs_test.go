package command_test

import (
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
)

// jsonMembers are the names in JSON of a struct's fields.
func jsonMembers(of reflect.Type) []string {
	var names []string
	for field := range of.Fields() {
		if field.Anonymous {
			names = append(names, jsonMembers(field.Type)...)
			continue
		}
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "-" {
			names = append(names, name)
		}
	}
	return names
}

var inBackticks = regexp.MustCompile("`([a-z_]+)`")

// The reference has a row for each member of the report, and of no other.
func TestExplainReportIsDocumented(t *testing.T) {
	t.Parallel()
	_, section, ok := strings.Cut(contentOf(t, "../../docs/reference/at-the-desk.md"), "\n### The report\n")
	if !ok {
		t.Fatal("the reference has no section The report")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	tables := strings.Split(section, "| member | meaning |\n| --- | --- |\n")[1:]
	types := []reflect.Type{reflect.TypeFor[explain.Report](), reflect.TypeFor[explain.Handler](), reflect.TypeFor[explain.Check]()}
	if len(tables) != len(types) {
		t.Fatalf("it has %d tables", len(tables))
	}
	for i, of := range types {
		rows := map[string]string{}
		for line := range strings.Lines(tables[i]) {
			columns := strings.SplitN(line, "|", 3)
			if len(columns) < 3 {
				break
			}
			for _, m := range inBackticks.FindAllStringSubmatch(columns[1], -1) {
				rows[m[1]] = columns[2]
			}
		}
		got, want := slices.Sorted(maps.Keys(rows)), slices.DeleteFunc(jsonMembers(of), func(name string) bool { return name == "-" }) // no member
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("of %s the reference has\n%q\nand the code\n%q", of.Name(), got, want)
		}
		for member, inner := range map[string]reflect.Type{"request": reflect.TypeFor[explain.Request](), "second_opinion": reflect.TypeFor[explain.Opinion]()} {
			for _, name := range jsonMembers(inner) {
				if row, ok := rows[member]; ok && !strings.Contains(row, "`"+name+"`") {
					t.Errorf("the row of %s has no %s", member, name)
				}
			}
		}
	}
}
