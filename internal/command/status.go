package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// statusCommand returns the command `caddy jwt status`.
func statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [--json] [--ready] [--address <interface>] [--config <path> [--adapter <name>]]",
		Short: "Shows the issuers, API keys, token services and shared state of the running server",
		Long: `
Asks the running server, through its admin endpoint, for its issuers: where
their keys come from, which are in hand and how old they are, when they are
fetched again, and the last error. Behind them it shows the files of API keys:
how many keys are in hand, when they were read, and the last error. Then come the token
services, with the id of the key that signs and when the next one does, and last the state
that servers share: revocations, stores of API keys and signing keys.

The exit code is 1 if the keys of an issuer can't be fetched, a file of API keys
can't be used, or shared state is damaged or not ready.

With --ready it prints nothing but what is not ready, and the exit code is 1 until the
shared state is there: for probes that decide whether a server gets requests.

    caddy jwt status --ready

The endpoint is found by --address or --config, else it is Caddy's default.
`,
	}
	asJSON := cmd.Flags().Bool("json", false, "Print what the admin endpoint answers")
	ready := cmd.Flags().Bool("ready", false, "Only tell, by the exit code, whether the shared state is ready")
	server := endpointFlags(cmd)
	return leaf(cmd, 0, 0, func([]string) error {
		if *ready {
			return statusReady(cmd.Context(), server, *asJSON, cmd.OutOrStdout())
		}
		return status(server, *asJSON, cmd.OutOrStdout())
	})
}

// errUnhealthy makes the exit code 1. What is wrong has been printed.
var errUnhealthy = errors.New("the keys of an issuer can't be fetched, an issuer can't be asked about tokens, or a file of API keys can't be used")

// errBadState makes the exit code 1 for shared state. What is wrong has been printed.
var errBadState = errors.New("shared state is damaged or not ready")

// readyTimeout is how long status --ready waits for an answer: probes wait no longer.
const readyTimeout = 2 * time.Second

// statusReady returns an error unless the shared state of the running server is ready.
func statusReady(ctx context.Context, server *serverAddress, asJSON bool, out io.Writer) error {
	if err := server.find(); err != nil {
		return misuse(err)
	}
	page, ready, err := (&admin.Client{Address: server.endpoint, Timeout: readyTimeout}).Status(ctx)
	if err != nil {
		return err
	}
	if asJSON {
		if err := printJSON(out, struct {
			Ready bool `json:"ready"`
		}{ready}); err != nil {
			return err
		}
	}
	if ready {
		return nil
	}
	var names []string
	if page.State != nil {
		for i := range page.State.Sets {
			if s := &page.State.Sets[i]; !s.Ready {
				names = append(names, s.Name)
			}
		}
	}
	return fmt.Errorf("not ready: %s", strings.Join(names, ", "))
}

// status prints the state of the running server.
func status(server *serverAddress, asJSON bool, out io.Writer) error {
	if err := server.find(); err != nil {
		return misuse(err)
	}
	address := server.endpoint
	page, body, err := admin.Ask(address)
	notOurs, answered := errors.AsType[admin.NotOursError](err)
	switch {
	case err == nil:
	case answered:
		return fmt.Errorf("the server at %s does not answer with a status page of caddy-jwt: %w", address, notOurs.Err)
	case !admin.Listens(address):
		return fmt.Errorf("no server answers at %s (is its admin endpoint elsewhere? name it with --address or --config; with admin off there is none): %w", address, err)
	default:
		return fmt.Errorf("asking the server at %s: %w", address, err)
	}
	if asJSON {
		_, err = out.Write(body)
	} else {
		err = printPage(out, page)
	}
	if err != nil {
		return err
	}
	for _, s := range page.Issuers {
		if s.LastError != "" {
			return errUnhealthy
		}
	}
	for _, s := range page.APIKeys {
		if s.LastError != "" {
			return errUnhealthy
		}
	}
	for i := range page.Introspections {
		// One call may fail for what is in a token, which anybody can send.
		if page.Introspections[i].State == "failing" {
			return errUnhealthy
		}
	}
	if page.State != nil {
		for i := range page.State.Sets {
			if s := &page.State.Sets[i]; !s.Ready || s.Damaged > 0 {
				return errBadState
			}
		}
	}
	return nil
}

// printPage prints the page for people.
func printPage(out io.Writer, p admin.Page) error {
	if len(p.Issuers) == 0 && len(p.Introspections) == 0 && len(p.APIKeys) == 0 && len(p.Services) == 0 && p.State == nil {
		_, err := fmt.Fprintln(out, "No site has a jwt handler with issuers or files of API keys.")
		return err
	}
	return errors.Join(printIssuers(out, p), printIntrospections(out, p), printAPIKeys(out, p), printServices(out, p, time.Now()), printState(out, p.State))
}

// printIssuers prints the issuers.
func printIssuers(out io.Writer, p admin.Page) error {
	if len(p.Issuers) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ISSUER\tID\tSTATE\tKEYS\tAGE\tNEXT REFRESH")
	for _, s := range p.Issuers {
		state := s.State
		if s.Restored {
			state += ", restored"
		}
		age, next := "-", "-"
		if s.Kind != "config" && !s.FetchedAt.IsZero() {
			age = (time.Duration(s.AgeSeconds) * time.Second).String()
		}
		if !s.NextRefresh.IsZero() {
			next = "in " + max(0, time.Until(s.NextRefresh)).Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\n", terminal.Text(strings.Join(s.Issuers, " ")), terminal.Text(s.ID), terminal.Text(state), len(s.Keys), age, next)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range p.Issuers {
		for _, k := range s.Keys {
			name := "without kid"
			if k.ID != "" {
				name = fmt.Sprintf("kid %q", k.ID)
			}
			if _, err := fmt.Fprintf(out, "  %s\n", terminal.Text(fmt.Sprintf("%s: %s %s %s", s.ID, name, k.Family, k.Algorithm))); err != nil {
				return err
			}
		}
		for _, problem := range s.Problems {
			if _, err := fmt.Fprintf(out, "  %s\n", terminal.Text(fmt.Sprintf("%s: not used: %s", s.ID, problem))); err != nil {
				return err
			}
		}
		if s.LastError != "" {
			if _, err := fmt.Fprintf(out, "  %s\n", terminal.Text(s.ID+": last error: "+s.LastError)); err != nil {
				return err
			}
		}
	}
	return nil
}

// printAPIKeys prints the files of API keys.
func printAPIKeys(out io.Writer, p admin.Page) error {
	if len(p.APIKeys) == 0 {
		return nil
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "API KEYS\tSTATE\tKEYS\tREAD")
	for _, s := range p.APIKeys {
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", terminal.Text(s.File), terminal.Text(s.State), s.Keys, shownTime(s.LoadedAt))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, s := range p.APIKeys {
		if s.LastError != "" {
			if _, err := fmt.Fprintf(out, "  last error: %s\n", terminal.Text(s.LastError)); err != nil {
				return err
			}
		}
	}
	return nil
}
