package shared

import (
	"errors"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	logcapture "go.uber.org/zap/zaptest/observer"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/keystore"
)

// TestLogsEscapeWhatOthersWrote: a certificate or a key set may carry what controls a
// terminal, and logs are read on terminals.
func TestLogsEscapeWhatOthersWrote(t *testing.T) {
	t.Parallel()
	core, logs := logcapture.New(zapcore.DebugLevel)
	hostile := "a\x1b[2J\u202eb"
	logEvent(zap.New(core), keystore.Event{Kind: keystore.SourceFailing, Err: errors.New(hostile), Problems: []keystore.Problem{{Key: hostile, Reason: hostile}}})
	logKeyFile(zap.New(core), apikey.Event{Kind: apikey.Failing, Err: errors.New(hostile)})
	logIntrospection(zap.New(core), keystore.IntrospectionEvent{Kind: keystore.IntrospectionFailing, Err: errors.New(hostile)})
	lines := logs.AllUntimed()
	if len(lines) != 3 {
		t.Fatalf("%v, want three lines", lines)
	}
	for _, line := range lines {
		fields := line.ContextMap()
		if text := fields["error"]; text != `a\u001b[2J\u202eb` {
			t.Errorf("%q", text)
		}
		if problems, ok := fields["problems"].([]any); ok {
			for _, p := range problems {
				if strings.ContainsAny(p.(string), "\x1b\u202e") {
					t.Errorf("%q", p)
				}
			}
		}
	}
}
