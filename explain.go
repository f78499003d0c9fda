package caddyjwt

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
)

// ExplainRequest implements explain.Explainer.
func (h *Handler) ExplainRequest(ctx context.Context, r *http.Request, q *explain.Question) explain.Handler {
	return explain.Handler{}
}

// CleanURI implements explain.Explainer.
func (h *Handler) CleanURI(uri string) string { return h.guard.shown.CleanURI(uri) }

// Explain implements admin.App: it answers a question by the config that runs.
func (a *App) Explain(ctx context.Context, q *explain.Question) (explain.Report, error) {
	return explain.Report{}, errors.New("not yet")
}

// explainOffline answers a question by a config that no server runs.
func explainOffline(ctx context.Context, o *explain.Offline) (explain.Report, error) {
	return explain.Report{}, errors.New("not yet")
}

var _ explain.Explainer = (*Handler)(nil)
