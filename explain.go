package caddyjwt

import (
	"context"
	"net/http"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/offline"
)

// ExplainRequest implements explain.Explainer.
func (h *Handler) ExplainRequest(ctx context.Context, r *http.Request, q *explain.Question) explain.Handler {
	return explain.Handler{}
}

// CleanURI implements explain.Explainer.
func (h *Handler) CleanURI(uri string) string { return h.guard.shown.CleanURI(uri) }

// Explain implements admin.App: it answers a question by the config that runs.
func (a *App) Explain(ctx context.Context, q *explain.Question) (explain.Report, error) {
	if !q.At.IsZero() {
		return explain.Report{}, explain.ErrAt
	}
	ctx, done, err := explain.Running.Begin(ctx)
	if err != nil {
		return explain.Report{}, err
	}
	defer done()
	return explain.Walk(ctx, a.servers, q)
}

// Look makes the app of a config that is explained offline answer as if it had started: an
// error is one that the start would have.
func (a *App) Look(ctx context.Context) error {
	if err := a.sources.Services().Settle(); err != nil {
		return err
	}
	a.sources.ReadState(ctx)
	return nil
}

// explainOffline answers a question by a config that no server runs.
func explainOffline(ctx context.Context, o *explain.Offline) (explain.Report, error) {
	return offline.Explain(ctx, o)
}

var _ explain.Explainer = (*Handler)(nil)
