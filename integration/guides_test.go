package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var fencedBlock = regexp.MustCompile("(?ms)^```[a-z ]+\n(.*?)^```$")

// guideBlock is the n-th Caddyfile of a guide, as it is printed there for a host,
// under another one of the test's, with the test's issuer and upstream.
func guideBlock(t *testing.T, guide string, n int, printed, host string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "docs", "guides", guide))
	if err != nil {
		t.Fatal(err)
	}
	blocks := fencedBlock.FindAllStringSubmatch(string(text), -1)
	if n >= len(blocks) || !strings.HasPrefix(blocks[n][1], printed+" {\n") {
		t.Fatalf("the code number %d of %s is no site %s", n, guide, printed)
	}
	block := "https://" + host + strings.TrimPrefix(blocks[n][1], printed)
	for from, to := range map[string]string{"https://auth.example.com/": "{$ISSUER}", "localhost:8080": "{$UPSTREAM}"} {
		if !strings.Contains(block, from) {
			t.Fatalf("the code number %d of %s has no %s", n, guide, from)
		}
		block = strings.ReplaceAll(block, from, to)
	}
	return block
}

// guideAudience is whom tokens of the guides are for.
const guideAudience = "https://api.example.com"
