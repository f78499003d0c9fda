package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/refusal"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

const (
	// watchWait is how long a request for refusals waits for one.
	watchWait = 30 * time.Second
	// watchPause is how long watch waits before it asks a server again that did not answer.
	watchPause = 500 * time.Millisecond
)

// watchCommand returns the command `caddy jwt watch`.
func watchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch [--site <host>] [--reason <code>] [--count <n>] [--for <duration>] [--json] [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Prints the requests that the running server refuses, as they happen",
		Long: `
Prints each request that the running server refuses, or would refuse without report mode,
as it happens: when, the site, the status and reason, the request, and what exactly was
wrong. There is no credential in it. What caddy jwt watch does not say of a token, caddy
jwt explain does.

    caddy jwt watch
    caddy jwt watch --site api.example.com --reason expired
    caddy jwt watch --for 30s --json

It goes on until Ctrl-C, through reloads and restarts of the server. --count and --for end
it earlier, for scripts; the exit code is 0 then, whether anything was refused or not.

With --json, each refusal is one JSON object in a line. Refusals that came faster than
they were read are counted on standard error. The server keeps refusals only while
somebody watches.

The endpoint is found by --address or --config, else it is Caddy's default.
`,
	}
	w := &watch{out: cmd.OutOrStdout, notes: cmd.ErrOrStderr}
	cmd.Flags().StringVar(&w.query.Site, "site", "", "Only refusals of the site with this host")
	cmd.Flags().StringVar(&w.query.Reason, "reason", "", "Only refusals with this reason, such as expired")
	cmd.Flags().IntVarP(&w.count, "count", "n", 0, "End after this many refusals (default: never)")
	span := cmd.Flags().String("for", "", "End after this time, such as 30s (default: never)")
	w.asJSON = jsonFlag(cmd)
	server := endpointFlags(cmd)
	return leaf(cmd, 0, 0, func([]string) error {
		if err := w.check(cmd.Flags().Changed("count")); err != nil {
			return misuse(err)
		}
		length, err := parseSpan(*span)
		if err != nil || length == 0 && *span != "" {
			return misuse(fmt.Errorf("--for: %s is not valid; write a duration such as 30s", apikey.Quote(*span)))
		}
		if err := server.find(); err != nil {
			return misuse(err)
		}
		ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if length > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, length)
			defer cancel()
		}
		return w.run(ctx, &admin.Client{Address: server.endpoint})
	})
}

// watch is a run of the command.
type watch struct {
	query      admin.RefusalQuery
	count      int // how many refusals to print; 0 for no limit
	asJSON     *bool
	out, notes func() io.Writer

	printed int
	down    bool // whether the server did not answer last
}

func (w *watch) check(counted bool) error {
	if counted && w.count < 1 {
		return errors.New("--count: it must be a number above 0")
	}
	if code := w.query.Reason; code != "" && !slices.Contains(reason.All, reason.Code(code)) {
		err := fmt.Errorf("--reason: there is no reason %s", apikey.Quote(code))
		var all []string
		for _, c := range reason.All {
			all = append(all, string(c))
		}
		if meant := setting.Nearest(code, all); meant != "" {
			return withHint(err, "is %s meant?", meant)
		}
		return withHint(err, "the reasons are %s", strings.Join(all, ", "))
	}
	if err := admin.CheckPlain(w.query.Site); err != nil {
		return fmt.Errorf("--site: %w", err)
	}
	return nil
}

// run prints refusals until ctx is done, or as many as are wanted.
func (w *watch) run(ctx context.Context, client *admin.Client) error {
	if err := w.begin(ctx, client); err != nil || ctx.Err() != nil {
		return err
	}
	w.query.Wait = watchWait
	for {
		page, err := client.Refusals(ctx, w.query)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if !passing(err) {
				return err
			}
			w.notAnswered(client, err)
			select {
			case <-time.After(watchPause):
			case <-ctx.Done():
				return nil
			}
			continue
		case w.down:
			w.down = false
			w.note("the server at %s answers again; what it refused meanwhile is not known", client.Address)
		}
		w.query.After = page.Next
		if page.Missed > 0 {
			w.note("%d refusals were missed: they came faster than they were read", page.Missed)
		}
		for i := range page.Refusals {
			if err := w.print(&page.Refusals[i]); err != nil {
				return err
			}
			if w.printed++; w.printed == w.count {
				return nil
			}
		}
	}
}

// begin finds out from where on refusals are new, and says that it watches.
func (w *watch) begin(ctx context.Context, client *admin.Client) error {
	page, err := client.Refusals(ctx, w.query)
	if ctx.Err() != nil {
		return nil
	}
	if _, ok := errors.AsType[*admin.NoAnswerError](err); ok {
		return withHint(err, "is the endpoint elsewhere? name it with --address or --config; with admin off there is none")
	}
	if err != nil {
		return refused(err)
	}
	w.query.After = page.Next
	if w.query.Site != "" {
		if err := checkSite(ctx, client, w.query.Site); err != nil {
			return misuse(err)
		}
	}
	w.note("watching the refusals of the server at %s until Ctrl-C; while nothing is refused, nothing is printed", client.Address)
	w.note("caddy jwt explain says more about a token in hand")
	return nil
}

// checkSite returns an error for a host that no site has. A server that does not tell its
// sites may have any.
func checkSite(ctx context.Context, client *admin.Client, host string) error {
	page, _, err := client.Status(ctx)
	if err != nil || len(page.Sites) == 0 {
		return nil //nolint:nilerr // then the refusals themselves tell
	}
	for _, site := range page.Sites {
		if admin.IsSite(site, host) {
			return nil
		}
	}
	return withHint(fmt.Errorf("--site: no site with a jwt handler is named %s", apikey.Quote(host)), "the sites are %s", strings.Join(page.Sites, ", "))
}

// passing reports whether an error may go away by itself: the server is being restarted, or
// runs without a jwt handler for now.
func passing(err error) bool {
	if _, ok := errors.AsType[*admin.NoAnswerError](err); ok {
		return true
	}
	status, ok := errors.AsType[*admin.StatusError](err)
	return ok && status.Code >= http.StatusInternalServerError
}

// notAnswered says once that the server does not answer.
func (w *watch) notAnswered(client *admin.Client, err error) {
	if w.down {
		return
	}
	w.down = true
	if status, ok := errors.AsType[*admin.StatusError](err); ok {
		w.note("the server at %s answers: %s; asking again until that changes", client.Address, status.Message)
		return
	}
	w.note("the server at %s does not answer; asking again until it does", client.Address)
}

// note prints a line to standard error.
func (w *watch) note(format string, args ...any) {
	fmt.Fprintln(w.notes(), terminal.Text(fmt.Sprintf(format, args...)))
}

// print prints a refusal.
func (w *watch) print(r *refusal.Seen) error {
	if *w.asJSON {
		return printJSONLine(w.out(), r)
	}
	_, err := fmt.Fprintln(w.out(), terminal.Text(refusalLine(r)))
	return err
}

// refusalLine returns the line about a refusal.
func refusalLine(r *refusal.Seen) string {
	target := r.URI
	if strings.HasPrefix(target, "/") {
		target = r.Host + target
	}
	line := fmt.Sprintf("%s  %s  %d %s  %s %s", shownTime(r.Time), r.Site, r.Status, r.Reason, r.Method, target)
	var more []string
	if r.Reported {
		more = append(more, "only reported")
	}
	for _, m := range [...]struct{ name, value string }{
		{"requirement", r.Requirement}, {"detail", r.Detail}, {"user", r.User}, {"issuer", r.Issuer},
	} {
		if m.value != "" {
			more = append(more, m.name+": "+m.value)
		}
	}
	if len(more) > 0 {
		line += "  (" + strings.Join(more, "; ") + ")"
	}
	return line
}
