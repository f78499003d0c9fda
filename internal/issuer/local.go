package issuer

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/internal/shared"
	"github.com/caddy-jwt/caddy-jwt/key"
	"github.com/caddy-jwt/caddy-jwt/keystore"
	"github.com/caddy-jwt/caddy-jwt/validator"
)

// provisionLocal loads the keys of files or the config. Files are checked for changes
// from then on, so that a change needs no reload.
func (i *Settings) provisionLocal(from *shared.Sources, logger *zap.Logger, p *validator.Policy) error {
	option, paths, read := i.localKeys(p)
	var (
		source shared.Source
		set    *keystore.Set
	)
	if len(paths) > 0 {
		file, err := keystore.NewFile(keystore.FileConfig{Paths: paths, Read: read})
		if err != nil {
			return fmt.Errorf("%s: %w", option, setting.Located(err))
		}
		source, set = file, file.Set()
		from.Local(Text(p), "file", strings.Join(paths, "\x00"), source)
	} else {
		var err error
		if set, err = read(nil); err != nil {
			return fmt.Errorf("%s: %w", option, err)
		}
		source = keystore.NewStatic(set)
		from.Local(Text(p), "config", option, source)
	}
	for _, problem := range set.Problems() {
		logger.Warn("a key is not used", zap.String("issuer", i.label()), zap.String("key", problem.Key), zap.String("reason", problem.Reason))
	}
	p.Keys = source
	return nil
}

// Text returns the iss of a policy as a config writes it.
func Text(p *validator.Policy) string {
	if p.AnyIssuer {
		return Any
	}
	return p.Issuer
}

// localKeys returns the option that names the keys, the paths of their files, and a
// function that reads them. It checks them each time, so that a changed file can't
// bring in what would be refused at load, such as secrets instead of public keys.
func (i *Settings) localKeys(p *validator.Policy) (option string, paths []string, checked func([][]byte) (*keystore.Set, error)) {
	var read func([][]byte) (*keystore.Set, error)
	algorithms, symmetric, maxKeys, kidless := p.Algorithms, p.Symmetric, i.MaxKeys, i.KidlessKeys
	switch {
	case i.JWKSFile != "":
		option, paths = "jwks_file", []string{i.JWKSFile}
		read = func(contents [][]byte) (*keystore.Set, error) {
			set, err := keystore.ParseJWKS(contents[0], keystore.JWKSOptions{Local: true, Algorithms: algorithms, MaxKeys: maxKeys})
			if err != nil && bytes.Contains(contents[0], []byte(pemBegin)) {
				return nil, fmt.Errorf("%s: it holds PEM, not a key set; write public_key instead of jwks_file", i.JWKSFile)
			}
			if err != nil {
				return nil, fmt.Errorf("%s: %w", i.JWKSFile, err)
			}
			return set, nil
		}
	case len(i.PublicKey) > 0:
		option = "public_key"
		for _, written := range i.PublicKey {
			if path, ok := publicKeyPath(written); ok {
				paths = append(paths, path)
			}
		}
		read = func(contents [][]byte) (*keystore.Set, error) { return i.publicKeys(contents) }
	default:
		option = "secret"
		for _, s := range i.Secret {
			if path, ok := setting.SecretPath(s.Value); ok {
				paths = append(paths, path)
			}
		}
		read = func(contents [][]byte) (*keystore.Set, error) { return i.secrets(algorithms, contents) }
	}
	return option, paths, func(contents [][]byte) (*keystore.Set, error) {
		set, err := read(contents)
		if err != nil {
			return nil, err
		}
		if !anyFits(set.Keys(), algorithms) {
			return nil, fmt.Errorf("algorithms: none of its keys can verify %s; name algorithms that fit the keys", strings.Join(algorithms.Names(), ", "))
		}
		if _, secret := set.Keys()[0].(*key.Secret); secret != symmetric {
			return nil, errors.New("it holds secrets instead of public keys, or public keys instead of secrets; algorithms decides which: HS256, HS384 and HS512 are for secrets")
		}
		return set, checkDistinguishable(set.Keys(), kidless)
	}
}

// pemBegin is in PEM text and not in a path.
const pemBegin = "-----BEGIN"

// publicKeyPath returns the path of a public_key, and whether it is in a file.
func publicKeyPath(written string) (path string, ok bool) {
	if strings.Contains(written, pemBegin) || strings.HasPrefix(written, "{env.") {
		return "", false
	}
	if path, ok := strings.CutPrefix(written, "{file."); ok && setting.IsPlaceholder(written) {
		return strings.TrimSuffix(path, "}"), true
	}
	return written, true
}

// publicKeys parses the PEM texts of the config, of environment variables, and of
// files, whose contents are in the order of the paths.
func (i *Settings) publicKeys(contents [][]byte) (*keystore.Set, error) {
	var keys []key.Key
	for _, written := range i.PublicKey {
		text, where := []byte(written), "in the config"
		if _, ok := publicKeyPath(written); ok {
			text, contents, where = contents[0], contents[1:], written
		} else if setting.IsPlaceholder(written) {
			value, err := setting.ResolveSecret(written)
			if err != nil {
				return nil, err
			}
			text, where = []byte(value), written
		}
		parsed, err := key.ParsePEM(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", where, err)
		}
		for _, k := range parsed {
			keys = append(keys, k)
		}
	}
	return keystore.NewSet(keys), nil
}

// secrets reads the secrets of environment variables, and those of files, whose contents
// are in the order of the paths.
func (i *Settings) secrets(algorithms key.Algorithms, contents [][]byte) (*keystore.Set, error) {
	var keys []key.Key
	for _, s := range i.Secret {
		var content []byte
		if _, ok := setting.SecretPath(s.Value); ok {
			content, contents = contents[0], contents[1:]
		}
		k, err := s.load(algorithms, content)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keystore.NewSet(keys), nil
}

// checkDistinguishable returns an error for more keys of one type without kid than a
// token is tried against: such tokens would be refused with unknown_key.
func checkDistinguishable(keys []key.Key, kidless int) error {
	if kidless == 0 {
		kidless = validator.DefaultKidlessKeys
	}
	families := map[string]int{}
	for _, k := range keys {
		if k.ID() == "" {
			families[k.Family()]++
		}
	}
	for family, n := range families {
		if n > kidless {
			return fmt.Errorf("it has %d keys of the type %s without kid, and a token is tried against at most %d; raise that with kidless_keys, give them kids in a jwks_file, or remove old ones", n, family, kidless)
		}
	}
	return nil
}

// anyFits reports whether any key can be used with any of the algorithms.
func anyFits(keys []key.Key, allowed key.Algorithms) bool {
	for _, k := range keys {
		for _, name := range allowed.Names() {
			if a, _ := key.ParseAlgorithm(name); k.Fits(a, allowed) {
				return true
			}
		}
	}
	return allowed.Empty()
}

// load reads the secret, which is the content of a file or in an environment variable. No
// error shows any part of it.
func (s *Secret) load(algorithms key.Algorithms, content []byte) (*key.Secret, error) {
	var (
		value string
		err   error
	)
	if path, ok := setting.SecretPath(s.Value); ok {
		value, err = setting.SecretOf(path, content)
	} else {
		value, err = setting.ResolveSecret(s.Value)
	}
	if err != nil {
		return nil, err
	}
	secret := []byte(value)
	if s.Base64 {
		value = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimSpace(value)), "=")
		if secret, err = base64.RawURLEncoding.DecodeString(value); err != nil {
			return nil, fmt.Errorf("what %s points to is not valid base64; encode it, or remove the word base64", s.Value)
		}
	}
	k, err := key.NewSecret(secret, key.Options{}, algorithms)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.Value, err)
	}
	return k, nil
}
