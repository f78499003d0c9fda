package revoked

import (
	"context"
	"fmt"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// What an explanation says where no rule decides.
const (
	noState     = "the config keeps no revocations"
	notLoaded   = "the rules are not loaded"
	noRule      = "no rule is about it"
	clientEnded = "no rule is about it, but its client was disabled, deleted or revoked, or is not known"
)

// Explain implements validator.RevocationsExplainer: it names the rule that refuses a token by
// its kind and its id, as `caddy jwt revocations` lists it.
func (c Tokens) Explain(ctx context.Context, t *validator.Verified, text, user string, now time.Time) string {
	seen := noState
	if st := c.State(); st != nil {
		if st.AwaitRevocations(ctx, now) {
			return notLoaded
		}
		seen = noRule
		if rules := st.Rules(); !rules.Empty() {
			if r, ok := rules.Which(tokenOf(t, text), user, now); ok {
				return ruleText(&r)
			}
		}
	}
	if c.Clients == nil {
		return seen
	}
	clients := c.Clients(t.Issuer())
	if clients == nil {
		return seen
	}
	id, ok := newMark(t, text).client(t)
	if !ok {
		return "the token service of this config issued none without a client_id"
	}
	switch clients.CheckClient(ctx, id, now) {
	case "":
		return seen + ", and its client is in force"
	case reason.Revoked:
		return clientEnded
	}
	return "it is not known what became of its client"
}

// ExplainKey says which rule refuses an API key at a time. st may be nil.
func ExplainKey(ctx context.Context, st *shared.State, k apikey.Key, now time.Time) string {
	if st == nil {
		return noState
	}
	if st.AwaitRevocations(ctx, now) {
		return notLoaded
	}
	if rules := st.Rules(); !rules.Empty() {
		if r, ok := rules.WhichKey(k.Store(), k.ID(), now); ok {
			return ruleText(&r)
		}
	}
	return noRule
}

func ruleText(r *revocation.Rule) string {
	text := fmt.Sprintf("a rule of the kind %s refuses it: %s", r.Kind, r.PublicID())
	if !r.NotBefore.IsZero() {
		text += ", for what was issued before " + r.NotBefore.Format(time.RFC3339)
	}
	return text
}

var _ validator.RevocationsExplainer = Tokens{}
