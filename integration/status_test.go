package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// issuerStatus is what a test reads of one source in GET /jwt/status.
type issuerStatus struct {
	ID      string   `json:"id"`
	Issuers []string `json:"issuers"`
	Kind    string   `json:"kind"`
	State   string   `json:"state"`
	Keys    []struct {
		KID string `json:"kid"`
	} `json:"keys"`
	Problems  []json.RawMessage `json:"problems"`
	LastError string            `json:"last_error"`
	Failures  int               `json:"failures"`
	Fetches   int               `json:"fetches"`
	Succeeded int               `json:"succeeded"`
	Failed    int               `json:"failed"`
	Restored  bool              `json:"restored"`
}

// status is GET /jwt/status.
func (c *caddy) status(t *testing.T) []issuerStatus {
	t.Helper()
	text, err := c.adminGet("/jwt/status")
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		Issuers []issuerStatus `json:"issuers"`
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatalf("GET /jwt/status: %v\n%s", err, text)
	}
	return page.Issuers
}

// statusOf is the state of the one source that holds an issuer's keys.
func (c *caddy) statusOf(t *testing.T, issuer string) issuerStatus {
	t.Helper()
	all := c.status(t)
	var found []issuerStatus
	for _, s := range all {
		if slices.Contains(s.Issuers, issuer) {
			found = append(found, s)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%d sources of %s in the status; want 1: %+v", len(found), issuer, all)
	}
	return found[0]
}

// keyFileStatus is what a test reads of one file of API keys in GET /jwt/status.
type keyFileStatus struct {
	Names     []string  `json:"names"`
	File      string    `json:"file"`
	State     string    `json:"state"`
	Keys      int       `json:"keys"`
	LoadedAt  time.Time `json:"loaded_at"`
	LastError string    `json:"last_error"`
	Failures  int       `json:"failures"`
}

// keyFiles are the files of API keys in GET /jwt/status, by path.
func (c *caddy) keyFiles(t *testing.T) map[string]keyFileStatus {
	t.Helper()
	text, err := c.adminGet("/jwt/status")
	if err != nil {
		t.Fatal(err)
	}
	var page struct {
		APIKeys []keyFileStatus `json:"api_keys"`
	}
	if err := json.Unmarshal([]byte(text), &page); err != nil {
		t.Fatalf("GET /jwt/status: %v\n%s", err, text)
	}
	files := map[string]keyFileStatus{}
	for _, f := range page.APIKeys {
		files[f.File] = f
	}
	return files
}

// refresh has an issuer's keys fetched now, and returns the answer.
func (c *caddy) refresh(t *testing.T, issuer string) answer {
	t.Helper()
	a, err := c.adminDo(http.MethodPost, "/jwt/issuers/"+c.statusOf(t, issuer).ID+"/refresh", 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// mustRefresh is refresh where it has to succeed.
func (c *caddy) mustRefresh(t *testing.T, issuer string) {
	t.Helper()
	if a := c.refresh(t, issuer); a.status != http.StatusOK {
		t.Fatalf("refreshing the keys of %s: status %d: %s", issuer, a.status, a.body)
	}
}

// issuerLines keeps the plugin's lines about one issuer, above DEBUG. A line comes
// just after its event has taken effect, so it waits for the log to be
// quiet, and for at least least lines.
func (l *logBook) issuerLines(mark int, issuer string, least ...int) []entry {
	lines := func() []entry {
		return aboveDebug(l.since(mark), func(e entry) bool {
			return fromPlugin(e) && slices.Contains(strings.Fields(e.Issuer), issuer)
		})
	}
	found := lines()
	for range 50 {
		time.Sleep(100 * time.Millisecond)
		now := lines()
		if len(now) == len(found) && (len(least) == 0 || len(now) >= least[0]) {
			return now
		}
		found = now
	}
	return found
}

// waitForLogLine waits until the log has a message about an issuer, so that a mark set
// after it is past that line.
func (c *caddy) waitForLogLine(t *testing.T, mark int, issuer, message string) {
	t.Helper()
	c.eventually("the log says: "+message, 5*time.Second, func() bool {
		return slices.ContainsFunc(c.logs.since(mark), func(e entry) bool {
			return strings.Contains(e.Msg, message) && slices.Contains(strings.Fields(e.Issuer), issuer)
		})
	}, func() string { return fmt.Sprint(c.logs.issuerLines(mark, issuer)) })
}
