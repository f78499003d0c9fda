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

// provisionLocal loads the keys of a file or the config. Files are looked at
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
		from.Local(issuerText(p), "file", strings.Join(paths, "\x00"), source)
	} else {
		var err error
		if set, err = read(nil); err != nil {
			return fmt.Errorf("%s: %w", option, err)
		}
		source = keystore.NewStatic(set)
		from.Local(issuerText(p), "config", option, source)
	}
	for _, problem := range set.Problems() {
		logger.Warn("a key is not used", zap.String("issuer", i.label()), zap.String("key", problem.Key), zap.String("reason", problem.Reason))
	}
	p.Keys = source
	return nil
}

// issuerText is the iss of a policy, as a config writes it.
func issuerText(p *validator.Policy) string {
	if p.AnyIssuer {
		return anyValue
	}
	return p.Issuer
}

// localKeys says which option names the keys, which files they are in, and how
// to read them. What is read is checked each time: a file that is changed can't
// bring what the config would have refused, nor secrets in the place of public
// keys.
func (i *Settings) localKeys(p *validator.Policy) (option string, paths []string, checked func([][]byte) (*keystore.Set, error)) {
	var read func([][]byte) (*keystore.Set, error)
	algorithms, symmetric := p.Algorithms, p.Symmetric
	switch {
	case i.JWKSFile != "":
		option, paths = "jwks_file", []string{i.JWKSFile}
		read = func(contents [][]byte) (*keystore.Set, error) {
			set, err := keystore.ParseJWKS(contents[0], keystore.JWKSOptions{Local: true, Algorithms: algorithms})
			if err != nil && bytes.Contains(contents[0], []byte(pemBegin)) {
				return nil, fmt.Errorf("%s: it holds PEM and no key set; write public_key in place of jwks_file", i.JWKSFile)
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
		read = func([][]byte) (*keystore.Set, error) { return i.secrets(algorithms) }
	}
	return option, paths, func(contents [][]byte) (*keystore.Set, error) {
		set, err := read(contents)
		if err != nil {
			return nil, err
		}
		if !usable(set.Keys(), algorithms) {
			return nil, fmt.Errorf("algorithms: none of its keys can verify %s; name algorithms that fit the keys", strings.Join(algorithms.Names(), ", "))
		}
		if _, secret := set.Keys()[0].(*key.Secret); secret != symmetric {
			return nil, errors.New("it holds secrets where public keys belong, or public keys where secrets do; algorithms says which: HS256 and its like are for secrets")
		}
		return set, distinguishable(set.Keys())
	}
}

// pemBegin tells PEM text from a path.
const pemBegin = "-----BEGIN"

// publicKeyPath tells whether a public_key is in a file.
func publicKeyPath(written string) (path string, ok bool) {
	if strings.Contains(written, pemBegin) || strings.HasPrefix(written, "{env.") {
		return "", false
	}
	if path, ok := strings.CutPrefix(written, "{file."); ok && setting.IsPlaceholder(written) {
		return strings.TrimSuffix(path, "}"), true
	}
	return written, true
}

// publicKeys reads the PEM texts of the config, of variables, and of files,
// whose contents come in their order.
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

func (i *Settings) secrets(algorithms key.Algorithms) (*keystore.Set, error) {
	var keys []key.Key
	for _, s := range i.Secret {
		k, err := s.load(algorithms)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keystore.NewSet(keys), nil
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

// load reads the secret. No error shows any of it.
func (s *Secret) load(algorithms key.Algorithms) (*key.Secret, error) {
	value, err := setting.ResolveSecret(s.Value)
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
