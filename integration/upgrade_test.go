package integration

import (
	"strings"
	"testing"
)

// `caddy upgrade` and its relatives replace the binary by one that Caddy's build server
// makes. The guide says that they refuse a binary built from a checkout, and change
// nothing, so nobody loses the plugin by them.
func TestUpgradeRefusesABinaryFromACheckout(t *testing.T) {
	t.Parallel()
	for _, command := range [][]string{{"upgrade"}, {"add-package", "github.com/example/plugin"}, {"remove-package", "github.com/caddy-jwt/caddy-jwt"}} {
		proxy := newCountingProxy(t)
		code, output := caddyCommandIn(t, t.TempDir(), proxy.environment(nil), command...)
		if code == 0 || !strings.Contains(output, "Go module has been replaced: github.com/caddy-jwt/caddy-jwt") {
			t.Errorf("caddy %s: exit code %d\n%s", command, code, output)
		}
		if asked := proxy.requests(); len(asked) != 0 {
			t.Errorf("caddy %s made connections: %q", command, asked)
		}
	}
}
