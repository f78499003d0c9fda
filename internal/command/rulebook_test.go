package command_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-jwt/caddy-jwt/internal/command"
)

// What commands change, as the rule book sorts it.
const (
	reads     = "changes nothing"
	named     = "what the arguments name one by one"
	beyond    = "more than the arguments name, with --yes"
	dryRun    = "what it finds out by itself, with --dry-run"
	newFolder = "makes files of its own"
	insists   = "changes nothing; --yes takes a secret among the arguments"
)

// changes says what each command changes.
var changes = map[string]string{
	"explain": insists, "decode": insists, "sign": newFolder, "keygen": newFolder, "jwks": reads,
	"quickstart": newFolder, "status": reads, "watch": reads, "revoke": beyond + "; " + dryRun, "revocations": reads, "revocations delete": named,
	"api-key new": named, "api-key list": reads, "api-key edit": named, "api-key roll": named, "api-key disable": named, "api-key enable": named,
	"api-key delete": named, "api-key import": dryRun, "api-key hash": reads, "token": reads, "rotate": beyond, "state accept": dryRun, "state replay": dryRun,
}

// withoutJSON are the commands without --json, and why.
var withoutJSON = map[string]string{"quickstart": "it runs a server until Ctrl-C, and prints what to paste"}

// tree returns caddy jwt as Caddy has it.
func tree() *cobra.Command { return treeOf(command.New(nil)) }

func treeOf(jwt caddycmd.Command) *cobra.Command {
	caddy := &cobra.Command{Use: "caddy", SilenceUsage: true}
	cmd := &cobra.Command{Use: "jwt"}
	caddy.AddCommand(cmd)
	cmd.Short, cmd.Long = jwt.Short, jwt.Long
	jwt.CobraFunc(cmd)
	return cmd
}

// nameOf is a command without caddy jwt.
func nameOf(cmd *cobra.Command) string {
	return strings.TrimSpace(strings.TrimPrefix(cmd.CommandPath(), "caddy jwt"))
}

// commands returns all commands below one, by name.
func commands(cmd *cobra.Command) map[string]*cobra.Command {
	all := map[string]*cobra.Command{}
	for _, sub := range cmd.Commands() {
		all[nameOf(sub)] = sub
		for name, c := range commands(sub) {
			all[name] = c
		}
	}
	return all
}

// runs reports whether a command does something itself, besides having commands.
func runs(cmd *cobra.Command) bool { return !strings.HasSuffix(cmd.Use, "<command>") }

func TestRulesOfFlags(t *testing.T) {
	t.Parallel()
	usages := map[string]string{}
	for name, cmd := range commands(tree()) {
		if !runs(cmd) {
			if _, ok := changes[name]; ok {
				t.Errorf("%s has commands and does nothing itself, but is in the table", name)
			}
			continue
		}
		flag := func(name string) bool { return cmd.Flags().Lookup(name) != nil }
		changes, ok := changes[name]
		if !ok {
			t.Errorf("%s: say in the table of this test what it changes", name)
		}
		if (strings.Contains(changes, beyond) || changes == insists) != flag("yes") || strings.Contains(changes, dryRun) != flag("dry-run") {
			t.Errorf("%s: --yes %v, --dry-run %v; but it changes %s", name, flag("yes"), flag("dry-run"), changes)
		}
		if _, without := withoutJSON[name]; flag("json") == without {
			t.Errorf("%s: --json is %v", name, flag("json"))
		}
		if flag("address") && !flag("config") || flag("config") != flag("adapter") {
			t.Errorf("%s: --address %v, --config %v, --adapter %v", name, flag("address"), flag("config"), flag("adapter"))
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) { checkFlag(t, name, f, usages) })
	}
	for name := range changes {
		if commands(tree())[name] == nil {
			t.Errorf("there is no command %s", name)
		}
	}
}

// shorthands are the letters of flags, which mean the same everywhere.
var shorthands = map[string]string{"f": "file", "c": "config", "a": "adapter", "n": "count"}

var flagName = regexp.MustCompile(`^[a-z]+[0-9]*(-[a-z]+)*$`)

// checkFlag checks a flag. usages are those of the flags before.
func checkFlag(t *testing.T, command string, f *pflag.Flag, usages map[string]string) {
	t.Helper()
	if !flagName.MatchString(f.Name) {
		t.Errorf("%s --%s: names are words with hyphens", command, f.Name)
	}
	if f.Shorthand != "" && shorthands[f.Shorthand] != f.Name {
		t.Errorf("%s --%s: the letter %s is not its letter", command, f.Name, f.Shorthand)
	}
	if u := f.Usage; u == "" || strings.ToUpper(u[:1]) != u[:1] || strings.HasSuffix(u, ".") || strings.Contains(strings.ToLower(u), "(default ") || strings.Contains(u, "`") {
		t.Errorf("%s --%s: a usage begins with a capital, has no full stop, and ends with (default: …) if there is one: %q", command, f.Name, u)
	}
	if before, ok := usages[f.Name]; ok && before != f.Usage && slices.Contains([]string{"address", "adapter", "no-wait", "dry-run"}, f.Name) {
		t.Errorf("%s --%s: %q, and elsewhere %q", command, f.Name, f.Usage, before)
	}
	usages[f.Name] = f.Usage
}

// example is a line of a help, or of the docs, that calls a command.
var example = regexp.MustCompile(`(?m)(?:^ {4}|\| *|\()caddy jwt ([a-z][^\n|)]*)`)

func TestRulesOfHelp(t *testing.T) {
	t.Parallel()
	all := commands(tree())
	for name, cmd := range all {
		if s := cmd.Short; s == "" || strings.HasSuffix(s, ".") || strings.Contains(s, "\n") || strings.ToUpper(s[:1]) != s[:1] {
			t.Errorf("%s: Short is a sentence in a line without a full stop: %q", name, s)
		}
		if !runs(cmd) {
			for _, sub := range cmd.Commands() {
				if !strings.Contains(cmd.Long, "\n  caddy jwt "+nameOf(sub)+" ") {
					t.Errorf("%s: its help does not name %s", name, sub.Name())
				}
			}
			continue
		}
		for _, f := range strings.Fields(strings.NewReplacer("[", " ", "]", " ", "(", " ", ")", " ").Replace(cmd.Use)) {
			if flag, ok := strings.CutPrefix(f, "--"); ok && cmd.Flags().Lookup(flag) == nil {
				t.Errorf("%s: Use names --%s, which there is not", name, flag)
			}
		}
		own := 0
		for _, m := range example.FindAllStringSubmatch(cmd.Long, -1) {
			called, err := parse(m[1])
			if err != nil {
				t.Errorf("%s: the example caddy jwt %s: %v", name, m[1], err)
			}
			if called == name {
				own++
			}
		}
		if own == 0 {
			t.Errorf("%s: its help has no example", name)
		}
	}
	for _, sub := range tree().Commands() {
		if !strings.Contains(tree().Long, "\n  caddy jwt "+sub.Name()+" ") {
			t.Errorf("the help of caddy jwt does not name %s", sub.Name())
		}
	}
}

// words splits a line as a shell does, until a redirection.
var words = regexp.MustCompile(`'[^']*'|"[^"]*"|[^\s'"]+`)

// parse parses the words behind caddy jwt, and returns the command that they call.
func parse(line string) (name string, err error) {
	var args []string
	for _, w := range words.FindAllString(line, -1) {
		if strings.ContainsAny(w, "><;&") && !strings.ContainsAny(w, `'"`) {
			break
		}
		args = append(args, strings.Trim(w, `'"`))
	}
	cmd, rest, err := tree().Find(args)
	if err != nil {
		return "", err
	}
	return nameOf(cmd), cmd.ParseFlags(rest)
}

// TestRulesOfErrors: a command that is misused says so with 2, whatever it is.
func TestRulesOfErrors(t *testing.T) {
	t.Parallel()
	for name, cmd := range commands(tree()) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := strings.Fields(name)
			if !runs(cmd) {
				runJWT(t, "", args...).want(t, 2, "a command is missing")
				runJWT(t, "", append(args, "nonsense")...).want(t, 2, "unknown command")
				return
			}
			r := runJWT(t, "", append(args, "--no-such-flag")...).want(t, 2, "no-such-flag")
			if strings.Contains(r.err, "Usage:") {
				t.Errorf("the usage is printed, too:\n%s", r.err)
			}
			if !strings.Contains(cmd.Use, "...") { // which takes any number of arguments
				runJWT(t, "", append(args, strings.Fields(strings.Repeat("x ", 50))...)...).want(t, 2)
			}
		})
	}
}

// timeFlags are the flags that take a time, and spanFlags those that take a duration, with
// what else their commands need before they look at them.
var timeFlags = map[string][]string{
	"revoke --not-before": {"--sub", "a"}, "revoke --end": {"--sub", "a"},
	"sign --expires": {"--key", "/nowhere"}, "sign --not-before": {"--key", "/nowhere", "--expires", "400d"}, "explain --at": {"--config", "/nowhere"},
	"api-key new --expires": nil, "api-key edit --expires": {"id", "--store", "partners"},
}

var spanFlags = map[string][]string{
	"revoke --skew": {"--sub", "a", "--not-before", "now"}, "watch --for": nil, "api-key roll --overlap": {"id", "--store", "partners"},
	"api-key list --expiring": {"--store", "partners"}, "api-key list --unused": {"--store", "partners"},
}

// unreadable stands for explaining by a config that can't be read.
func unreadable(context.Context, *explain.Offline) (explain.Report, error) {
	return explain.Report{}, errors.New("the config can't be read")
}

func TestRulesOfTimes(t *testing.T) {
	t.Parallel()
	address := closedAddress(t)
	check := func(flags map[string][]string, good, bad []string) {
		for name, others := range flags {
			i := strings.Index(name, "--")
			called, flag := strings.Fields(name[:i]), name[i:]
			for _, value := range append(good, bad...) {
				args := append(append(slices.Clone(called), others...), flag+"="+value)
				if cmd := commands(tree())[strings.Join(called, " ")]; cmd.Flags().Lookup("address") != nil && !slices.Contains(others, "--config") && !strings.HasPrefix(name, "api-key new") { // which works without a server
					args = append(args, "--address", address)
				}
				r := runCommand(t, command.New(unreadable), "", args...)
				if complains := r.code == 2; complains != slices.Contains(bad, value) {
					t.Errorf("%s %s: exit code %d: %s", name, value, r.code, r.err)
				} else if complains && (!strings.Contains(r.err, "such as") || !strings.Contains(r.err, flag)) {
					t.Errorf("%s %s: the error does not say what to write, or where: %s", name, value, r.err)
				}
			}
		}
	}
	check(timeFlags, []string{"24h", "90d", "1h30m"}, []string{"soon", "2030", "31.12.2030", "1700000000"})
	check(spanFlags, []string{"24h", "90d", "1h30m"}, []string{"soon", "-1h", "5"})
	for name, cmd := range commands(tree()) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			full := name + " --" + f.Name
			_, isTime := timeFlags[full]
			_, isSpan := spanFlags[full]
			if says := regexp.MustCompile(`\b(time|duration|[0-9]+(s|h|d))\b`).MatchString(f.Usage); says && f.Value.Type() == "string" && !isTime && !isSpan {
				t.Errorf("%s seems to take a time: it belongs into the tables of this test", full)
			}
		})
	}
}

// documentedIn are the pages whose commands must be there, and where each command must be.
var documentedIn = []string{"../../README.md", "../../SECURITY.md", "../../docs", "../../examples"}

// mention is a command in a text.
var mention = regexp.MustCompile("caddy jwt ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)?)")

func TestDocsAndCommandsAgree(t *testing.T) {
	t.Parallel()
	all := commands(tree())
	seen := map[string]bool{}
	for _, root := range documentedIn {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			flat := strings.Join(strings.Fields(string(text)), " ")
			for _, m := range mention.FindAllStringSubmatch(flat, -1) {
				first, _, _ := strings.Cut(m[1], " ")
				group := all[first]
				if group == nil {
					t.Errorf("%s names the command caddy jwt %s, which there is not", path, first)
					continue
				}
				if runs(group) {
					seen[first] = true
				}
				if all[m[1]] != nil {
					seen[m[1]] = true
				} else if !runs(group) && strings.Contains(m[1], " ") && strings.Contains(flat, "`caddy jwt "+m[1]+"`") {
					t.Errorf("%s names the command caddy jwt %s, which there is not", path, m[1])
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for name, cmd := range all {
		if runs(cmd) && !seen[name] {
			t.Errorf("the docs don't name the command caddy jwt %s", name)
		}
	}
}

// sections are where the reference has a command: the page and the heading, of the first
// command that the name begins with.
var sections = []struct{ command, page, heading string }{
	{"explain", "at-the-desk.md", "## caddy jwt explain"},
	{"watch", "at-the-desk.md", "## caddy jwt watch"},
	{"decode", "at-the-desk.md", "## caddy jwt decode"},
	{"sign", "at-the-desk.md", "## caddy jwt sign"},
	{"keygen", "at-the-desk.md", "## caddy jwt keygen"},
	{"jwks", "at-the-desk.md", "## caddy jwt jwks"},
	{"revocations", "operation.md", "### caddy jwt revoke"},
	{"revoke", "operation.md", "### caddy jwt revoke"},
	{"token", "operation.md", "### caddy jwt token"},
	{"rotate", "operation.md", "### caddy jwt rotate"},
	{"state", "operation.md", "### caddy jwt state"},
	{"api-key", "operation.md", "### caddy jwt api-key"},
	{"", "operation.md", "## Commands"},
}

// TestFlagsAreDocumented: the section of a command names each of its flags.
func TestFlagsAreDocumented(t *testing.T) {
	t.Parallel()
	for name, cmd := range commands(tree()) {
		if !runs(cmd) {
			continue
		}
		for _, s := range sections {
			if !strings.HasPrefix(name+" ", s.command+" ") && s.command != "" {
				continue
			}
			_, text, ok := strings.Cut(contentOf(t, "../../docs/reference/"+s.page), "\n"+s.heading+"\n")
			if !ok {
				t.Fatalf("%s has no section %s", s.page, s.heading)
			}
			text, _, _ = strings.Cut(text, "\n"+strings.Repeat("#", strings.Index(s.heading, " "))+" ")
			cmd.Flags().VisitAll(func(f *pflag.Flag) {
				if !regexp.MustCompile("--" + f.Name + "\\b[^-]").MatchString(text) {
					t.Errorf("%s: section %q does not name --%s of %s", s.page, s.heading, f.Name, name)
				}
			})
			break
		}
	}
}
