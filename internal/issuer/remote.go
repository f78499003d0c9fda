package issuer

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// remote reports whether the issuer's keys are fetched.
func (i *Settings) remote() bool {
	return i.JWKSFile == "" && len(i.PublicKey) == 0 && len(i.Secret) == 0 && !i.onlyOpaque()
}

// checkKeys checks the key source without reading or fetching anything.
func (i *Settings) checkKeys(p *validator.Policy) error {
	var kinds []string
	for _, k := range []struct {
		name string
		set  bool
	}{
		{"discovery", i.Discovery != ""}, {"jwks_url", i.JWKSURL != ""}, {"jwks_file", i.JWKSFile != ""},
		{"public_key", len(i.PublicKey) > 0}, {"secret", len(i.Secret) > 0},
	} {
		if k.set {
			kinds = append(kinds, k.name)
		}
	}
	if len(kinds) > 1 {
		return fmt.Errorf("its keys come from %s; an issuer has one kind of key source, so that no key is used as one of another kind: keep one", strings.Join(kinds, " and "))
	}
	if i.onlyOpaque() {
		return i.checkOnlyOpaque(p)
	}
	switch {
	case p.AnyIssuer && i.remote():
		return errors.New("it accepts tokens of any issuer, so its keys can't be discovered: write secret, public_key or jwks_file, or name the issuer")
	case !i.remote() && i.CA != "" && i.Introspection == nil:
		return fmt.Errorf("ca is for fetching keys, and %s fetches none; remove it", kinds[0])
	case !i.remote() && i.BearerTokenFile != "":
		return fmt.Errorf("bearer_token_file is for fetching keys, and %s fetches none; remove it", kinds[0])
	case !i.remote() && (i.RefreshInterval != 0 || i.MaxStale != 0):
		return fmt.Errorf("refresh_interval and max_stale are for fetching keys, and %s fetches none (a file is checked for changes all the time); remove them", kinds[0])
	case !i.remote() && i.InsecureHTTP && i.Introspection == nil:
		return fmt.Errorf("insecure_http is for fetching keys, and %s fetches none; remove it", kinds[0])
	case len(i.Secret) > 0 && p.Algorithms.HasPublic():
		return errors.New("algorithms: a secret verifies only HS256, HS384 and HS512; name only these, or write public_key instead of the secret")
	case (i.remote() || len(i.PublicKey) > 0) && p.Algorithms.HasSymmetric():
		return errors.New("algorithms: HS256, HS384 and HS512 need a secret, and this issuer has public keys; name others such as RS256 or ES256, or write secret instead of the public keys")
	case p.Algorithms.HasSymmetric() && p.Algorithms.HasPublic():
		return errors.New("algorithms: HS256, HS384 and HS512 are for secrets and all others for public keys; a key set holds one kind, so name one kind")
	}
	for _, s := range i.Secret {
		if s == nil {
			s = new(Secret)
		}
		if err := setting.CheckPlace(s.Value, setting.ErrPlainSecret); err != nil {
			return fmt.Errorf("secret: %w", err)
		}
	}
	for _, k := range i.PublicKey {
		if err := checkPublicKey(k); err != nil {
			return err
		}
	}
	for _, file := range [...]struct{ option, path string }{
		{"jwks_file", i.JWKSFile}, {"ca", i.CA}, {"bearer_token_file", i.BearerTokenFile},
	} {
		if err := setting.CheckPath(file.path); err != nil {
			return fmt.Errorf("%s: %w", file.option, err)
		}
	}
	if setting.IsURL(i.JWKSFile) {
		return errors.New("jwks_file: it is a URL; write jwks_url instead of jwks_file")
	}
	if i.remote() {
		return i.checkRemote(p)
	}
	return nil
}

// checkPublicKey checks a public_key without reading its file.
func checkPublicKey(k string) error {
	switch {
	case k == "":
		return errors.New("public_key: it is empty; write the path of a PEM file")
	case strings.Contains(k, pemBegin):
		if _, err := key.ParsePEM([]byte(k)); err != nil {
			return fmt.Errorf("public_key in the config: %w", err)
		}
		return nil
	case setting.IsURL(k):
		return errors.New("public_key: it is a URL, and only key sets are fetched; write jwks_url and the URL of a key set, or the path of a PEM file")
	}
	if err := setting.CheckPlace(k, setting.CheckPath(k)); err != nil {
		return fmt.Errorf("public_key: %w", err)
	}
	return nil
}

// minRefresh keeps a wrong unit from making the server fetch every second.
const minRefresh = time.Minute

// checkTiming checks how long fetched keys are used.
func (i *Settings) checkTiming() error {
	refresh, stale := i.RefreshInterval, i.MaxStale
	if refresh != 0 && refresh < minRefresh {
		return errors.New("refresh_interval: it must be 1m or more; write a duration such as 1h")
	}
	if stale < 0 || stale != 0 && stale < max(refresh, minRefresh) {
		return errors.New("max_stale: it must not be shorter than refresh_interval; write a duration such as 24h")
	}
	if refresh > keystore.DefaultMaxStale && stale == 0 {
		return errors.New("refresh_interval: it is longer than max_stale, which is 24h by default; lengthen max_stale or shorten refresh_interval")
	}
	if stale != 0 && refresh == 0 && stale < keystore.DefaultRefreshInterval {
		return errors.New("max_stale: it is shorter than refresh_interval, which is 1h by default; lengthen max_stale or shorten refresh_interval")
	}
	return nil
}

// checkRemote checks the URLs and times of keys that are fetched. URLs with {env.NAME}
// are checked when the config loads.
func (i *Settings) checkRemote(p *validator.Policy) error {
	if err := i.checkTiming(); err != nil {
		return err
	}
	option, written := "", p.Issuer
	if p.Template() {
		written, _ = tenantMetadata(p)
	}
	switch {
	case i.JWKSURL != "":
		option, written = "jwks_url: ", i.JWKSURL
	case i.Discovery != "":
		option, written = "discovery: ", i.Discovery
	}
	if option != "" {
		if _, err := setting.Unresolved(written); err != nil {
			return fmt.Errorf("%s%w", option, err)
		}
	}
	if strings.Contains(written, "{env.") {
		return nil // known only when the config loads
	}
	if i.JWKSURL != "" && (!strings.Contains(written, "://") || strings.HasPrefix(strings.ToLower(written), "file:")) {
		return errors.New("jwks_url: it is not a URL; for a file write jwks_file and its path; a URL begins with https://")
	}
	if option == "" && !p.Template() {
		if err := checkNotMetadataURL(p.Issuer); err != nil {
			return err
		}
		if u, err := url.Parse(p.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			if setting.IsName(p.Issuer) {
				return errors.New("it is not an https URL, so its metadata can't be found, and no issuer of this name is declared in the global option jwt; name where its keys are: jwks_url, jwks_file, public_key or secret")
			}
			if host, _, _ := strings.Cut(p.Issuer, "/"); setting.IsHost(host) {
				return fmt.Errorf("it is not an https URL, so its metadata can't be found; write https://%s/, exactly as iss in the tokens has it, or name where its keys are: jwks_url, jwks_file, public_key or secret", strings.TrimSuffix(p.Issuer, "/"))
			}
			return errors.New("it is not an https URL, so its metadata can't be found; name where its keys are: jwks_url, jwks_file, public_key or secret")
		}
	}
	err := i.remoteSettings(p, i.Discovery, i.JWKSURL).Config().Check()
	if err == nil {
		return nil
	}
	if option == "" && strings.HasPrefix(written, "http://") {
		// The iss must equal that of the tokens, so writing https may be wrong.
		return fmt.Errorf("%w; if iss in the tokens begins with http, write jwks_url with an https URL", err)
	}
	return fmt.Errorf("%s%w", option, err)
}

// checkNotMetadataURL returns an error if an issuer is the URL of its metadata or key
// set, which people write instead.
func checkNotMetadataURL(iss string) error {
	for _, wellKnown := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		// RFC 8414 section 3 inserts it between host and path.
		if before, after, ok := strings.Cut(iss, wellKnown); ok {
			after, _, _ = strings.Cut(after, "?")
			base := userInfo.ReplaceAllString(before+after, "//xxxxx@")
			return fmt.Errorf("it is the URL of the issuer's metadata; write the issuer that it names, %s or %s/", base, strings.TrimSuffix(base, "/"))
		}
	}
	if u, err := url.Parse(iss); err == nil && setting.IsURL(iss) && strings.HasSuffix(u.Path, ".json") {
		return errors.New("it looks like the URL of a key set; write it as jwks_url into an issuer block, and the exact iss of the tokens after issuer")
	}
	return nil
}

// remoteSettings returns the settings of the key source.
func (i *Settings) remoteSettings(p *validator.Policy, discovery, jwksURL string) shared.Settings {
	iss := p.Issuer
	if p.Template() {
		var all string
		all, iss = tenantMetadata(p)
		if discovery == "" && jwksURL == "" {
			discovery = all
		}
	}
	s := shared.Settings{
		Discovery: discovery, JWKSURL: jwksURL, BearerFile: i.BearerTokenFile, InsecureHTTP: i.InsecureHTTP,
		Refresh: i.RefreshInterval, MaxStale: i.MaxStale, MaxKeys: i.MaxKeys,
	}
	if jwksURL == "" {
		s.Issuer = iss
	}
	return s
}

// provisionKeys sets the key source of a policy. It loads keys from files and the
// config, and prepares fetching others, but fetches nothing.
func (i *Settings) provisionKeys(from *shared.Sources, logger *zap.Logger, p *validator.Policy) error {
	if err := i.provisionIntrospection(from, p); err != nil {
		return err
	}
	switch {
	case i.onlyOpaque():
		return nil // what it says of its tokens is all that counts
	case i.remote():
		return i.provisionRemote(from, p)
	}
	return i.provisionLocal(from, logger, p)
}

// Provision checks the settings and returns a policy with keys, for who is not an issuer of
// a handler. It has no audience.
func (i *Settings) Provision(from *shared.Sources, logger *zap.Logger) (validator.Policy, error) {
	p, err := i.Policy(setting.Resolve)
	if err != nil {
		return p, err
	}
	return p, i.provisionKeys(from, logger, &p)
}

// provisionRemote sets the key source of an issuer whose keys are fetched.
func (i *Settings) provisionRemote(from *shared.Sources, p *validator.Policy) error {
	var urls [2]string
	for n, u := range []string{i.Discovery, i.JWKSURL} {
		var err error
		if urls[n], err = setting.Resolve(u); err != nil {
			return fmt.Errorf("%s: %w", []string{"discovery", "jwks_url"}[n], err)
		}
	}
	s := i.remoteSettings(p, urls[0], urls[1])
	var err error
	if s.CA, s.Roots, err = i.roots(); err != nil {
		return err
	}
	if i.BearerTokenFile != "" {
		// It is read again at each fetch, as Kubernetes renews it. Here it is only
		// checked, so that a wrong path is an error at load.
		if _, err := setting.BearerToken(i.BearerTokenFile); err != nil {
			return fmt.Errorf("bearer_token_file: %w", err)
		}
	}
	if i.Discovery == "" && i.JWKSURL == "" && !p.Template() {
		// It may be a token service of this config, which is known only later.
		source, err := from.Trusted(p.Issuer, s)
		if err != nil {
			return err
		}
		p.Keys = source
		return nil
	}
	source, err := from.Remote(p.Issuer, s)
	if err != nil {
		return err
	}
	p.Keys = source
	return nil
}

// roots returns the certificates to trust beside the system's, and their digest: issuers share
// a source only if the certificates are the same, not the path. Both are zero without ca.
func (i *Settings) roots() (digest string, pool *x509.CertPool, err error) {
	if i.CA == "" {
		return "", nil, nil
	}
	text, pool, err := rootCAs(i.CA)
	if err != nil {
		return "", nil, fmt.Errorf("ca: %w", err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), pool, nil
}

// rootCAs returns the certificates of a PEM file, and a pool of them and the system's.
func rootCAs(path string) ([]byte, *x509.CertPool, error) {
	text, err := setting.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, nil, fmt.Errorf("the file %s holds no certificate in PEM", path)
	}
	return text, pool, nil
}
