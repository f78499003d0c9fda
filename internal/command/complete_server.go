package command

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// maxCompleted is how many ids a shell is given.
const maxCompleted = 1000

// valueOf returns the value of a flag, empty if the command does not have it.
func valueOf(cmd *cobra.Command, flag string) string {
	if f := cmd.Flags().Lookup(flag); f != nil {
		return f.Value.String()
	}
	return ""
}

// asking returns a client for the server that the flags name, and nil if they name none.
func asking(cmd *cobra.Command) (*admin.Client, context.Context, context.CancelFunc) {
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	address, err := admin.Endpoint(valueOf(cmd, "address"), valueOf(cmd, "config"), valueOf(cmd, "adapter"))
	if err != nil {
		return nil, ctx, cancel
	}
	return &admin.Client{Address: address, Timeout: completeTimeout}, ctx, cancel
}

// fromStatus completes words of the status page of the running server. Without a server
// there are none, and nothing is said about it: a shell is no place for errors.
func fromStatus(words func(p admin.Page) []string) completer {
	return func(cmd *cobra.Command, _ string) ([]string, cobra.ShellCompDirective) {
		client, ctx, cancel := asking(cmd)
		defer cancel()
		if client == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		page, _, err := client.Status(ctx)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var all []string
		for _, word := range words(page) {
			if shellSafe(word) {
				all = append(all, word)
			}
		}
		slices.Sort(all)
		return slices.Compact(all), cobra.ShellCompDirectiveNoFileComp
	}
}

var (
	// sites completes the hosts of sites.
	sites = fromStatus(func(p admin.Page) (all []string) {
		for _, site := range p.Sites {
			all = append(all, strings.Split(site, ", ")...)
		}
		return all
	})
	// issuers completes the "iss" of issuers and token services.
	issuers = fromStatus(func(p admin.Page) (all []string) {
		for i := range p.Issuers {
			all = append(all, p.Issuers[i].Issuers...)
		}
		for i := range p.Services {
			all = append(all, p.Services[i].Issuer)
		}
		return all
	})
	// keyIDs completes the ids of keys that sign tokens.
	keyIDs = fromStatus(func(p admin.Page) (all []string) {
		for i := range p.Issuers {
			for _, k := range p.Issuers[i].Keys {
				all = append(all, k.ID)
			}
		}
		return all
	})
	// stores completes the stores of API keys in the storage.
	stores = fromStatus(func(p admin.Page) (all []string) {
		if p.State == nil {
			return nil
		}
		for i := range p.State.Sets {
			if name, ok := strings.CutPrefix(p.State.Sets[i].Name, keysSet("")); ok {
				all = append(all, name)
			}
		}
		return all
	})
)

// described is a word with what it is, as shells show it.
func described(word, what string) string {
	if what == "" || what == word {
		return word
	}
	return word + "\t" + terminal.Text(what)
}

// apiKeyIDs completes the ids of the API keys of the running server: of the store that is
// named, or of all.
func apiKeyIDs(cmd *cobra.Command, _ string) ([]string, cobra.ShellCompDirective) {
	client, ctx, cancel := asking(cmd)
	defer cancel()
	if client == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	page, err := client.ListKeys(ctx, admin.KeyQuery{Store: valueOf(cmd, "store"), Limit: maxCompleted})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	for i := range page.Items {
		if k := &page.Items[i]; shellSafe(k.ID) {
			all = append(all, described(k.ID, firstOf(k.Name, k.Consumer)))
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

// errEnough ends the reading of a key file.
var errEnough = errors.New("enough")

// keysOfPlace completes the ids of the file or store that is named, or a file that has the
// ids.
func keysOfPlace(cmd *cobra.Command, toComplete string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(toComplete, "@") {
		return atFile(cmd, toComplete)
	}
	path := valueOf(cmd, "file")
	if path == "" {
		return apiKeyIDs(cmd, toComplete)
	}
	var all []string
	// What was read before an error is better than nothing.
	_ = apikey.ReadEach(path, func(r apikey.Record) error {
		if shellSafe(r.ID) && strings.HasPrefix(r.ID, toComplete) {
			all = append(all, described(r.ID, firstOf(r.Name, r.Consumer)))
		}
		if len(all) == maxCompleted {
			return errEnough
		}
		return nil
	})
	return all, cobra.ShellCompDirectiveNoFileComp
}

// ruleIDs completes the ids of rules.
func ruleIDs(cmd *cobra.Command, toComplete string) ([]string, cobra.ShellCompDirective) {
	if strings.HasPrefix(toComplete, "@") {
		return atFile(cmd, toComplete)
	}
	client, ctx, cancel := asking(cmd)
	defer cancel()
	if client == nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	page, err := client.Revocations(ctx, admin.RevocationQuery{Limit: maxCompleted})
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var all []string
	for i := range page.Items {
		if r := &page.Items[i]; shellSafe(r.ID) {
			all = append(all, described(r.ID, firstOf(r.Reason, r.Value)))
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp
}

func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
