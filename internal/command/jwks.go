package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// jwksFlags are the flags of `jwks`.
type jwksFlags struct {
	kid, alg string
	noKid    bool
}

// jwksCommand returns the command `jwks`.
func jwksCommand() *cobra.Command {
	f := new(jwksFlags)
	cmd := &cobra.Command{
		Use:   "jwks <file> ...",
		Short: "Makes a key set of public keys",
		Long: `
Makes a key set (JWKS) of keys in files, for option jwks_file or for others who verify your
tokens:

    caddy jwt jwks signer.pem > keys.json
    caddy jwt jwks new.pem keys.json > both.json
    caddy jwt jwks cert.pem --kid 2027 > keys.json
    openssl pkey -in signer.pem -pubout | caddy jwt jwks - > keys.json

A file may have public keys or certificates in PEM, a JWK, a key set, or a private key, of
which the public part is taken and nothing else. Secrets have no public part, and are
refused. Of a certificate only the key is used.

A key's id (kid) is the one that its JWK has, else the thumbprint of RFC 7638, as caddy jwt
sign writes it into tokens. The algorithm is the one of the JWK, else the one of the curve;
an RSA key has none unless --alg names it, and then verifies RS256 unless the server's config
names others.

Nothing is written but standard output, which is JSON, with and without --json.
`,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.kid, "kid", "", "The id of the key, if it is only one")
	flags.BoolVar(&f.noKid, "no-kid", false, "Leave ids out that the keys don't have: every key is then tried")
	flags.StringVar(&f.alg, "alg", "", "The algorithm of the keys that don't say theirs")
	jsonFlag(cmd)
	completeWords(cmd, "alg", algorithmNames...)
	return leaf(cmd, 1, 100, func(args []string) error { return f.run(cmd, args) })
}

func (f *jwksFlags) run(cmd *cobra.Command, args []string) error {
	alg, err := f.check(cmd, args)
	if err != nil {
		return misuse(err)
	}
	var all []*key.Public
	for _, arg := range args {
		path := strings.TrimPrefix(arg, "@")
		if strings.HasPrefix(path, "https://") || strings.HasPrefix(path, "http://") {
			return misuse(withHint(errors.New("the argument is an address, and nothing is fetched here"), "curl -o keys.json URL saves it"))
		}
		text, err := readInput(cmd, path)
		if err != nil {
			return err
		}
		keys, err := recognize.PublicParts(text)
		if err != nil {
			if path == "-" {
				path = "standard input"
			}
			return fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, keys...)
	}
	if f.kid != "" && len(all) > 1 {
		return misuse(withHint(fmt.Errorf("--kid names one key, and there are %d", len(all)), "leave it out, or make a set of each and join them with caddy jwt jwks"))
	}
	set, err := f.set(all, alg)
	if err != nil {
		return err
	}
	text, err := keySetText(set)
	if err != nil {
		return err
	}
	_, err = cmd.OutOrStdout().Write(text)
	return err
}

// check checks the flags.
func (f *jwksFlags) check(cmd *cobra.Command, args []string) (alg key.Algorithm, err error) {
	if err := emptyFlag(cmd, "kid", "alg"); err != nil {
		return 0, err
	}
	if f.alg != "" {
		if alg, err = parseAlg(f.alg); err != nil {
			return 0, err
		}
	}
	stdin := 0
	for _, arg := range args {
		if strings.TrimPrefix(arg, "@") == "-" {
			stdin++
		}
	}
	switch {
	case f.kid != "" && f.noKid:
		return 0, withHint(errors.New("--kid and --no-kid exclude each other"), "keep one")
	case alg.Symmetric() && alg != 0:
		return 0, withHint(errors.New("--alg is for secrets, which are in no key set that others may read"), "name the algorithm of the key pair")
	case stdin > 1:
		return 0, withHint(errors.New("standard input can be read only once"), "name files")
	}
	return alg, nil
}

// set gives each key its id and algorithm, and leaves out duplicates.
func (f *jwksFlags) set(keys []*key.Public, alg key.Algorithm) ([]*key.Public, error) {
	var set []*key.Public
	byID := map[string]*key.Public{}
	for _, k := range keys {
		o := key.Options{ID: k.ID(), Algorithm: k.Algorithm()}
		if f.kid != "" {
			o.ID = f.kid
		} else if o.ID == "" && !f.noKid {
			o.ID = k.Thumbprint()
		}
		if o.Algorithm == 0 && k.Family() != "RSA" {
			o.Algorithm = onlyAlgorithm[k.Family()]
		}
		if o.Algorithm == 0 {
			o.Algorithm = alg
		}
		named, err := key.NewPublic(k.Material(), o)
		if err != nil {
			return nil, withHint(err, "leave --alg out")
		}
		have := byID[o.ID]
		switch {
		case have == nil || o.ID == "":
			byID[o.ID] = named
			set = append(set, named)
		case have.Fingerprint() == named.Fingerprint() && have.Algorithm() == named.Algorithm():
		case have.Fingerprint() == named.Fingerprint():
			set = append(set, named) // one RSA key for several algorithms
		default:
			return nil, withHint(errors.New("two different keys have the same id (kid)"), "rename one of them: caddy jwt jwks FILE --kid ID")
		}
	}
	return set, nil
}

// onlyAlgorithm is the algorithm of kinds of key that have one.
var onlyAlgorithm = map[string]key.Algorithm{"P-256": key.ES256, "P-384": key.ES384, "P-521": key.ES512, "Ed25519": key.EdDSA}
