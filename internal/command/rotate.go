package command

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// rotateFlags are the flags of `rotate`.
type rotateFlags struct {
	admin.SigningRequest
	yes  bool
	json *bool
}

// rotateCommand returns the command `rotate`.
func rotateCommand() *cobra.Command {
	f := new(rotateFlags)
	cmd := &cobra.Command{
		Use:   "rotate [--issuer <url>] [--forward] [--retire-now [--yes]] [--json]",
		Short: "Changes the signing keys of a token service",
		Long: `
Has the next signing key of a token service sign, on all servers that share it, and makes
another next one. A key signs only when it has been published for a day, so that verifiers
that keep the key set know it: until then the key stays that signs, and the command says
from when on the next one does. No token is refused for it. Servers do this by themselves
as well, after the time that the option rotate of authorization_server sets. It prints the
id of the key that signs.

    caddy jwt rotate
    caddy jwt rotate --issuer https://auth.example.com

With --forward it is about the keys of the tokens that upstreams get (forward_jwt).

If others may have the keys, such as with a copy of the storage:

    caddy jwt rotate --retire-now --yes

It retires the key that signs and the next one, and deletes them: all tokens that they
signed are refused from now on, on this server at once, on the others within their
sync_interval, and clients have to fetch new ones. A new key signs at once. Verifiers
elsewhere trust the old keys until they fetch the key set again, which says that it may be
kept for 5 minutes; those that ask the introspection endpoint refuse the tokens at once.
Without --yes the command prints which keys it would retire, and changes nothing.

The exit code is 1 if what was retired could not be stored within 10 s.
`,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.Issuer, "issuer", "", "The issuer of the token service (default: the only one)")
	flags.BoolVar(&f.Forward, "forward", false, "The keys of the tokens for upstreams")
	flags.BoolVar(&f.RetireNow, "retire-now", false, "Retire the keys: what they signed is refused")
	flags.BoolVar(&f.yes, "yes", false, "Retire them without asking")
	server := endpointFlags(cmd)
	f.json = jsonFlag(cmd)
	return leaf(cmd, 0, 0, func([]string) error { return f.run(cmd, server) })
}

func (f *rotateFlags) run(cmd *cobra.Command, server *serverAddress) error {
	switch {
	case f.Issuer == "" && cmd.Flags().Changed("issuer"):
		return misuse(errors.New("--issuer is empty; an unset variable, perhaps"))
	case f.yes && !f.RetireNow:
		return misuse(withHint(errors.New("--yes goes with --retire-now"), "remove it"))
	}
	if err := server.find(); err != nil {
		return misuse(err)
	}
	if !admin.Listens(server.endpoint) {
		return withHint(fmt.Errorf("no server answers at %s, and nothing was changed", server.endpoint),
			"is its admin endpoint elsewhere? name it with --address or --config. Keys are made by a running server; while it is down, caddy jwt revoke --kid with --config refuses what a key signed")
	}
	a := access{Client: &admin.Client{Address: server.endpoint}}
	if f.RetireNow && !f.yes {
		return f.ask(cmd, a)
	}
	made, err := a.RotateSigningKeys(cmd.Context(), f.SigningRequest)
	if err != nil {
		return refused(err)
	}
	return f.report(cmd, a, made)
}

// ask prints what would be retired.
func (f *rotateFlags) ask(cmd *cobra.Command, a access) error {
	page, err := a.SigningKeys(cmd.Context())
	if err != nil {
		return refused(err)
	}
	set, err := f.find(page)
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "These keys of %s would be retired, and all tokens that they signed refused:\n", terminal.Text(set.Issuer))
	for _, k := range set.Keys {
		if k.State != "retired" {
			fmt.Fprintf(cmd.ErrOrStderr(), "  %s (%s)\n", cell(k.KeyID), cell(k.State))
		}
	}
	return withHint(errors.New("nothing was changed"), "if these keys are to be retired, call the command again with --yes; without --retire-now the next key takes over, and tokens stay valid")
}

// find returns the keys that the flags name.
func (f *rotateFlags) find(page admin.SigningPage) (admin.SigningSetItem, error) {
	var names []string
	for _, s := range page.Services {
		names = append(names, s.Issuer)
		switch {
		case s.Issuer != f.Issuer && !(f.Issuer == "" && len(page.Services) == 1):
		case !f.Forward:
			return s.Service, nil
		case s.Forward != nil:
			return *s.Forward, nil
		default:
			return admin.SigningSetItem{}, fmt.Errorf("the service %s signs no tokens for upstreams", s.Issuer)
		}
	}
	switch {
	case len(names) == 0:
		return admin.SigningSetItem{}, errors.New("the config of the server has no token service")
	case f.Issuer == "":
		return admin.SigningSetItem{}, misuse(withHint(fmt.Errorf("the server has %d token services", len(names)), "name one with --issuer: %s", strings.Join(names, ", ")))
	}
	return admin.SigningSetItem{}, withHint(errors.New("there is no token service with this issuer"), "the server has %s", strings.Join(names, ", "))
}

// report prints what was done, and waits until it is stored.
func (f *rotateFlags) report(cmd *cobra.Command, a access, made admin.SigningAnswer) error {
	waited := awaitAllStored(cmd.Context(), a, made.Stored)
	if made.Stored = waited == nil; waited != nil {
		waited = withHint(errors.New("what was retired is refused on this node only, as it could not be stored within 10 s"),
			"the server goes on trying until it is stopped, and caddy jwt status shows what is not stored; don't call the command again, as it would retire the new keys too")
	}
	var err error
	if *f.json {
		err = printJSON(cmd.OutOrStdout(), made)
	} else {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), terminal.Text(made.Signing.KeyID))
	}
	if err != nil {
		return err
	}
	notes := cmd.ErrOrStderr()
	if len(made.Retired) > 0 {
		fmt.Fprintf(notes, "Retired: %s\n", terminal.Text(strings.Join(made.Retired, " ")))
	}
	if made.Next.KeyID != "" {
		fmt.Fprintf(notes, "The next key is %s, which signs from %s on at the earliest.\n", terminal.Text(made.Next.KeyID), shownTime(made.Next.SignsFrom))
	}
	for _, note := range made.Notes {
		fmt.Fprintf(notes, "Note: %s\n", terminal.Text(note))
	}
	if waited == nil && len(made.Rules) < len(made.Retired) {
		return errors.New("the keys are retired, but not all rules could be made that refuse what they signed; see the note above")
	}
	return waited
}

// awaitAllStored waits until all changes of all sets are stored.
func awaitAllStored(ctx context.Context, a access, stored bool) error {
	if stored {
		return nil
	}
	page, _, err := a.Status(ctx)
	if err != nil || page.State == nil {
		return errUnstored
	}
	for i := range page.State.Sets {
		s := &page.State.Sets[i]
		if err := awaitStored(ctx, a, s.Name, s.Unstored == 0); err != nil {
			return err
		}
	}
	return nil
}
