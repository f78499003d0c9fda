package shared

import (
	"path"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// observe writes a line for a change of a set's state. No request alone causes one.
func (s *stateSet) observe(e replica.Event) {
	st := s.owner()
	if st == nil {
		return
	}
	log := st.logger.With(zap.String("set", s.place))
	if e.Object != "" {
		log = log.With(zap.String("object", terminal.Text(e.Object)))
	}
	if e.Err != nil {
		log = log.With(shownError(e.Err))
	}
	switch e.Kind {
	case replica.Joined:
		s.lenient.Store(false)
		fields := append([]zap.Field{
			zap.String("cluster", st.Cluster), zap.String("storage", st.StorageModule), zap.String("node", st.Node()),
			zap.Int("objects", e.Status.Objects),
		}, s.sizes()...)
		if !e.Status.Newest.IsZero() {
			fields = append(fields, zap.Time("newest", e.Status.Newest))
		}
		log.Info("joined the shared state", fields...)
	case replica.Failing:
		if !e.Status.Ready {
			log.Error("the shared state can't be loaded; trying again until it can", zap.Bool("requests_refused", s.refuses(time.Now(), st)))
			return
		}
		fields := []zap.Field{zap.Time("synced_at", e.Status.SyncedAt)}
		if !st.Serve {
			fields = append(fields, zap.Time("refuses_at", e.Status.SyncedAt.Add(st.MaxStale)))
		}
		log.Warn("the shared state can't be brought up to date; what is known stays in force", fields...)
	case replica.Recovered:
		log.Info("the shared state is up to date again")
	case replica.Damaged:
		log.Error("an object of the shared state can't be used; the others are")
	case replica.Unstored:
		log.Error("a change of the shared state could not be stored and holds on this node only; trying again until it is stored")
	case replica.Stored:
		log.Info("all changes of the shared state are stored")
	case replica.Merged:
		log.Debug("objects of the shared state were merged")
	case replica.Healed:
		log.Warn("the storage had lost an object of the shared state; it was stored again")
	}
}

// sizes are the fields of how much there is in a set.
func (s *stateSet) sizes() []zap.Field {
	if rules := s.rules.Load(); rules != nil {
		n := 0
		for _, k := range revocation.Kinds {
			n += rules.Snapshot().Len(k)
		}
		return []zap.Field{zap.Int("rules", n)}
	}
	if keys := s.keys.Load(); keys != nil {
		return []zap.Field{zap.Int("keys", keys.Len())}
	}
	if s.issuer != "" {
		return []zap.Field{zap.String("issuer", s.issuer)}
	}
	return nil
}

// name returns the name of the set among those of its cluster.
func (s *stateSet) name() string { return path.Base(s.place) }

// rotated tells of a change of signing keys.
func (s *stateSet) rotated(e tokenservice.KeyEvent) {
	st := s.owner()
	if st == nil {
		return
	}
	log := st.logger.With(zap.String("issuer", e.Issuer), zap.String("kid", e.KeyID))
	if e.By != "" {
		log = log.With(zap.String("by", terminal.Text(e.By)))
	}
	if e.Node != "" {
		log = log.With(zap.String("node", terminal.Text(e.Node)))
	}
	switch e.Change {
	case "made":
		log.Info("a signing key was made")
	case "signs":
		log.Info("another signing key signs now")
	case "retired":
		log.Warn("a signing key was retired; what it signed is refused")
	case "removed":
		log.Info("a signing key is no longer published, as its last token has expired")
	case "unreadable":
		log.Error("a private signing key can't be read, so that this node does not sign with it", shownError(e.Err))
		return // it is about this node, not about the key
	}
	if st.RotatedKeys != nil {
		st.RotatedKeys(e)
	}
	if st.emit != nil {
		s.events.add(func() {
			st.emit("signing_key_changed", func() map[string]any {
				return map[string]any{"issuer": e.Issuer, "kid": e.KeyID, "change": e.Change}
			})
		})
	}
}
