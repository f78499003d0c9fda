package command_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/caddy-jwt/caddy-jwt/internal/command"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// completed is what a shell gets for the words behind caddy jwt, of which the last one is not
// finished: the words, without what they are, and the directive for the shell.
func completed(t *testing.T, words ...string) (list []string, directive string) {
	t.Helper()
	r := runRoot(t, append([]string{"__complete", "jwt"}, words...)...)
	if r.code != 0 {
		t.Fatalf("%q: %s", words, r.err)
	}
	lines := strings.Split(strings.TrimSuffix(r.out, "\n"), "\n")
	last := len(lines) - 1
	for _, line := range lines[:last] {
		word, _, _ := strings.Cut(line, "\t")
		list = append(list, word)
	}
	return list, strings.TrimPrefix(lines[last], ":")
}

// The directives of Cobra.
const (
	filesToo = "0"
	noFiles  = "4"
	noSpace  = "6"
	dirs     = "16"
	inOrder  = "36"
)

// completing is a server with something of everything that is completed.
func completing(t *testing.T) *fakeServer {
	t.Helper()
	return newFakeServer(t, map[string][]answer{
		"GET /jwt/status": {{http.StatusOK, `{
			"sites": ["api.example.com, www.example.com", ":8080", "b\u001b.example"],
			"issuers": [{"id": "1", "issuers": ["https://a.example/", "https://b.example/"], "keys": [{"kid": "k1"}, {"kid": "k 2"}]}],
			"api_keys": [],
			"services": [{"issuer": "https://auth.example", "use": "service"}, {"issuer": "https://auth.example", "use": "forward"}],
			"state": {"sets": [{"name": "revocations"}, {"name": "keys-partners"}, {"name": "keys-staff"}]}
		}`}},
		"GET /jwt/api-keys":    {{http.StatusOK, `{"items": [{"id": "k7Xp2mQ9aZ", "name": "Acme\nInc", "consumer": "acme"}, {"id": "x;rm", "consumer": "x"}]}`}},
		"GET /jwt/revocations": {{http.StatusOK, `{"items": [{"id": "jti-6b1d09cfa2", "value": "v", "reason": "stolen"}, {"id": "sub-5f0e7c1d2b", "value": "alice"}]}`}},
	})
}

func TestCompletionOfWords(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"":               "api-key",
		"api-key ":       "roll",
		"revocations ":   "delete",
		"watch --":       "--reason",
		"revoke --not":   "--not-before",
		"token --secret": "--secret-file",
	} {
		if got, _ := completed(t, strings.Split(words, " ")...); !slices.Contains(got, want) {
			t.Errorf("%q: %q; want %s in it", words, got, want)
		}
	}
}

func TestCompletionOfValues(t *testing.T) {
	t.Parallel()
	f := completing(t)
	folder := t.TempDir()
	for _, name := range []string{"token.txt", "tokens", "other", ".hidden", "a b"} {
		if err := os.WriteFile(filepath.Join(folder, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(folder, "folder"), 0o700); err != nil {
		t.Fatal(err)
	}
	keys := newFile(t)
	first := parseJSON[madeRecord](t, run(t, "", "new", "--append", keys, "--no-wait", "--json", "--name", "One").want(t, 0).out).ID
	second := parseJSON[madeRecord](t, run(t, "", "new", "--append", keys, "--no-wait", "--json").want(t, 0).out).ID
	var reasons []string
	for _, code := range reason.All {
		reasons = append(reasons, string(code))
	}
	at := "@" + folder + string(filepath.Separator)
	for _, c := range []struct {
		words     string
		want      []string
		directive string
	}{
		{"watch --site ", []string{":8080", "api.example.com", "www.example.com"}, noFiles},
		{"watch --site w", []string{"www.example.com"}, noFiles},
		{"watch --reason ", reasons, noFiles},
		{"watch --reason=exp", []string{"expired"}, noFiles},
		{"watch ", nil, noFiles},
		{"revoke --issuer ", []string{"https://a.example/", "https://auth.example", "https://b.example/"}, noFiles},
		{"revoke --kid ", []string{"k1"}, noFiles},
		{"revoke --key ", []string{"k7Xp2mQ9aZ"}, noFiles},
		{"revoke --reason ", nil, noFiles},
		{"revoke --not-before ", []string{"now", "1h", "24h"}, inOrder},
		{"revoke ", []string{"@", "@-"}, noSpace},
		{"revoke " + at + "tok", []string{at + "token.txt", at + "tokens"}, noFiles},
		{"revoke " + at + "f", []string{at + "folder" + string(filepath.Separator)}, noSpace},
		{"revoke " + at, []string{at + "folder" + string(filepath.Separator), at + "other", at + "token.txt", at + "tokens"}, noSpace},
		{"revoke @/no/such/folder/", nil, noFiles},
		{"rotate --issuer https://auth", []string{"https://auth.example"}, noFiles},
		{"revocations --kind ", []string{"jti", "sub", "client", "key", "kid", "issuer", "token"}, inOrder},
		{"revocations delete ", []string{"jti-6b1d09cfa2", "sub-5f0e7c1d2b"}, noFiles},
		{"revocations delete jti-6b1d09cfa2 ", nil, noFiles},
		{"api-key list --store ", []string{"partners", "staff"}, noFiles},
		{"api-key edit --store partners ", []string{"k7Xp2mQ9aZ"}, noFiles},
		{"api-key disable --file " + keys + " ", []string{first, second}, noFiles},
		{"api-key disable --file " + keys + " " + second, []string{second}, noFiles},
		{"api-key disable --file /no/such/file ", nil, noFiles},
		{"api-key edit --expires n", []string{"never"}, inOrder},
		{"api-key new --expires ", []string{"24h", "30d", "90d", "365d"}, inOrder},
		{"api-key list --file ", nil, filesToo},
		{"api-key import ", nil, filesToo},
		{"state replay ", nil, filesToo},
		{"token --secret-file ", nil, filesToo},
		{"token --issuer ", nil, noFiles}, // of no server: the command asks none
		{"quickstart --dir ", nil, dirs},
		{"quickstart --port ", nil, noFiles},
		{"status --config ", nil, filesToo},
		{"status --adapter ", []string{"caddyfile", "json"}, inOrder},
	} {
		words := strings.Split(c.words, " ")
		i := 0
		for i < len(words)-1 && !strings.HasPrefix(words[i], "-") && !strings.HasPrefix(words[i], "@") && words[i] != "" {
			i++
		}
		if strings.HasPrefix(words[0], "token") || strings.HasPrefix(words[0], "quickstart") {
			i = -1 // without a server
		}
		if i >= 0 {
			words = slices.Insert(words, i, "--address", f.address)
		}
		got, directive := completed(t, words...)
		slices.Sort(got)
		want := slices.Sorted(slices.Values(c.want))
		if !slices.Equal(got, want) || directive != c.directive {
			t.Errorf("%s: %q :%s; want %q :%s", c.words, got, directive, want, c.directive)
		}
	}
}

// What others wrote does not reach the shell: neither as a word nor as its description.
func TestCompletionIsSafe(t *testing.T) {
	t.Parallel()
	f := completing(t)
	r := runRoot(t, "__complete", "jwt", "api-key", "edit", "--address", f.address, "--store", "partners", "")
	if want := "k7Xp2mQ9aZ\tAcme\\u000aInc\n:4\n"; r.out != want {
		t.Errorf("%q; want %q", r.out, want)
	}
	if r := runRoot(t, "__complete", "jwt", "watch", "--address", f.address, "--site", ""); strings.Contains(r.out, "b\x1b") || strings.Contains(r.out, "b\\u") {
		t.Errorf("%q", r.out)
	}
}

// A server that is down, or is not ours, is nothing to tell a shell about.
func TestCompletionWithoutAServer(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{
		"nobody listens": closedAddress(t), "no address": "a b", "another server": answering(t, "GET /jwt/status", 200, "hello").address,
		"a server without a handler": newFakeServer(t, nil).address,
	} {
		for _, words := range [][]string{{"watch", "--site"}, {"revoke", "--key"}, {"revocations", "delete"}, {"api-key", "list", "--store"}} {
			args := append(append([]string{"__complete", "jwt"}, words[:len(words)-1]...), "--address", address, words[len(words)-1])
			if strings.HasPrefix(words[len(words)-1], "-") {
				args = append(args, "")
			} else {
				args[len(args)-1] = ""
				args = slices.Insert(args, len(args)-3, words[len(words)-1])
			}
			if r := runRoot(t, args...); r.code != 0 || r.out != ":4\n" || strings.Contains(r.err, "rror") {
				t.Errorf("%s: %q: %d %q %q", name, args, r.code, r.out, r.err)
			}
		}
	}
}

// Every flag either has a completion or is known to have none.
func TestEveryFlagHasACompletion(t *testing.T) {
	t.Parallel()
	for name, cmd := range commands(tree()) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Value.Type() != "bool" && !command.Completes(name, f.Name) {
				t.Errorf("%s --%s: say in complete.go what its values are, or that nobody can know", name, f.Name)
			}
		})
	}
}
