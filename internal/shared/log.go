package shared

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// shownError is the field of an error whose text others may have written: logs are read
// on terminals too, and JSON escapes only some of what controls them.
func shownError(err error) zap.Field { return zap.String("error", terminal.Text(err.Error())) }

// logEvent writes a line for a change of a key source's state. What requests
// do never writes one above DEBUG, so that nobody floods the log from outside.
func logEvent(logger *zap.Logger, e keystore.Event) {
	level, message := zapcore.InfoLevel, ""
	switch e.Kind {
	case keystore.KeysLoaded:
		message = "the issuer's keys are loaded"
	case keystore.KeysChanged:
		message = "the issuer's keys have changed"
	case keystore.KeysUnusable:
		level, message = zapcore.WarnLevel, "some of the issuer's keys can't be used"
	case keystore.SourceFailing:
		level, message = zapcore.ErrorLevel, "the issuer's keys can't be fetched; trying again until they can"
		if e.Keys > 0 {
			level, message = zapcore.WarnLevel, "the issuer's keys can't be refreshed; the last ones stay in use"
		}
	case keystore.SourceRecovered:
		message = "the issuer's keys can be fetched again"
	case keystore.KeysExpired:
		level, message = zapcore.ErrorLevel, "the issuer's last keys are too old to be used; its tokens are answered with 503"
	default:
		return
	}
	c := logger.Check(level, message)
	if c == nil {
		return
	}
	fields := []zap.Field{zap.String("source", e.Source), zap.Int("keys", e.Keys)}
	if len(e.Added) > 0 {
		fields = append(fields, zap.Strings("added", e.Added))
	}
	if len(e.Removed) > 0 {
		fields = append(fields, zap.Strings("removed", e.Removed))
	}
	if len(e.Problems) > 0 {
		problems := make([]string, len(e.Problems))
		for i, p := range e.Problems {
			problems[i] = terminal.Text(p.String())
		}
		fields = append(fields, zap.Strings("problems", problems))
	}
	if e.Err != nil {
		fields = append(fields, shownError(e.Err))
	}
	if !e.FetchedAt.IsZero() {
		fields = append(fields, zap.Time("fetched_at", e.FetchedAt))
	}
	c.Write(fields...)
}

// logIntrospection writes a line for a change of an issuer's introspection.
func logIntrospection(logger *zap.Logger, e keystore.IntrospectionEvent) {
	switch e.Kind {
	case keystore.IntrospectionFailing:
		logger.Error("the issuer can't be asked about tokens; trying again until it can; what it said before serves for its time, other tokens are answered with 503",
			zap.String("source", e.Source), shownError(e.Err))
	case keystore.IntrospectionRecovered:
		logger.Info("the issuer can be asked about tokens again", zap.String("source", e.Source))
	}
}
