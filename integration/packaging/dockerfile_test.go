package packaging

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// dockerfile is the Dockerfile as BuildKit reads it: a stage that builds, and the image.
func dockerfile(t *testing.T) (build, image instructions.Stage) {
	t.Helper()
	result, err := parser.Parse(strings.NewReader(read(t, "Dockerfile")))
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range result.Warnings {
		t.Errorf("the Dockerfile: %s", w.Short)
	}
	checks := linter.New(&linter.Config{Warn: func(name, description, _, message string, at []parser.Range) {
		t.Errorf("the Dockerfile, %v: %s: %s (%s)", at, name, message, description)
	}})
	stages, _, err := instructions.Parse(result.AST, checks)
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 2 {
		t.Fatalf("the Dockerfile has %d stages; want 2", len(stages))
	}
	return stages[0], stages[1]
}

// only returns the one instruction of a kind that a stage has.
func only[C instructions.Command](t *testing.T, stage instructions.Stage) C {
	t.Helper()
	var found []C
	for _, command := range stage.Commands {
		if c, ok := command.(C); ok {
			found = append(found, c)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s has %d instructions of the kind %T; want 1", stage.SourceCode, len(found), *new(C))
	}
	return found[0]
}

func TestTheImage(t *testing.T) {
	t.Parallel()
	build, image := dockerfile(t)

	t.Run("is built with an exact Go that the module accepts", func(t *testing.T) {
		have := regexp.MustCompile(`^golang:(\d+)\.(\d+)\.(\d+)-[a-z]+$`).FindStringSubmatch(build.BaseName)
		want := regexp.MustCompile(`(?m)^go (\d+)\.(\d+)\.(\d+)$`).FindStringSubmatch(read(t, "go.mod"))
		if have == nil || want == nil {
			t.Fatalf("the image %q, go.mod %q", build.BaseName, want)
		}
		if slices.Compare(numbers(have[1:]), numbers(want[1:])) < 0 {
			t.Errorf("%s is older than the Go of go.mod, %s", build.BaseName, want[0])
		}
	})
	t.Run("has the libraries that it was built with", func(t *testing.T) {
		suite := build.BaseName[strings.LastIndex(build.BaseName, "-")+1:]
		if want := "debian:" + suite + "-slim"; image.BaseName != want {
			t.Errorf("the image is made from %s; want %s", image.BaseName, want)
		}
	})
	t.Run("runs as a user that is not root, by number", func(t *testing.T) {
		user := only[*instructions.UserCommand](t, image).User
		if !regexp.MustCompile(`^[1-9]\d{3,}:[1-9]\d{3,}$`).MatchString(user) {
			t.Errorf("USER %s", user)
		}
		for _, command := range image.Commands {
			if c, ok := command.(*instructions.CopyCommand); ok && c.Chown != "" && c.Chown != user {
				t.Errorf("%s: want the image's user, %s", c, user)
			}
		}
	})
	t.Run("opens ports that any user may open", func(t *testing.T) {
		for _, port := range only[*instructions.ExposeCommand](t, image).Ports {
			number, _, _ := strings.Cut(port, "/")
			if n, err := strconv.Atoi(number); err != nil || n < 1024 {
				t.Errorf("EXPOSE %s, %v", port, err)
			}
		}
	})
	t.Run("runs nothing when it is built but in the first stage", func(t *testing.T) {
		for _, command := range image.Commands {
			if c, ok := command.(*instructions.RunCommand); ok {
				t.Errorf("%s: the test of the build does not run it", c)
			}
		}
	})
	t.Run("has no secret", func(t *testing.T) {
		for _, command := range slices.Concat(build.Commands, image.Commands) {
			switch c := command.(type) {
			case *instructions.ArgCommand:
				t.Errorf("%s: an argument is kept in the history of the image", c)
			case *instructions.EnvCommand:
				for _, v := range c.Env {
					if !strings.HasPrefix(v.Value, "/") {
						t.Errorf("ENV %s: want folders only", v.Key)
					}
				}
			}
		}
	})
}

func TestTheGuideNamesTheVersions(t *testing.T) {
	t.Parallel()
	module := read(t, "go.mod")
	caddy := regexp.MustCompile(`(?m)^\tgithub\.com/caddyserver/caddy/v2 (v\S+)$`).FindStringSubmatch(module)
	language := regexp.MustCompile(`(?m)^go (\d+\.\d+)\.`).FindStringSubmatch(module)
	if caddy == nil || language == nil {
		t.Fatal("go.mod has no Caddy or no Go")
	}
	mentions(t, "docs/guides/install.md", "**Caddy "+caddy[1]+"**", "Go "+language[1]+" ", "xcaddy build "+caddy[1]+" ")
	for _, stale := range regexp.MustCompile(`(?:by|build) (?:Caddy )?(v2\.\d+\.\d+)`).FindAllStringSubmatch(read(t, "docs", "guides", "install.md"), -1) {
		if stale[1] != caddy[1] {
			t.Errorf("the guide says %q; go.mod has %s", stale[0], caddy[1])
		}
	}
}

func numbers(texts []string) []int {
	var list []int
	for _, text := range texts {
		n, _ := strconv.Atoi(text)
		list = append(list, n)
	}
	return list
}

// ignored is what .dockerignore keeps out of a build.
func ignored(t *testing.T) *patternmatcher.PatternMatcher {
	t.Helper()
	patterns, err := ignorefile.ReadAll(strings.NewReader(read(t, ".dockerignore")))
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	return matcher
}

func TestWhatABuildSees(t *testing.T) {
	t.Parallel()
	matcher := ignored(t)
	for path, want := range map[string]bool{
		"go.mod":                              true,
		"go.sum":                              true,
		"module.go":                           true,
		"cmd/caddy/main.go":                   true,
		"key/algorithm.go":                    true,
		"examples/examples.go":                true,
		"examples/quickstart/Caddyfile":       true,
		"module_test.go":                      false,
		"key/key_test.go":                     false,
		".git/config":                         false,
		"caddy":                               false,
		"integration/go.mod":                  false,
		"examples/compose/secrets/jwt_secret": false,
		"examples/kubernetes/keys.jsonl":      false,
		"examples/quickstart/signing-key.pem": false,
		"examples/static-keys/secret.txt":     false,
		"keys.jsonl":                          false,
		"private.pem":                         false,
		"site/tls.key":                        false,
		".env":                                false,
	} {
		if out, err := matcher.MatchesOrParentMatches(path); err != nil || out == want {
			t.Errorf("%s: sees it: %v, %v; want %v", path, !out, err, want)
		}
	}
}
