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

// changingIssuer is an issuer of its own with a file that changes, breaks and is mended.
type changingIssuer struct {
	name, option, fault string
	content             func(*peers.Key) string
	file                keyFile
	iss                 string
	mark                int
	slow                bool // writing took so long that its middle may have been read
}

// changingIssuers are one for each way in which a file may change and break.
func changingIssuers(t *testing.T) []*changingIssuer {
	t.Helper()
	k := keys(t)
	pem := func(key *peers.Key) string { return string(key.PublicPEM(t)) }
	jwks := func(key *peers.Key) string { return peers.JWKS(t, key) }
	var all []*changingIssuer
	add := func(option string, file keyFile, how, what, fault string) {
		content := jwks
		if option == "public_key" {
			content = pem
		}
		file.write(t, content(k.RS256))
		all = append(all, &changingIssuer{
			name: option + " " + how + ", then " + what, option: option, fault: fault, content: content, file: file,
			iss: fmt.Sprintf("https://file%d.example.test", len(all)),
		})
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
	return all
}

// changingFixture is a Caddy with all of these issuers.
type changingFixture struct {
	*fixture
	issuers []*changingIssuer
}

func newChangingFixture(t *testing.T) *changingFixture {
	t.Helper()
	issuers := changingIssuers(t)
	env := map[string]string{}
	var blocks strings.Builder
	for n, c := range issuers {
		env[fmt.Sprintf("FILE_%d", n)] = c.file.path
		fmt.Fprintf(&blocks, "\t\tissuer %s {\n\t\t\t%s {$FILE_%d}\n\t\t}\n", c.iss, c.option, n)
	}
	return &changingFixture{newFixture(t, siteWithIssuers(blocks.String()), options{env: env}), issuers}
}

func (s *changingFixture) token(t *testing.T, c *changingIssuer, key *peers.Key) string {
	t.Helper()
	return key.Token(t, peers.Claims(c.iss, audience, nil), nil)
}

func (s *changingFixture) accepted(t *testing.T, c *changingIssuer, key *peers.Key) bool {
	t.Helper()
	return s.get(t, site, s.token(t, c, key)).status == http.StatusOK
}

// checkKeys requires that each issuer's good key is in force, and the bad one not.
func (s *changingFixture) checkKeys(t *testing.T, good, bad *peers.Key) {
	t.Helper()
	for _, c := range s.issuers {
		if a := s.get(t, site, s.token(t, c, good)); a.status != http.StatusOK {
			t.Errorf("%s: status %d, reason %q for the key in force; want 200", c.name, a.status, a.header.Get("X-Reason"))
		}
		if a := s.get(t, site, s.token(t, c, bad)); a.status != http.StatusUnauthorized {
			t.Errorf("%s: status %d for the key that is not; want 401", c.name, a.status)
		}
	}
}

// change writes all files at once, so that each has the same time to be noticed, and
// waits until it is.
func (s *changingFixture) change(t *testing.T, what string, content func(*changingIssuer) string, noticed func(*changingIssuer) bool) {
	t.Helper()
	mark := s.logs.mark()
	for _, c := range s.issuers {
		c.mark = mark
		begun := time.Now()
		c.file.write(t, content(c))
		c.slow = time.Since(begun) >= settleTime
	}
	start := time.Now()
	for _, c := range s.issuers {
		s.eventually(c.name+": "+what, 10*time.Second, func() bool { return noticed(c) }, func() string {
			return fmt.Sprintf("%v", s.logs.issuerLines(0, c.iss))
		})
	}
	took := time.Since(start)
	t.Logf("%d files: %s after %s", len(s.issuers), what, took.Round(time.Millisecond))
	if took > pickupTime() {
		t.Errorf("%s after %s; want at most %s", what, took, pickupTime())
	}
}

// changeKeys gives all files another key.
func (s *changingFixture) changeKeys(t *testing.T, what string, key *peers.Key) {
	t.Helper()
	s.change(t, what, func(c *changingIssuer) string { return c.content(key) }, func(c *changingIssuer) bool { return s.accepted(t, c, key) })
}

// breakFiles breaks all files.
func (s *changingFixture) breakFiles(t *testing.T) {
	t.Helper()
	s.change(t, "the fault is in the status", func(c *changingIssuer) string { return c.fault }, func(c *changingIssuer) bool {
		return s.statusOf(t, c.iss).LastError != ""
	})
}

// Key files that change are read again without a reload, however they change;
// those that break leave the last good keys in place, with one line in the log
// and the reason in the status.
func TestKeyFilesAreReadAgainWhileRunning(t *testing.T) {
	t.Parallel()
	k := keys(t)
	s := newChangingFixture(t)
	s.checkKeys(t, k.RS256, k.ES256)

	s.changeKeys(t, "the new key is in force", k.ES256)
	s.checkKeys(t, k.ES256, k.RS256)
	for _, c := range s.issuers {
		if lines := s.logs.issuerLines(c.mark, c.iss); len(lines) != 1 || !strings.Contains(lines[0].Msg, "have changed") {
			t.Errorf("%s: the log has %v; want one line that the keys have changed", c.name, lines)
		}
	}

	s.breakFiles(t)
	time.Sleep(1200 * time.Millisecond) // two more checks of the file, which log nothing new
	s.checkKeys(t, k.ES256, k.RS256)
	for _, c := range s.issuers {
		lines := s.logs.issuerLines(c.mark, c.iss)
		for _, line := range lines {
			if line.Level != "warn" || !strings.Contains(line.Error, c.file.path) {
				t.Errorf("%s: the log has %v; want a WARN that names the file", c.name, line)
			}
		}
		// A file that a busy machine left empty for long is one fault, what was written
		// to it in the end another.
		if len(lines) != 1 && (!c.slow || len(lines) != 2) {
			t.Errorf("%s: the log has %v; want one WARN", c.name, lines)
		}
		status := s.statusOf(t, c.iss)
		if status.State != "stale" || len(status.Keys) != 1 || status.Failures == 0 || !strings.Contains(status.LastError, c.file.path) {
			t.Errorf("%s: state %q, %d keys, %d failures, last error %q; want stale, 1, 1, one that names the file",
				c.name, status.State, len(status.Keys), status.Failures, status.LastError)
		}
	}

	s.changeKeys(t, "the mended file is in force", k.RS256)
	s.checkKeys(t, k.RS256, k.ES256)
	for _, c := range s.issuers {
		if status := s.statusOf(t, c.iss); status.State != "fresh" || status.LastError != "" || status.Failures != 0 {
			t.Errorf("%s: state %q, last error %q, %d failures after mending; want fresh, none, 0", c.name, status.State, status.LastError, status.Failures)
		}
	}
	t.Run("broken and mended with the same content", func(t *testing.T) {
		s.breakFiles(t)
		s.change(t, "the status is fresh", func(c *changingIssuer) string { return c.content(k.RS256) }, func(c *changingIssuer) bool {
			return s.statusOf(t, c.iss).State == "fresh"
		})
		s.checkKeys(t, k.RS256, k.ES256)
	})
}

// siteWithFile is a site whose issuer has these lines.
func siteWithFile(lines string) string {
	return siteWithIssuers("\t\tissuer " + fileIssuer + " {\n\t\t\t" + lines + "\n\t\t}\n")
}

// A file that is gone is a fault as any other, and so is one that comes back with
// what it had.
func TestKeyFileThatIsGone(t *testing.T) {
	t.Parallel()
	k := keys(t)
	file := inPlace(t, "jwks.json")
	content := peers.JWKS(t, k.RS256)
	file.write(t, content)
	s := newFixture(t, siteWithFile("jwks_file {$FILE}"), options{env: map[string]string{"FILE": file.path}})
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
		err := s.reload(siteWithFile("jwks_file {$FILE}\nmax_lifetime 1h"))
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
	s := newFixture(t, siteWithFile("public_key {$FILE}"), options{env: map[string]string{"FILE": file.path}})
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
