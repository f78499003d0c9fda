package tokenservice

import (
	"context"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// CheckClient returns the reason for refusing tokens of a client, "" for none. It is asked
// for each request with a token of the service, as a token lives no longer than its client:
// the reason is reason.Revoked for a client that was deleted, disabled, rolled or revoked as
// an API key, that has expired, or that there is not. Rules about the token itself, those
// for clients included, are not its business.
//
// It is reason.RevocationsUnavailable or reason.APIKeysUnavailable while it can't be known.
// For an unknown id it brings one sync of the stores forward, within bounds, and waits for
// it: the client may have been made on another node a moment ago.
func (s *Service) CheckClient(ctx context.Context, id string, now time.Time) reason.Code {
	if s.config.Rules.Await(ctx, now) {
		return reason.RevocationsUnavailable
	}
	if s.clients[id] != nil {
		return "" // it is in the config, which is all that it needs
	}
	h := s.holderOf(ctx, id, now)
	if h.standing == apikey.StandingUnknown && s.awaitClient(ctx, id) {
		h = s.holderOf(ctx, id, now)
	}
	switch {
	case h.standing == apikey.StandingUnavailable:
		return reason.APIKeysUnavailable
	case h.standing != apikey.StandingValid, s.config.Rules.RevokesKey(h.store, id, now):
		return reason.Revoked
	}
	return ""
}

// holder is which API key has the id of a client. Ids are one namespace: of several keys
// with one id that of the first place is the client, and the others are none.
type holder struct {
	standing apikey.Standing
	keys     *KeyClients
	store    string
}

// holderOf returns the holder of an id. It allocates nothing.
func (s *Service) holderOf(ctx context.Context, id string, now time.Time) holder {
	for i := range s.config.APIKeys {
		keys := &s.config.APIKeys[i]
		if standing, store := keys.Keys.FindID(ctx, id, now); standing != apikey.StandingUnknown {
			return holder{standing, keys, store}
		}
	}
	return holder{}
}

// awaitTime limits how long a request waits for all stores.
const awaitTime = time.Second

// awaitClient reports whether something may have been learned of an unknown client.
func (s *Service) awaitClient(ctx context.Context, id string) (learned bool) {
	ctx, cancel := context.WithTimeout(ctx, awaitTime)
	defer cancel()
	for i := range s.config.APIKeys {
		learned = s.config.APIKeys[i].Keys.AwaitID(ctx, id) || learned
	}
	return learned
}

// HasStore reports whether the API keys of a store are clients of the service.
func (s *Service) HasStore(name string) bool {
	for i := range s.config.APIKeys {
		for _, store := range s.config.APIKeys[i].Keys.Stores {
			if store.Name() == name {
				return true
			}
		}
	}
	return false
}
