package integration

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var fencedBlock = regexp.MustCompile("(?ms)^```([a-z]+)[a-z ]*\n(.*?)^```$")

// guideCode is the n-th code of a guide in a language, or in any if that is empty, as it
// is printed.
func guideCode(t *testing.T, guide, language string, n int) string {
	t.Helper()
	var found []string
	for _, block := range fencedBlock.FindAllStringSubmatch(readFile(t, filepath.Join("..", "docs", "guides", guide)), -1) {
		if language == "" || block[1] == language {
			found = append(found, block[2])
		}
	}
	if n >= len(found) {
		t.Fatalf("%s has %d codes in %s", guide, len(found), language)
	}
	return found[n]
}

// guideSiteWith is the Caddyfile of a guide that contains a text.
func guideSiteWith(t *testing.T, guide, text, printed, host string, fromTo ...string) string {
	t.Helper()
	for _, block := range fencedBlock.FindAllStringSubmatch(readFile(t, filepath.Join("..", "docs", "guides", guide)), -1) {
		if block[1] == "caddyfile" && strings.Contains(block[2], text) {
			return siteAt(t, block[2], printed, host, fromTo...)
		}
	}
	t.Fatalf("%s has no Caddyfile with %q", guide, text)
	return ""
}

// changed is a text of a guide with what a test can't have replaced by its own. What is
// replaced must be there, so that a guide and its test can't drift apart.
func changed(t *testing.T, text string, fromTo ...string) string {
	t.Helper()
	for i := 0; i < len(fromTo); i += 2 {
		if !strings.Contains(text, fromTo[i]) {
			t.Fatalf("the guide's code has no %q:\n%s", fromTo[i], text)
		}
	}
	return strings.NewReplacer(fromTo...).Replace(text)
}

// printedUpstream and printedIssuer are those of the guides' Caddyfiles, and the test's
// in their places.
var (
	printedUpstream = []string{"localhost:8080", "{$UPSTREAM}"}
	printedIssuer   = []string{"https://auth.example.com/", "{$ISSUER}"}
)

// guideBlock is the n-th code of a guide, a site as it is printed there for a host,
// under another one of the test's, with the test's issuer and upstream.
func guideBlock(t *testing.T, guide string, n int, printed, host string) string {
	t.Helper()
	return siteAt(t, guideCode(t, guide, "", n), printed, host, slices.Concat(printedIssuer, printedUpstream)...)
}

// guideSite is the n-th Caddyfile of a guide, printed there for a host, under another
// one of the test's and with other changes that the test needs.
func guideSite(t *testing.T, guide string, n int, printed, host string, fromTo ...string) string {
	t.Helper()
	return siteAt(t, guideCode(t, guide, "caddyfile", n), printed, host, fromTo...)
}

func siteAt(t *testing.T, code, printed, host string, fromTo ...string) string {
	t.Helper()
	block, found := strings.CutPrefix(code, printed+" {\n")
	if !found {
		t.Fatalf("this code of the guide is no site %s:\n%s", printed, code)
	}
	return "https://" + host + " {\n" + changed(t, block, fromTo...)
}

// guideAudience is whom tokens of the guides are for.
const guideAudience = "https://api.example.com"
