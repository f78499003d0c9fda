// Package offline answers questions about a config that no server runs. The config is
// provisioned, so that the very handlers of a server answer, and never started. Nothing
// happens by that: nothing is listened at, fetched, logged, or written to the storage or the
// disk.
//
//	read.go     the config, out of its file
//	lines.go    the lines of a Caddyfile
//	quiet.go    what is left out of a config, as it would act
//	modules.go  the modules with which the config is looked at
//	keys.go     the key set of --jwks
//	settle.go   what can't be known without a server
package offline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
)

// limit is how long an answer may take: a storage may be away.
const limit = 30 * time.Second

// one is held while a config is provisioned, as Caddy has a default storage for the process.
var one sync.Mutex

// Explain answers a question.
func Explain(ctx context.Context, o *explain.Offline) (explain.Report, error) {
	config, lines, err := read(o)
	if err != nil {
		return explain.Report{}, err
	}
	look := &shared.Look{Fetch: o.Fetch}
	if o.JWKS != nil {
		if look.Keys, err = keys(o.JWKS); err != nil {
			return explain.Report{}, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a := &answer{ctx: ctx, question: &o.Question, look: look}
	id := rand.Text()
	quieted, err := quiet(config, id)
	if err != nil {
		return explain.Report{}, err
	}
	done := make(chan error, 1)
	// Not everything that is provisioned minds a context.
	go func() { done <- a.provision(id, quieted) }()
	select {
	case err = <-done:
	case <-ctx.Done():
		return explain.Report{}, fmt.Errorf("the config could not be provisioned within %v; is its storage away?", limit)
	}
	if err != nil {
		return explain.Report{}, withHint(err)
	}
	report := a.report
	settle(&report)
	report.Notes = append(report.Notes, look.Notes()...)
	lines.fill(&report, config)
	return report, nil
}

// provision provisions the config, which answers the question, and cleans up after it.
func (a *answer) provision(id string, config *caddy.Config) error {
	one.Lock()
	defer one.Unlock()
	register()
	answers.Store(id, a)
	defer answers.Delete(id)
	before := certmagic.Default.Storage
	defer func() { certmagic.Default.Storage = before }()
	err := caddy.Validate(config)
	if a.err != nil {
		return a.err // without the names of the modules around it
	}
	return err
}

// withHint adds what to do about an error of provisioning.
func withHint(err error) error {
	text := err.Error()
	if strings.Contains(text, "{env.") || strings.Contains(text, "environment variable") {
		return fmt.Errorf("the config can't be loaded here: %w; set the environment variables that the server has, or ask the running server, without --config", err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("the config can't be loaded here: %w; is its storage away?", err)
	}
	return fmt.Errorf("the config can't be loaded here: %w; caddy validate says the same where the server runs", err)
}
