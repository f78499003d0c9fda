package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// runCluster runs the example as its README has it: Redis, two nodes, and then each line.
func runCluster(t *testing.T, dir string) {
	need(t, redis)
	need(t, redisPlugin)
	need(t, curl)
	p := ports(t, 5)
	c := newShellExample(t, dir, strings.NewReplacer("8441", p[0], "8442", p[1], "2021", p[2], "2022", p[3], "6390", p[4]),
		map[string]string{"HTTPS_PORT_1": p[0], "HTTPS_PORT_2": p[1], "ADMIN_PORT_1": p[2], "ADMIN_PORT_2": p[3], "REDIS_PORT": p[4]},
		"secret.txt", "state-key.txt", "redis")
	c.run("./cluster.sh make")
	c.start("./cluster.sh redis", &logBook{})
	c.eventually("Redis answers", func() bool { return strings.Contains(c.try("redis-cli -p 6390 ping"), "PONG") })
	// One after the other, as the README says: both would make Caddy's authority.
	for i, admin := range []string{"2021", "2022"} {
		c.start(fmt.Sprint("./cluster.sh node ", i+1), c.logs)
		c.eventually("the node at "+admin+" is ready", func() bool {
			return strings.Contains(c.try("./caddy jwt status --ready --address localhost:"+admin+" && echo ready"), "ready\n")
		})
	}

	const revoked, invalid = `"error_description":"the token is revoked"`, `"error_description":"the API key is not valid"`
	answer := func(node, user, method string) string {
		return fmt.Sprintf("node:   %s\nuser:   %s\nmethod: %s\n", node, user, method)
	}
	alice2, acme1 := answer("2", "alice", "jwt"), answer("1", "acme", "api_key")
	c.section("Revoke", answer("1", "alice", "jwt"), alice2, "sub-", revoked, revoked, alice2, "laptop stolen")
	c.section("API keys", answer("2", "acme", "api_key"), acme1, acme1, ": disabled", invalid)

	c.run("redis-cli -p 6390 flushall")
	c.eventually("the nodes have stored everything again", func() bool {
		return strings.Count(c.try("redis-cli -p 6390 keys 'caddy/jwt/example/*/1*'"), "revocations/1") == 1
	})
	for node, want := range map[string]string{"1": `"action":"revoke"`, "2": `"action":"learned"`} {
		if log := readFile(t, filepath.Join(dir, "audit-"+node+".log")); !strings.Contains(log, want) {
			t.Errorf("the audit log of node %s has no %s:\n%s", node, want, log)
		}
	}
}
