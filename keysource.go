package caddyjwt

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// closer is a key source that works in the background.
type closer interface{ Close() }

// remote tells whether the issuer's keys are fetched.
func (i *Issuer) remote() bool {
	return i.JWKSFile == "" && len(i.PublicKey) == 0 && len(i.Secret) == 0
}

// checkKeys checks what can be known of the key source without reading or
// fetching anything.
func (i *Issuer) checkKeys(p *validator.Policy) error {
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
		return fmt.Errorf("its keys come from %s; an issuer has one kind of key source, so that no key can stand in for one of another kind: keep one", strings.Join(kinds, " and "))
	}
	switch {
	case p.AnyIssuer && i.remote():
		return errors.New("it takes tokens of any issuer, so its keys must be written out: name secret, public_key or jwks_file; or name the issuer")
	case !i.remote() && i.CA != "":
		return fmt.Errorf("ca is for fetching keys, and %s fetches none; remove it", kinds[0])
	case !i.remote() && i.BearerTokenFile != "":
		return fmt.Errorf("bearer_token_file is for fetching keys, and %s fetches none; remove it", kinds[0])
	case !i.remote() && i.InsecureHTTP:
		return fmt.Errorf("insecure_http is for fetching keys, and %s fetches none; remove it", kinds[0])
	case len(i.Secret) > 0 && p.Algorithms.HasPublic():
		return errors.New("algorithms: a secret verifies HS256, HS384 and HS512 alone; name only these, or public_key in place of the secret")
	case (i.remote() || len(i.PublicKey) > 0) && p.Algorithms.HasSymmetric():
		return errors.New("algorithms: HS256, HS384 and HS512 need a secret, and this issuer has public keys; name others such as RS256 or ES256, or secret in place of the public keys")
	case p.Algorithms.HasSymmetric() && p.Algorithms.HasPublic():
		return errors.New("algorithms: HS256, HS384 and HS512 are for secrets and all others for public keys; a key set holds one kind, so name one kind")
	}
	for _, s := range i.Secret {
		if s == nil || !isSecretPlaceholder(s.Value) {
			return fmt.Errorf("secret: %w", errPlainSecret)
		}
	}
	for _, k := range i.PublicKey {
		if k == "" {
			return errors.New("public_key: it is empty; write the path of a PEM file")
		}
		if strings.Contains(k, pemBegin) {
			if _, err := key.ParsePEM([]byte(k)); err != nil {
				return fmt.Errorf("public_key in the config: %w", err)
			}
		}
	}
	if i.remote() {
		return i.checkRemote(p)
	}
	return nil
}

// checkRemote checks the URLs as far as they are known.
func (i *Issuer) checkRemote(p *validator.Policy) error {
	option, setting := "", i.Iss
	switch {
	case i.JWKSURL != "":
		option, setting = "jwks_url: ", i.JWKSURL
	case i.Discovery != "":
		option, setting = "discovery: ", i.Discovery
	}
	if _, err := unresolved(setting); err != nil {
		return fmt.Errorf("%s%w", option, err)
	}
	if strings.Contains(setting, "{env.") {
		return nil // known only when the config loads
	}
	if option == "" {
		if u, err := url.Parse(p.Issuer); err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
			return errors.New("it is no https URL, so its metadata can't be found; name where its keys are: jwks_url, jwks_file, public_key or secret")
		}
	}
	err := i.remoteConfig(p.Issuer, i.Discovery, i.JWKSURL).Check()
	if err == nil {
		return nil
	}
	if option == "" && strings.HasPrefix(setting, "http://") {
		// An iss must be what the tokens say, so that https alone is no help.
		return fmt.Errorf("%w; where the tokens do say http, name their keys' place with jwks_url and an https URL", err)
	}
	return fmt.Errorf("%s%w", option, err)
}

func (i *Issuer) remoteConfig(iss, discovery, jwksURL string) keystore.RemoteConfig {
	c := keystore.RemoteConfig{Discovery: discovery, JWKSURL: jwksURL, InsecureHTTP: i.InsecureHTTP}
	if jwksURL == "" {
		c.Issuer = iss
	}
	return c
}

// provisionKeys loads the keys that are at hand, and prepares the fetching of
// those that are not. It fetches nothing.
func (i *Issuer) provisionKeys(h *Handler, p *validator.Policy) error {
	if i.remote() {
		return i.provisionRemote(h, p)
	}
	set, err := i.localKeys(p.Algorithms)
	if err != nil {
		return err
	}
	for _, problem := range set.Problems() {
		h.logger.Warn("a key is not used", zap.String("issuer", i.Iss), zap.String("key", problem.Key), zap.String("reason", problem.Reason))
	}
	// A local set is never of both kinds.
	_, p.Symmetric = set.Keys()[0].(*key.Secret)
	if !usable(set.Keys(), p.Algorithms) {
		return fmt.Errorf("algorithms: none of its keys can verify %s; name algorithms that fit the keys", strings.Join(p.Algorithms.Names(), ", "))
	}
	if err := distinguishable(set.Keys()); err != nil {
		return err
	}
	p.Keys = keystore.NewStatic(set)
	return nil
}

// distinguishable tells of so many keys without kid that tokens can't say
// which of them they mean: each would be refused with unknown_key.
func distinguishable(keys []key.Key) error {
	families := map[string]int{}
	for _, k := range keys {
		if k.ID() == "" {
			families[k.Family()]++
		}
	}
	for family, n := range families {
		if n > validator.MaxCandidates {
			return fmt.Errorf("it has %d keys of the type %s without kid, and a token is tried against %d at most; give them kids in a jwks_file, or remove old ones", n, family, validator.MaxCandidates)
		}
	}
	return nil
}

func (i *Issuer) localKeys(algorithms key.Algorithms) (*keystore.Set, error) {
	var keys []key.Key
	switch {
	case i.JWKSFile != "":
		text, err := readFile(i.JWKSFile)
		if err != nil {
			return nil, fmt.Errorf("jwks_file: %w", err)
		}
		set, err := keystore.ParseJWKS(text, keystore.JWKSOptions{Local: true, Algorithms: algorithms})
		if err != nil {
			return nil, fmt.Errorf("jwks_file %s: %w", i.JWKSFile, err)
		}
		return set, nil
	case len(i.PublicKey) > 0:
		for _, setting := range i.PublicKey {
			text, where, err := readPEM(setting)
			if err != nil {
				return nil, fmt.Errorf("public_key: %w", err)
			}
			parsed, err := key.ParsePEM(text)
			if err != nil {
				return nil, fmt.Errorf("public_key %s: %w", where, err)
			}
			for _, k := range parsed {
				keys = append(keys, k)
			}
		}
	default:
		for _, s := range i.Secret {
			k, err := s.load(algorithms)
			if err != nil {
				return nil, fmt.Errorf("secret: %w", err)
			}
			keys = append(keys, k)
		}
	}
	return keystore.NewSet(keys), nil
}

// usable tells whether any of the keys fits any algorithm at all.
func usable(keys []key.Key, allowed key.Algorithms) bool {
	for _, k := range keys {
		for _, name := range allowed.Names() {
			if a, _ := key.ParseAlgorithm(name); k.Fits(a, allowed) {
				return true
			}
		}
	}
	return allowed.Empty()
}

// pemBegin tells PEM text from a path.
const pemBegin = "-----BEGIN"

// readPEM reads a public key: PEM text itself, or what a path or placeholder
// points to. where names it in errors.
func readPEM(setting string) (text []byte, where string, err error) {
	if strings.Contains(setting, pemBegin) {
		return []byte(setting), "in the config", nil
	}
	if isSecretPlaceholder(setting) {
		value, err := resolveSecret(setting)
		return []byte(value), setting, err
	}
	text, err = readFile(setting)
	return text, setting, err
}

// load reads the secret. No error shows any of it.
func (s *Secret) load(algorithms key.Algorithms) (*key.Secret, error) {
	value, err := resolveSecret(s.Value)
	if err != nil {
		return nil, err
	}
	secret := []byte(value)
	if s.Base64 {
		value = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSpace(value)), "=")
		if secret, err = base64.RawURLEncoding.DecodeString(value); err != nil {
			return nil, fmt.Errorf("what %s points to is no base64; encode it, or leave the word base64 out", s.Value)
		}
	}
	k, err := key.NewSecret(secret, key.Options{}, algorithms)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Value, err)
	}
	return k, nil
}

func (i *Issuer) provisionRemote(h *Handler, p *validator.Policy) error {
	var urls [2]string
	for n, u := range []string{i.Discovery, i.JWKSURL} {
		var err error
		if urls[n], err = resolve(u); err != nil {
			return fmt.Errorf("%s: %w", []string{"discovery", "jwks_url"}[n], err)
		}
	}
	c := i.remoteConfig(p.Issuer, urls[0], urls[1])
	c.Observe = observer(h.logger, i.Iss)
	if i.CA != "" {
		pool, err := rootCAs(i.CA)
		if err != nil {
			return fmt.Errorf("ca: %w", err)
		}
		c.RootCAs = pool
	}
	if i.BearerTokenFile != "" {
		// It is read anew at each fetch, as Kubernetes renews it; a wrong
		// path is told now.
		if _, err := bearerToken(i.BearerTokenFile); err != nil {
			return fmt.Errorf("bearer_token_file: %w", err)
		}
		c.BearerToken = func() (string, error) { return bearerToken(i.BearerTokenFile) }
	}
	source, err := keystore.NewRemote(c)
	if err != nil {
		return err
	}
	h.sources = append(h.sources, source)
	p.Keys = source
	return nil
}

func rootCAs(path string) (*x509.CertPool, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("the file %s holds no certificate in PEM", path)
	}
	return pool, nil
}

func bearerToken(path string) (string, error) {
	text, err := readFile(path)
	if err != nil {
		return "", err
	}
	token := strings.TrimSpace(string(text))
	if token == "" || strings.ContainsAny(token, " \r\n\t") {
		return "", fmt.Errorf("the file %s must hold one token and nothing else", path)
	}
	return token, nil
}
