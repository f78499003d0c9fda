package caddyjwt

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/reason"
	"github.com/caddy-jwt/caddy-jwt/revocation"
)

// No test in this file is parallel, as Caddy writes to variables of the process where it
// provisions a config.

// desk is a config that no server runs, with its storage and its issuer.
type desk struct {
	t       *testing.T
	issuer  *issuerServer
	storage string
	path    string // of the Caddyfile
}

// newDesk makes one of a Caddyfile, in which STORAGE and JWKS stand for those.
func newDesk(t *testing.T, caddyfile string) *desk {
	t.Helper()
	d := &desk{t: t, issuer: newIssuerServer(t), storage: t.TempDir(), path: filepath.Join(t.TempDir(), "Caddyfile")}
	text := strings.NewReplacer("STORAGE", "file_system "+d.storage, "JWKS", d.issuer.URL).Replace(caddyfile)
	if err := os.WriteFile(d.path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

const deskCaddyfile = `{
	storage STORAGE
	log {
		output file /nonexistent/caddy.log
	}
	jwt {
		state
		api_keys partners {
			storage
		}
	}
}
http://api.example:8080 {
	log
	jwt {
		issuer https://issuer.example/ {
			jwks_url JWKS
			audience https://api.example
		}
		api_keys partners
	}
	reverse_proxy 127.0.0.1:9 {
		health_uri /health
		health_interval 10ms
	}
}
`

// stored has a server store keys, revocations and API keys, and end.
func (d *desk) stored(do func(st *shared.State)) {
	d.t.Helper()
	sources := shared.New(zap.NewNop(), &certmagic.FileStorage{Path: d.storage}, nil)
	if _, err := sources.Remote("https://issuer.example/", shared.Settings{JWKSURL: d.issuer.URL}); err != nil {
		d.t.Fatal(err)
	}
	st, err := sources.NewState(shared.StateSettings{
		Cluster: shared.DefaultCluster, Interval: time.Second, MaxStale: shared.DefaultMaxStale, Stores: []string{"partners"},
	})
	if err != nil {
		d.t.Fatal(err)
	}
	sources.Start()
	sources.StartState(false)
	if err := sources.List()[0].Refresh(d.t.Context()); err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(d.t.Context(), time.Minute)
	defer cancel()
	for _, ready := range []<-chan struct{}{st.Revocations().Ready(), st.Store("partners").Ready()} {
		select {
		case <-ready:
		case <-ctx.Done():
			d.t.Fatal("the state does not become ready")
		}
	}
	if do != nil {
		do(st)
	}
	sources.Settle()
	sources.StopState(false)
	if err := sources.Close(); err != nil {
		d.t.Fatal(err)
	}
}

// files are the files of the storage with their times.
func (d *desk) files() map[string]string {
	d.t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(d.storage, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := os.Stat(path)
		if err == nil {
			files[path] = fmt.Sprint(info.ModTime().UnixNano(), info.Size(), info.Mode())
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return files
}

// explain answers a question twice, and expects the same, and that nothing happens by it.
func (d *desk) explain(o explain.Offline) explain.Report {
	d.t.Helper()
	o.Path = d.path
	before, fetches := d.files(), d.issuer.fetches.Load()
	var first explain.Report
	for n := range 2 {
		report, err := explainOffline(d.t.Context(), &o)
		if err != nil {
			d.t.Fatal(err)
		}
		if n == 1 && report.Verdict != first.Verdict {
			d.t.Errorf("then it is %+v", report)
		}
		first = report
	}
	if after := d.files(); !reflect.DeepEqual(after, before) {
		d.t.Errorf("the storage was changed: %v, then %v", before, after)
	}
	if d.issuer.fetches.Load() != fetches {
		d.t.Error("something was fetched")
	}
	return first
}

// withKid makes a token with the kid of the issuer's key.
func withKid(t *testing.T, claims jwt.MapClaims) string {
	t.Helper()
	all := jwt.MapClaims{"iss": "https://issuer.example/", "aud": "https://api.example", "sub": "alice", "jti": "id-1", "exp": time.Now().Add(time.Hour).Unix()}
	for name, value := range claims {
		all[name] = value
	}
	token := jwt.NewWithClaims(jwt.SigningMethodES256, all)
	token.Header["kid"] = "a"
	text, err := token.SignedString(signer())
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (d *desk) wants(name string, report explain.Report, verdict explain.Verdict, code reason.Code, note string) {
	d.t.Helper()
	notes := strings.Join(report.Notes, "\n")
	if report.Verdict != verdict || report.Reason != code || !strings.Contains(notes, note) {
		d.t.Errorf("%s: %s %s, notes %q, %+v", name, report.Verdict, report.Reason, notes, report.Handlers)
	}
}

func TestExplainOffline(t *testing.T) {
	d := newDesk(t, deskCaddyfile)
	good := explain.Question{Credential: withKid(t, nil)}
	key, id := apikey.New("cj")
	ask := func(q explain.Question) explain.Report { return d.explain(explain.Offline{Question: q}) }

	report := ask(good)
	d.wants("nothing stored", report, explain.Undecided, "", "the signature was not checked")
	if len(report.Handlers) != 1 || !reflect.DeepEqual(report.Handlers[0].Lines, []string{d.path + ":15"}) {
		t.Errorf("the handler's lines: %+v", report.Handlers)
	}
	expired := ask(explain.Question{Credential: withKid(t, jwt.MapClaims{"exp": time.Now().Add(-time.Hour).Unix()})})
	d.wants("expired", expired, explain.Refused, reason.Expired, "")
	report = ask(explain.Question{Credential: withKid(t, jwt.MapClaims{"aud": "https://other.example"})})
	d.wants("another audience, of unchecked signature", report, explain.Refused, reason.WrongAudience, "the signature was not checked")
	if report.Status != 401 || report.Remedy == "" {
		t.Errorf("%+v", report)
	}
	for _, c := range report.Handlers[0].Checks {
		if c.Name == reason.CheckAudience && c.Line != d.path+":18" {
			t.Errorf("the audience's line: %+v", c)
		}
	}
	d.wants("an API key", ask(explain.Question{Credential: key}), explain.Undecided, "", "could not be read from the storage")
	d.wants("given keys, no state", d.explain(explain.Offline{Question: good, JWKS: signerSet(t, "a")}), explain.Undecided, "", "jwt/default/revocations")

	d.stored(func(st *shared.State) {
		err := st.Store("partners").Create(t.Context(), apikey.Record{ID: id, Hash: apikey.DigestOf(key), Consumer: "acme"}, apikey.Actor{})
		if err != nil {
			t.Fatal(err)
		}
		rule, err := revocation.New(revocation.Rule{Kind: revocation.KindJTI, Value: "revoked", Issuer: "https://issuer.example/"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Revocations().Add(t.Context(), []revocation.Rule{rule}); err != nil {
			t.Fatal(err)
		}
	})
	d.wants("stored keys", ask(good), explain.Accepted, "", "a server stored")
	d.wants("given keys", d.explain(explain.Offline{Question: good, JWKS: signerSet(t, "a")}), explain.Accepted, "", "--jwks")
	d.wants("given PEM", d.explain(explain.Offline{Question: good, JWKS: []byte(publicPEM(t, signer().Public()))}), explain.Accepted, "", "--jwks")
	d.wants("a revoked token", ask(explain.Question{Credential: withKid(t, jwt.MapClaims{"jti": "revoked"})}), explain.Refused, reason.Revoked, "")
	d.wants("a stored API key", ask(explain.Question{Credential: key}), explain.Accepted, "", "")
	other, _ := apikey.New("cj")
	d.wants("another API key", ask(explain.Question{Credential: other}), explain.Refused, reason.UnknownAPIKey, "")
	d.wants("another time", ask(explain.Question{Credential: good.Credential, At: time.Now().Add(48 * time.Hour)}), explain.Refused, reason.Expired, "")
}

func TestExplainLive(t *testing.T) {
	issuer := newIssuerServer(t)
	config := strings.Replace(string(explain.LiveConfig("https://issuer.example/", "https://api.example")),
		`"iss":"https://issuer.example/"`, `"iss":"https://issuer.example/","jwks_url":"`+issuer.URL+`"`, 1)
	o := &explain.Offline{Config: []byte(config), Fetch: true, Question: explain.Question{Credential: withKid(t, nil)}}
	report, err := explainOffline(t.Context(), o)
	if err != nil || report.Verdict != explain.Accepted || issuer.fetches.Load() != 1 {
		t.Errorf("%+v %v, %d fetches", report, err, issuer.fetches.Load())
	}
	issuer.down.Store(true)
	report, err = explainOffline(t.Context(), o)
	if err != nil || report.Verdict != explain.Undecided || !strings.Contains(strings.Join(report.Notes, " "), "can't be fetched") || !strings.Contains(strings.Join(report.Notes, " "), "--jwks FILE gives them") {
		t.Errorf("down: %+v %v", report, err)
	}
}

// TestExplainOfflineOfBadConfigs: the error is the config's.
func TestExplainOfflineOfBadConfigs(t *testing.T) {
	for name, c := range map[string]struct{ caddyfile, part string }{
		"no issuer": {"http://a.example {\njwt {\nrealm x\n}\n}\n", "neither an issuer nor an API key"},
		"a missing variable": {
			"http://a.example {\njwt {\nissuer https://issuer.example/ {\nsecret {env.NO_SUCH_VARIABLE_OF_JWT}\naudience x\n}\n}\n}\n", "set the environment variables",
		},
		"a missing file": {"http://a.example {\njwt {\napi_keys /nonexistent/keys.jsonl\n}\n}\n", "/nonexistent/keys.jsonl"},
	} {
		path := filepath.Join(t.TempDir(), "Caddyfile")
		if err := os.WriteFile(path, []byte(c.caddyfile), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := explainOffline(t.Context(), &explain.Offline{Path: path}); err == nil || !strings.Contains(err.Error(), c.part) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExplainBesideAServer: a server runs in the process, and another config is explained. The
// server's sources, state and counts are not touched, and its own answers are the same.
func TestExplainBesideAServer(t *testing.T) {
	d := newDesk(t, deskCaddyfile)
	sources := shared.New(zap.NewNop(), &certmagic.FileStorage{Path: d.storage}, nil)
	remote, err := sources.Remote("https://issuer.example/", shared.Settings{JWKSURL: d.issuer.URL})
	if err != nil {
		t.Fatal(err)
	}
	sources.Start()
	defer func() {
		if err := sources.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := sources.List()[0].Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	sources.Settle()
	status := remote.Status()
	storage := certmagic.Default.Storage
	report := d.explain(explain.Offline{Question: explain.Question{Credential: withKid(t, nil)}})
	d.wants("no state", report, explain.Undecided, "", "jwt/default/revocations")
	if now := remote.Status(); now.FetchedAt != status.FetchedAt || now.State != status.State {
		t.Errorf("%+v, then %+v", status, now)
	}
	if keys, err := remote.Keys(t.Context(), "a"); err != nil || len(keys) != 1 {
		t.Errorf("the server's keys: %v %v", keys, err)
	}
	if !reflect.DeepEqual(certmagic.Default.Storage, storage) {
		t.Error("Caddy's default storage is another one")
	}
}
