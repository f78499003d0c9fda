package command

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// completer returns what may stand where a shell completes a word. The values of flags that
// are written already are in cmd.
type completer func(cmd *cobra.Command, toComplete string) ([]string, cobra.ShellCompDirective)

// completeTimeout is how long a running server may take to answer a shell.
const completeTimeout = time.Second

// flagCompleters are the completers of flags. A flag means the same in all commands that
// have it, unless it is here by the name of its command, too.
var flagCompleters = map[string]completer{
	"site": sites, "issuer": issuers, "store": stores, "kid": keyIDs, "revoke --key": apiKeyIDs, "revocations --kind": listed(kinds()...),
	"iss": issuers, "typ": listed("JWT", "at+jwt"), "bits": listed("2048", "3072", "4096"), "watch --reason": reasons, "alg": listed("ES256", "EdDSA", "RS256", "HS256"),
	"method": listed("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"), "header": listed("Authorization:", "Cookie:", "Host:", "Origin:", "X-API-Key:"),

	"config": files, "adapter": listed("caddyfile", "json"), "dir": folders, "ca": files, "file": files, "append": files,
	"key": files, "jwks": files, "out": files, "secret-file": files, "key-file": files, "assertion-file": files, "claims": atFile, "token": atFile, "log": atFile,

	"expires": listed("24h", "30d", "90d", "365d"), "api-key edit --expires": listed("24h", "30d", "90d", "365d", "never"),
	"end": listed("1h", "24h", "90d"), "not-before": listed("now", "1h", "24h"), "skew": listed("30s", "1m"), "for": listed("30s", "5m"),
	"overlap": listed("0s", "1h", "24h", "7d"), "expiring": listed("14d", "30d"), "unused": listed("30d", "90d"),
}

// freeText are flags whose value nobody can know.
var freeText = []string{
	"address", "name", "description", "consumer", "scopes", "scope", "meta", "id", "prefix", "reason", "value", "limit", "count", "port", "skew",
	"jti", "sub", "client", "client-id", "secret-env", "resource", "audience", "aud", "claim", "uri", "host", "remote", "at", "data", "mcp-tool", "token --kid",
}

// argumentCompleters are the completers of arguments, by the name of the command.
var argumentCompleters = map[string]completer{
	"api-key edit": keysOfPlace, "api-key roll": keysOfPlace, "api-key disable": keysOfPlace, "api-key enable": keysOfPlace, "api-key delete": keysOfPlace,
	"api-key hash": atFile, "api-key import": files, "revocations delete": ruleIDs, "revoke": atFile, "state replay": files,
	"explain": atFile, "decode": atFile, "jwks": files,
}

// completions registers what shells complete for a command and all below it.
func completions(cmd *cobra.Command, name string) {
	for _, sub := range cmd.Commands() {
		completions(sub, strings.TrimSpace(name+" "+sub.Name()))
	}
	if cmd.ValidArgsFunction == nil {
		arguments := argumentCompleters[name]
		cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if arguments == nil || len(args) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return beginning(toComplete)(arguments(cmd, toComplete))
		}
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if _, ok := cmd.GetFlagCompletionFunc(f.Name); ok || f.Value.Type() == "bool" {
			return
		}
		values := flagCompleters[name+" --"+f.Name]
		if values == nil && !isFreeText(name, f.Name) {
			values = flagCompleters[f.Name]
		}
		// The error would be about a flag that there is not.
		_ = cmd.RegisterFlagCompletionFunc(f.Name, func(cmd *cobra.Command, _ []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if values == nil {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			return beginning(toComplete)(values(cmd, toComplete))
		})
	})
}

// beginning returns a function that leaves out the words that don't begin with a text.
func beginning(with string) func([]string, cobra.ShellCompDirective) ([]string, cobra.ShellCompDirective) {
	return func(words []string, directive cobra.ShellCompDirective) ([]string, cobra.ShellCompDirective) {
		var all []string // the list may be shared
		for _, word := range words {
			if strings.HasPrefix(word, with) {
				all = append(all, word)
			}
		}
		return all, directive
	}
}

// isFreeText reports whether nobody can know the value of a flag.
func isFreeText(command, flag string) bool {
	return slices.Contains(freeText, command+" --"+flag) || slices.Contains(freeText, flag)
}

// listed completes words.
func listed(words ...string) completer {
	return func(*cobra.Command, string) ([]string, cobra.ShellCompDirective) {
		return words, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveKeepOrder
	}
}

// reasons completes the codes of refusals.
func reasons(*cobra.Command, string) ([]string, cobra.ShellCompDirective) {
	var all []string
	for _, code := range reason.All {
		all = append(all, string(code))
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// kinds are the kinds of rules.
func kinds() []string {
	var all []string
	for _, k := range revocation.Kinds {
		all = append(all, k.String())
	}
	return all
}

// files leaves it to the shell, which completes files.
func files(*cobra.Command, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}

// folders leaves it to the shell, which completes folders.
func folders(*cobra.Command, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}

// atFile completes @ and the path of a file, as arguments take it.
func atFile(_ *cobra.Command, toComplete string) ([]string, cobra.ShellCompDirective) {
	path, ok := strings.CutPrefix(toComplete, "@")
	if !ok {
		return []string{"@", "@-"}, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	folder, beginning := filepath.Split(path)
	in := folder
	if in == "" {
		in = "."
	}
	entries, err := os.ReadDir(in)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	directive := cobra.ShellCompDirectiveNoFileComp
	for _, e := range entries {
		if name := e.Name(); strings.HasPrefix(name, beginning) && (beginning != "" || !strings.HasPrefix(name, ".")) && shellSafe(name) {
			if e.IsDir() {
				name += string(filepath.Separator)
				directive |= cobra.ShellCompDirectiveNoSpace
			}
			all = append(all, "@"+folder+name)
		}
	}
	return all, directive
}

// shellSafe reports whether a word is shown, and read, by shells and terminals as it is.
func shellSafe(word string) bool {
	return word != "" && terminal.Text(word) == word && !strings.ContainsAny(word, " \t'\"\\$`!*?;&|<>(){}[]#~")
}
