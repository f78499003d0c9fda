package integration

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Failures with a real client's id keep that client from nothing: from anywhere in the world,
// from its own network, with API keys and with assertions. It gets each of its tokens, and about
// as fast as beside as many requests for a static text. What exactly a flood costs is measured
// by the benchmarks; here only what would be an outage fails.
//
// It measures, so it runs alone.
func TestThreat72_FailuresKeepNoClientOut(t *testing.T) {
	n := newNode(t, options{global: serviceOptions(t, ""), level: "INFO"})
	n.sites = attackedSites(t)
	n.begin()
	n.waitUntilItRuns()
	n.untilIssuing(t)
	key := n.newClientKey(t, nil)
	wrong := changeAnswer{ID: key.ID, Key: key.Key[:len(key.Key)-4] + "aaaa"}
	rate, beside := 1000, 50
	if raceEnabled {
		// The detector makes each request some ten times as dear.
		rate, beside = 150, 20
	}
	const floor = 3 * time.Second // of a machine that has other things to do
	const grant = "grant_type=client_credentials"
	result := func(a answer, err error, began time.Time) exchange {
		return exchange{begun: began, took: time.Since(began), status: a.status, reason: a.code(), err: err}
	}
	post := func(body string, changes ...change) exchange {
		began := time.Now()
		a, err := n.tryRequest(http.MethodPost, authHost, tokenPath, body, append(changes, formType)...)
		return result(a, err, began)
	}
	var signed atomic.Int64
	own := from("192.0.2.7")
	// A client that signs has succeeded from its network before; that allowance is its own.
	n.form(t, tokenPath, asserted(assertion(t, "deployer", nil, nil)), own).token(t)
	clients := map[string]func() exchange{
		"by API key": func() exchange { return post(grant, clientBasic(key.ID, key.Key), own) },
		"by assertion": func() exchange {
			text := assertion(t, "deployer", object{"jti": fmt.Sprint("flood-", signed.Add(1))}, nil)
			return post(encode(asserted(text)), own)
		},
	}
	forged, sample := encode(asserted("eyJhbGciOiJFUzI1NiJ9.e30.AAAA")), assertion(t, "deployer", object{"jti": "flood"}, nil)
	badSignature := encode(asserted(sample[:strings.LastIndexByte(sample, '.')+1] + strings.Repeat("A", 86)))
	floods := []struct {
		what string
		send func(i int) exchange
		want []int
	}{
		{"static requests", func(int) exchange {
			began := time.Now()
			a, err := n.tryRequest(http.MethodPost, "open.example.test", "/", grant, formType)
			return result(a, err, began)
		}, []int{http.StatusOK}},
		{"wrong secrets from the world", func(i int) exchange {
			return post(grant, clientBasic(wrong.ID, wrong.Key), from(fmt.Sprintf("198.51.%d.%d", i/250%250, i%250)))
		}, []int{http.StatusUnauthorized}},
		{"wrong secrets from its own network", func(int) exchange { return post(grant, clientBasic(wrong.ID, wrong.Key), own) }, []int{http.StatusUnauthorized}},
		{"wrong signatures from the world", func(i int) exchange {
			return post(badSignature, from(fmt.Sprintf("%d.%d.%d.7", 20+i/60000%100, i/250%250, i%250)))
		}, []int{http.StatusUnauthorized, http.StatusTooManyRequests}},
		{"assertions that say nothing, from its own network", func(int) exchange { return post(forged, own) }, []int{http.StatusUnauthorized, http.StatusTooManyRequests}},
	}
	still := map[string]time.Duration{}
	for i, flood := range floods {
		attack := n.loadAtRate(rate, flood.send)
		loads := map[string]*load{}
		for name, send := range clients {
			loads[name] = n.loadAtRate(beside, func(int) exchange { return send() })
		}
		time.Sleep(floodTime(t) / 5)
		for name, l := range loads {
			all := l.stop()
			if bad := withOtherStatus(all, http.StatusOK); len(bad) > 0 {
				t.Errorf("beside %s, the client %s: %d of %d requests failed, the first with %d, %q, %v", flood.what, name, len(bad), len(all), bad[0].status, bad[0].reason, bad[0].err)
			}
			took := make([]time.Duration, len(all))
			for j := range all {
				took[j] = all[j].took
			}
			if len(took) == 0 {
				t.Fatalf("beside %s, the client %s sent nothing", flood.what, name)
			}
			_, late, _ := quantiles(took)
			t.Logf("beside %s, the client %s: %d tokens, p99 %s", flood.what, name, len(all), late.Round(100*time.Microsecond))
			if i == 0 {
				still[name] = late
			} else if limit := max(10*still[name], floor); late > limit {
				t.Errorf("beside %s, the client %s: p99 %s, beside static requests %s", flood.what, name, late, still[name])
			}
		}
		failures := attack.stop()
		statuses := map[int]int{}
		for _, e := range failures {
			statuses[e.status]++
		}
		for status := range statuses {
			if !slices.Contains(flood.want, status) {
				t.Errorf("%s: answered %v; want %v", flood.what, statuses, flood.want)
				break
			}
		}
		t.Logf("%s: %v", flood.what, statuses)
	}
}
