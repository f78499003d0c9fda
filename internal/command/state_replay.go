package command

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// replayStateCommand returns the command `state replay`.
func replayStateCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay <audit log | @->",
		Short: "Revokes, disables and deletes again what an audit log has",
		Long: `
Does again what the lines of an audit log say that makes servers refuse more: rules that
were made, API keys that were disabled or deleted. It is for after a backup of the storage
was restored, which is older than the log. What was undone later in the log is not done
again, and what is so already stays as it is, so that the command may be repeated.

    caddy jwt state replay /var/log/caddy/audit.log
    journalctl -u caddy -o cat | caddy jwt state replay @- --dry-run

The log is of JSON lines, those of the logger jwt.audit; others are passed over. It says
nothing of edited and rolled keys that it can do again: they are listed, to look at. So are
the issuers whose signing keys were retired: what those signed is refused again, but keys
that are back in the storage have to be retired again, with caddy jwt rotate --retire-now.
`,
	}
	dryRun := cmd.Flags().Bool("dry-run", false, "Print what would be done and change nothing")
	server := endpointFlags(cmd)
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 1, 1, func(args []string) error {
		if err := server.find(); err != nil {
			return misuse(err)
		}
		in, err := openLog(cmd, args[0])
		if err != nil {
			return err
		}
		defer in.Close()
		log, err := readAuditLog(in)
		if err != nil {
			return err
		}
		a, done, err := server.open(cmd.Context(), "")
		if err != nil {
			return err
		}
		defer done()
		r := replay{cmd: cmd, access: a, dryRun: *dryRun, stored: map[string]bool{}}
		return r.run(log, *asJSON)
	})
}

// openLog opens the log that an argument names.
func openLog(cmd *cobra.Command, arg string) (io.ReadCloser, error) {
	path := strings.TrimPrefix(arg, "@")
	if path == "-" {
		return io.NopCloser(cmd.InOrStdin()), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, located(err)
	}
	return f, nil
}

// replay does again what an audit log has.
type replay struct {
	cmd    *cobra.Command
	access access
	dryRun bool
	stored map[string]bool // by set
	report replayReport
}

// replayReport is what `state replay --json` prints.
type replayReport struct {
	Lines     int         `json:"lines"`     // of the audit log
	Revoked   []string    `json:"revoked"`   // the new rules, or with --dry-run those of the log
	Disabled  []replayKey `json:"disabled"`  // keys
	Deleted   []replayKey `json:"deleted"`   // keys
	Unchanged int         `json:"unchanged"` // what was so already
	Ended     int         `json:"ended"`     // rules that have ended since
	Failed    []string    `json:"failed"`    // what was not done, and why
	Look      []replayKey `json:"look"`      // keys that were edited or rolled
	Retire    []string    `json:"retire"`    // issuers whose signing keys were retired
}

// replayKey is a key of a store.
type replayKey struct {
	Store string `json:"store"`
	ID    string `json:"id"`
}

func (r *replay) run(log auditLog, asJSON bool) error {
	r.report = replayReport{Lines: log.lines, Revoked: []string{}, Disabled: []replayKey{}, Deleted: []replayKey{}, Failed: []string{}, Look: []replayKey{}, Retire: append([]string{}, log.retired...)}
	if log.lines == 0 {
		return withHint(errors.New("the log has no line of the logger jwt.audit"), "is it of JSON lines? a log of another format has no such lines")
	}
	for _, rule := range log.rules {
		r.rule(rule)
	}
	for _, key := range log.keys {
		r.key(key)
	}
	for _, key := range log.others {
		r.report.Look = append(r.report.Look, replayKey{key.store, key.id})
	}
	if err := r.print(asJSON); err != nil {
		return err
	}
	for set, stored := range r.stored {
		if err := awaitStored(r.cmd.Context(), r.access, set, stored); err != nil {
			return err
		}
	}
	if n := len(r.report.Failed); n > 0 {
		return fmt.Errorf("%d lines could not be done again", n)
	}
	return nil
}

// rule makes a rule again, unless it or one that refuses as much is there.
func (r *replay) rule(rule admin.RevocationItem) {
	ctx := r.cmd.Context()
	if !rule.End.IsZero() && !rule.End.After(time.Now()) {
		r.report.Ended++
		return
	}
	there := false
	err := each(func(after string) ([]admin.RevocationItem, string, error) {
		page, err := r.access.Revocations(ctx, admin.RevocationQuery{Kind: rule.Kind, Value: rule.Value, Issuer: rule.Issuer, Limit: 1000, After: after})
		return page.Items, page.Next, err
	}, func(other admin.RevocationItem) bool {
		there = covers(other, rule)
		return !there
	})
	switch {
	case err != nil:
		r.fail(rule.ID, err)
	case there:
		r.report.Unchanged++
	case r.dryRun:
		r.report.Revoked = append(r.report.Revoked, rule.ID)
	default:
		request := admin.RevocationRequest{
			Kind: rule.Kind, Value: rule.Value, Issuer: rule.Issuer, Store: rule.Store,
			NotBefore: rule.NotBefore, End: rule.End, Reason: rule.Reason,
		}
		request.AnyIssuer = rule.Issuer == "" && slices.Contains([]string{"jti", "sub", "client"}, rule.Kind)
		made, err := r.access.Revoke(ctx, request)
		if err != nil {
			r.fail(rule.ID, err)
			return
		}
		r.report.Revoked = append(r.report.Revoked, made.ID)
		r.isStored(revocationsSet, made.Stored)
	}
}

// covers reports whether a rule refuses all that another refuses.
func covers(rule, other admin.RevocationItem) bool {
	return rule.Kind == other.Kind && rule.Value == other.Value &&
		(rule.Issuer == "" || rule.Issuer == other.Issuer) && (rule.Store == "" || rule.Store == other.Store) &&
		(rule.NotBefore.IsZero() || !other.NotBefore.IsZero() && !rule.NotBefore.Before(other.NotBefore)) &&
		(rule.End.IsZero() || !other.End.IsZero() && !rule.End.Before(other.End))
}

// key disables or deletes a key again.
func (r *replay) key(key auditKey) {
	ctx := r.cmd.Context()
	item, err := r.access.GetKey(ctx, key.store, key.id)
	status, answered := errors.AsType[*admin.StatusError](err)
	switch {
	case answered && (status.Code == http.StatusGone || status.Code == http.StatusNotFound):
		r.report.Unchanged++
		return
	case err != nil:
		r.fail(key.id, err)
		return
	case key.change == "disabled" && item.State == "disabled":
		r.report.Unchanged++
		return
	}
	list := &r.report.Deleted
	if key.change == "disabled" {
		list = &r.report.Disabled
	}
	stored := true
	if !r.dryRun {
		var answer admin.KeyAnswer
		if key.change == "disabled" {
			disabled := false
			answer, err = r.access.EditKey(ctx, key.store, key.id, admin.KeyEdit{Enabled: &disabled})
		} else {
			answer, err = r.access.DeleteKey(ctx, key.store, key.id)
		}
		if err != nil {
			r.fail(key.id, err)
			return
		}
		stored = answer.Stored
	}
	*list = append(*list, replayKey{key.store, key.id})
	r.isStored(keysSet(key.store), stored)
}

func (r *replay) fail(id string, err error) {
	r.report.Failed = append(r.report.Failed, id+": "+err.Error())
}

// isStored notes whether all changes of a set are stored so far.
func (r *replay) isStored(set string, stored bool) {
	before, known := r.stored[set]
	r.stored[set] = stored && (before || !known)
}

func (r *replay) print(asJSON bool) error {
	out, notes := r.cmd.OutOrStdout(), r.cmd.ErrOrStderr()
	if asJSON {
		return printJSON(out, r.report)
	}
	done := map[bool]string{false: "", true: "would be "}[r.dryRun]
	for _, id := range r.report.Revoked {
		fmt.Fprintf(out, "%s: %srevoked\n", cell(id), done)
	}
	for _, list := range []struct {
		action string
		keys   []replayKey
	}{{"disabled", r.report.Disabled}, {"deleted", r.report.Deleted}} {
		for _, k := range list.keys {
			fmt.Fprintf(out, "%s in %s: %s%s\n", cell(k.ID), cell(k.Store), done, list.action)
		}
	}
	for _, failure := range r.report.Failed {
		fmt.Fprintf(notes, "Failed: %s\n", cell(failure))
	}
	for _, k := range r.report.Look {
		fmt.Fprintf(notes, "Look at the key %s in %s: it was edited or rolled.\n", cell(k.ID), cell(k.Store))
	}
	for _, issuer := range r.report.Retire {
		fmt.Fprintf(notes, "Signing keys of %s were retired: if they are back, retire them again, with caddy jwt rotate --retire-now.\n", cell(issuer))
	}
	_, err := fmt.Fprintf(notes, "%d lines of the audit log, %d were so already, %d rules have ended.\n", r.report.Lines, r.report.Unchanged, r.report.Ended)
	return err
}
