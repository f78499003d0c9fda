package service

import (
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// Observer returns a function that logs what the endpoints of a service answer, and passes
// it on to count, nil for nobody. Its lines are at DEBUG, as anyone can cause refusals at
// will: metrics count them, and alerts tell of many.
func Observer(logger *zap.Logger, issuer string, count func(issuer string, e tokenservice.Event)) func(tokenservice.Event) {
	return func(e tokenservice.Event) {
		if count != nil {
			count(issuer, e)
		}
		if e.Error != "" {
			if c := logger.Check(zapcore.DebugLevel, "token service refuses a request"); c != nil {
				c.Write(append(fields(issuer, e), zap.String("error", e.Error), zap.String("reason", e.Reason))...)
			}
			return
		}
		if c := logger.Check(zapcore.DebugLevel, "token service answers a request"); c != nil {
			c.Write(fields(issuer, e)...)
		}
	}
}

// fields are what is logged of an answer. Nothing of them is secret.
func fields(issuer string, e tokenservice.Event) []zap.Field {
	list := []zap.Field{zap.String("service", issuer), zap.String("endpoint", e.Endpoint)}
	for _, f := range []struct{ name, value string }{{"grant", e.Grant}, {"client", e.Client}, {"federate", e.Federate}} {
		if f.value != "" {
			list = append(list, zap.String(f.name, f.value))
		}
	}
	if e.Address.IsValid() {
		list = append(list, zap.Stringer("remote_ip", e.Address))
	}
	return list
}
