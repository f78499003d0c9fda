package command

import (
	"errors"
	"fmt"
	"io"
	"math"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// revocationsCommand returns the command `revocations`.
func revocationsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revocations [--kind <kind>] [--value <value>] [--issuer <issuer>] [--limit <n>]",
		Short: "Lists the rules that revoke made",
		Long: `
Lists the rules that revoke made, of all nodes that share the state.

    caddy jwt revocations --kind sub --value alice

caddy jwt revocations delete takes a rule back. While no server runs, --config works on
the storage that the config names.
`,
	}
	flags := cmd.Flags()
	var q admin.RevocationQuery
	flags.StringVar(&q.Kind, "kind", "", "Only this kind: jti, sub, client, key, kid, issuer or token")
	flags.StringVar(&q.Value, "value", "", "Only rules for this value; of the kind token, its digest")
	flags.StringVar(&q.Issuer, "issuer", "", "Only rules that are limited to this issuer")
	limit := flags.Int("limit", 1000, "How many at most")
	server := endpointFlags(cmd)
	asJSON := jsonFlag(cmd)
	cmd.AddCommand(deleteRevocationCommand())
	return leaf(cmd, 0, math.MaxInt, func(args []string) error {
		if len(args) > 0 {
			return misuse(withHint(errors.New(unknownCommand(args[0], []string{"delete"})), "caddy jwt revocations alone lists the rules; its only command is delete"))
		}
		if err := errors.Join(checkKind(q.Kind), checkInURL("--value", q.Value), checkLimit(*limit), server.find()); err != nil {
			return misuse(err)
		}
		a, done, err := server.open(cmd.Context(), revocationsSet)
		if err != nil {
			return err
		}
		defer done()
		q.Limit = min(*limit, 1000)
		rules, more := []admin.RevocationItem{}, false
		err = each(func(after string) ([]admin.RevocationItem, string, error) {
			q.After = after
			page, err := a.Revocations(cmd.Context(), q)
			return page.Items, page.Next, err
		}, func(rule admin.RevocationItem) bool {
			if len(rules) == *limit {
				more = true
				return false
			}
			rules = append(rules, rule)
			return true
		})
		if err != nil {
			return refused(err)
		}
		if *asJSON {
			err = printJSON(cmd.OutOrStdout(), rules)
		} else {
			err = printRules(cmd.OutOrStdout(), rules)
		}
		if err == nil && more {
			_, err = fmt.Fprintf(cmd.ErrOrStderr(), "There are more than these %d; --limit lists more, --kind, --value and --issuer select.\n", *limit)
		}
		return err
	})
}

func checkKind(kind string) error {
	if kind == "" {
		return nil
	}
	for _, k := range revocation.Kinds {
		if k.String() == kind {
			return nil
		}
	}
	return withHint(errors.New("--kind is not a kind of rule"), "write jti, sub, client, key, kid, issuer or token")
}

// checkInURL returns an error for a value with a credential in it. It becomes a part of a
// request's URL, which servers log.
func checkInURL(flag, value string) error {
	if err := admin.CheckPlain(value); err != nil {
		return fmt.Errorf("%s: %w", flag, err)
	}
	return nil
}

func checkLimit(limit int) error {
	if limit < 1 {
		return errors.New("--limit must be at least 1")
	}
	return nil
}

// printRules prints rules as a table.
func printRules(out io.Writer, rules []admin.RevocationItem) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tKIND\tVALUE\tISSUER\tNOT BEFORE\tEND\tMADE\tBY\tREASON")
	for _, r := range rules {
		value := r.Value
		if r.Store != "" {
			value += " (" + r.Store + ")"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", cell(r.ID), cell(r.Kind), cell(value), cell(r.Issuer),
			shownTime(r.NotBefore), shownTime(r.End), shownTime(r.At), cell(r.By), cell(r.Reason))
	}
	return w.Flush()
}

// cell is a text in a table, "-" for none.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	return terminal.Text(text)
}

// deleteRevocationCommand returns the command `revocations delete`.
func deleteRevocationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete <id | @file | @-> --reason <text>",
		Short: "Takes a rule back",
		Long: `
Takes back a rule, by the id that revoke printed and revocations lists: what it refuses is
accepted again, on all nodes, once that is stored. It takes a reason, for the audit log.
Other rules for the same thing stay.

    caddy jwt revocations delete jti-6b1d09cfa2… --reason 'wrong user'

@FILE and @- read one id a line.
`,
	}
	reason := cmd.Flags().String("reason", "", "Why")
	server := endpointFlags(cmd)
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 1, 1, func(args []string) error {
		if *reason == "" {
			return misuse(withHint(errors.New("a reason is missing"), "write --reason and why the rule is taken back"))
		}
		if err := errors.Join(checkInURL("--reason", *reason), server.find()); err != nil {
			return misuse(err)
		}
		ids, err := readIDs(cmd, args[0])
		if err != nil {
			return err
		}
		a, done, err := server.open(cmd.Context(), revocationsSet)
		if err != nil {
			return err
		}
		defer done()
		return eachID(cmd, ids, *asJSON, func(id string) (admin.RevocationItem, string, error) {
			if err := checkInURL("the id", id); err != nil {
				return admin.RevocationItem{}, "", misuse(err)
			}
			rule, err := a.RemoveRevocation(cmd.Context(), id, *reason)
			return rule, id + ": deleted", refused(err)
		})
	})
}
