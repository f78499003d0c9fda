package integration

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/caddy-jwt/caddy-jwt/integration/internal/peers"
)

// fileCase is an issuer of its own with a file that changes, breaks and is mended.
type fileCase struct {
	name, option, fault string
	content             func(*peers.Key) string
	file                keyFile
	iss                 string
	mark                int
}

// Key files that change are taken over without a reload, however they change;
// those that break leave the last good keys in place, with one line in the log
// and the reason in the status.
func TestKeyFilesAreTakenOverWhileRunning(t *testing.T) {
	t.Parallel()
	k := keys(t)
	pem := func(key *peers.Key) string { return string(key.PublicPEM(t)) }
	jwks := func(key *peers.Key) string { return peers.JWKS(t, key) }
	var cases []*fileCase
	add := func(option string, file keyFile, how, what, fault string) {
		content := jwks
		if option == "public_key" {
			content = pem
		}
		c := &fileCase{name: option + " " + how + ", then " + what, option: option, fault: fault, content: content, file: file}
		c.iss = fmt.Sprintf("https://file%d.example.test", len(cases))
		c.file.write(t, content(k.RS256))
		cases = append(cases, c)
	}
	for what, fault := range map[string]string{
		"half a file":          jwks(k.RS256)[:100],
		"empty":                "",
		"no keys":              `{"keys":[]}`,
		"a secret":             jwks(k.HS256),
		"unusable keys":        peers.JWKS(t, k.RS256.With(map[string]any{"use": "enc"})),
		"more than 1 MiB":      jwks(k.RS256) + strings.Repeat(" ", 1<<20),
		"another kind of file": pem(k.RS256),
	} {
		add("jwks_file", inPlace(t, "jwks.json"), "in place", what, fault)
	}
	for what, fault := range map[string]string{
		"half a file":          pem(k.RS256)[:100],
		"empty":                "",
		"another kind of file": jwks(k.RS256),
		"a broken key":         "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
	} {
		add("public_key", inPlace(t, "public.pem"), "in place", what, fault)
	}
	for how, make := range map[string]func(*testing.T, string) keyFile{"replaced": replaced, "as Kubernetes does": configMap} {
		add("jwks_file", make(t, "jwks.json"), how, "broken", "broken")
		add("public_key", make(t, "public.pem"), how, "broken", "broken")
	}
	env := map[string]string{}
	sites := "https://api.example.test {\n\tjwt {\n"
	for n, c := range cases {
		env[fmt.Sprintf("FILE_%d", n)] = c.file.path
		sites += fmt.Sprintf("\t\tissuer %s {\n\t\t\t%s {$FILE_%d}\n\t\t}\n", c.iss, c.option, n)
	}
	sites += "\t\taudience https://api.example.test\n\t}\n\timport upstream\n\timport reasons\n}\n"
	s := newFixture(t, sites, options{env: env})

	token := func(c *fileCase, key *peers.Key) string {
		return key.Token(t, peers.Claims(c.iss, audience, nil), nil)
	}
	judge := func(c *fileCase, good, bad *peers.Key) {
		t.Helper()
		if a := s.get(t, site, token(c, good)); a.status != http.StatusOK {
			t.Errorf("%s: status %d, reason %q for the key in force; want 200", c.name, a.status, a.header.Get("X-Reason"))
		}
		if a := s.get(t, site, token(c, bad)); a.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d for the key that is not; want 401", c.name, a.status)
		}
	}
	// All files change at once, and each has the same time for it.
	change := func(what string, content func(*fileCase) string, done func(*fileCase) bool) {
		t.Helper()
		for _, c := range cases {
			c.mark = s.logs.mark()
			c.file.write(t, content(c))
		}
		start := time.Now()
		for _, c := range cases {
			s.eventually(c.name+": "+what, 10*time.Second, func() bool { return done(c) }, func() string {
				return fmt.Sprintf("%v", s.logs.issuerLines(0, c.iss))
			})
		}
		took := time.Since(start)
		t.Logf("%d files: %s after %s", len(cases), what, took.Round(time.Millisecond))
		if took > pickupTime() {
			t.Errorf("%s after %s; want at most %s", what, took, pickupTime())
		}
	}

	for _, c := range cases {
		judge(c, k.RS256, k.ES256)
	}
	change("the new key is taken over", func(c *fileCase) string { return c.content(k.ES256) }, func(c *fileCase) bool {
		return s.get(t, site, token(c, k.ES256)).status == http.StatusOK
	})
	for _, c := range cases {
		judge(c, k.ES256, k.RS256)
		if lines := s.logs.issuerLines(c.mark, c.iss); len(lines) != 1 || !strings.Contains(lines[0].Msg, "have changed") {
			t.Errorf("%s: the log has %v; want one line that the keys have changed", c.name, lines)
		}
	}
	change("the fault is in the status", func(c *fileCase) string { return c.fault }, func(c *fileCase) bool {
		return s.statusOf(t, c.iss).LastError != ""
	})
	time.Sleep(1200 * time.Millisecond) // two more checks of the file, which log nothing new
	for _, c := range cases {
		judge(c, k.ES256, k.RS256)
		lines := s.logs.issuerLines(c.mark, c.iss)
		if len(lines) != 1 || lines[0].Level != "warn" || !strings.Contains(lines[0].Error, c.file.path) {
			t.Errorf("%s: the log has %v; want one WARN that names the file", c.name, lines)
		}
		status := s.statusOf(t, c.iss)
		if status.State != "stale" || len(status.Keys) != 1 || status.Failures == 0 || !strings.Contains(status.LastError, c.file.path) {
			t.Errorf("%s: state %q, %d keys, %d failures, last error %q; want stale, 1, 1, one that names the file",
				c.name, status.State, len(status.Keys), status.Failures, status.LastError)
		}
	}
	change("the mended file is taken over", func(c *fileCase) string { return c.content(k.RS256) }, func(c *fileCase) bool {
		return s.get(t, site, token(c, k.RS256)).status == http.StatusOK
	})
	for _, c := range cases {
		judge(c, k.RS256, k.ES256)
		if status := s.statusOf(t, c.iss); status.State != "fresh" || status.LastError != "" || status.Failures != 0 {
			t.Errorf("%s: state %q, last error %q, %d failures after mending; want fresh, none, 0", c.name, status.State, status.LastError, status.Failures)
		}
	}
	t.Run("broken and mended with what it had", func(t *testing.T) {
		change("the fault is in the status", func(c *fileCase) string { return c.fault }, func(c *fileCase) bool {
			return s.statusOf(t, c.iss).LastError != ""
		})
		change("the status is fresh", func(c *fileCase) string { return c.content(k.RS256) }, func(c *fileCase) bool {
			return s.statusOf(t, c.iss).State == "fresh"
		})
		for _, c := range cases {
			judge(c, k.RS256, k.ES256)
		}
	})
}

// A file that is gone is a fault as any other, and so is one that comes back with
// what it had.
func TestKeyFileThatIsGone(t *testing.T) {
	t.Parallel()
	k := keys(t)
	file := inPlace(t, "jwks.json")
	content := peers.JWKS(t, k.RS256)
	file.write(t, content)
	s := newFixture(t, `
https://api.example.test {
	jwt {
		issuer https://file.example.test {
			jwks_file {$FILE}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{env: map[string]string{"FILE": file.path}})
	good := k.RS256.Token(t, peers.Claims(fileIssuer, audience, nil), nil)
	s.accepts(t, site, good)
	mark := s.logs.mark()
	if err := os.Remove(file.path); err != nil {
		t.Fatal(err)
	}
	s.eventually("the status says that it is gone", pickupTime(), func() bool {
		status := s.statusOf(t, fileIssuer)
		return status.State == "stale" && strings.Contains(status.LastError, "no such file")
	}, func() string { return s.statusOf(t, fileIssuer).LastError })
	s.accepts(t, site, good)
	time.Sleep(1200 * time.Millisecond) // two more checks of the file, which log nothing new
	if lines := s.logs.issuerLines(mark, fileIssuer); len(lines) != 1 || lines[0].Level != "warn" {
		t.Errorf("the log has %v; want one WARN", lines)
	}
	file.write(t, content)
	s.eventually("the status is fresh again", pickupTime(), func() bool {
		return s.statusOf(t, fileIssuer).State == "fresh"
	}, func() string { return s.statusOf(t, fileIssuer).LastError })
	s.accepts(t, site, good)

	t.Run("it is not fetched on command", func(t *testing.T) {
		if a := s.refresh(t, fileIssuer); a.status != http.StatusConflict {
			t.Errorf("status %d; want 409", a.status)
		}
	})
	t.Run("a reload while it is broken is refused, and the keys stay", func(t *testing.T) {
		file.write(t, "broken")
		err := s.reload(`
https://api.example.test {
	jwt {
		issuer https://file.example.test {
			jwks_file {$FILE}
			max_lifetime 1h
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`)
		if err == nil || !strings.Contains(err.Error(), "jwks_file") {
			t.Errorf("the reload says %v; want an error about jwks_file", err)
		}
		s.accepts(t, site, good)
	})
}

// A file that is still being written is left alone, even where what is there so
// far would do.
func TestKeyFileBeingWritten(t *testing.T) {
	t.Parallel()
	k := keys(t)
	file := inPlace(t, "public.pem")
	file.write(t, string(k.RS256.PublicPEM(t)))
	s := newFixture(t, `
https://api.example.test {
	jwt {
		issuer https://file.example.test {
			public_key {$FILE}
		}
		audience https://api.example.test
	}
	import upstream
	import reasons
}
`, options{env: map[string]string{"FILE": file.path}})
	token := func(key *peers.Key) string {
		return key.Token(t, peers.Claims(fileIssuer, audience, nil), nil)
	}
	s.accepts(t, site, token(k.RS256))
	mark := s.logs.mark()
	out, err := os.Create(file.path) // empty from here on
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	text := append(k.ES256.PublicPEM(t), k.EdDSA.PublicPEM(t)...)
	const pieces = 20
	for n := range pieces {
		if _, err := out.Write(text[n*len(text)/pieces : (n+1)*len(text)/pieces]); err != nil {
			t.Fatal(err)
		}
		s.accepts(t, site, token(k.RS256))
		time.Sleep(100 * time.Millisecond)
	}
	s.eventually("the new keys are taken over", pickupTime(), func() bool {
		return s.get(t, site, token(k.EdDSA)).status == http.StatusOK
	}, func() string { return fmt.Sprint(s.logs.issuerLines(mark, fileIssuer)) })
	s.accepts(t, site, token(k.ES256))
	if lines := s.logs.issuerLines(mark, fileIssuer); len(lines) != 1 || !strings.Contains(lines[0].Msg, "have changed") {
		t.Errorf("the log has %v; want one line that the keys have changed", lines)
	}
}
