package command

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/key"
)

// algorithmNames are those that tokens are signed with.
var algorithmNames = []string{
	"ES256", "EdDSA", "RS256", "HS256", "ES384", "ES512", "RS384", "RS512", "PS256", "PS384", "PS512", "HS384", "HS512",
}

// completeWords completes the values of a flag.
func completeWords(cmd *cobra.Command, flag string, words ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag
	}
}

// parseAlg parses the name of an algorithm.
func parseAlg(name string) (key.Algorithm, error) {
	alg, ok := key.ParseAlgorithm(name)
	if !ok {
		return 0, withHint(errors.New("--alg is no algorithm that tokens are signed with here"), "write one of %s", strings.Join(algorithmNames, ", "))
	}
	return alg, nil
}

// madeKey is what `keygen --json` prints. It has no secret.
type madeKey struct {
	Alg       string          `json:"alg"`
	ID        string          `json:"kid,omitempty"`
	File      string          `json:"file"`
	JWKSFile  string          `json:"jwks_file,omitempty"`
	JWK       json.RawMessage `json:"jwk,omitempty"` // the public key
	Caddyfile string          `json:"caddyfile"`
}

// keygenFlags are the flags of `keygen`.
type keygenFlags struct {
	alg, out, jwks, kid string
	bits                int
	json                *bool
}

// keygenCommand returns the command `keygen`.
func keygenCommand() *cobra.Command {
	f := new(keygenFlags)
	cmd := &cobra.Command{
		Use:   "keygen --out <file> [--alg <alg>] [--jwks <file>] [--kid <id>]",
		Short: "Makes a key to sign tokens with",
		Long: `
Makes a key pair. The private key, which signs, goes to a file that only its owner can read;
the key set, which verifies, to another that anybody may read:

    caddy jwt keygen --out signer.pem --jwks keys.json
    caddy jwt keygen --alg EdDSA --out signer.pem --jwks keys.json
    caddy jwt keygen --alg RS256 --out signer.pem --jwks keys.json

Or a secret, which both signs and verifies, for applications that know nothing else:

    caddy jwt keygen --alg HS256 --out jwt-secret

What goes into the Caddyfile is printed. Then caddy jwt sign makes tokens with the key.

A file that exists is never overwritten. The private key is PEM (PKCS #8). The secret is
text: hexadecimal digits without an end of line, which option secret and other libraries take
as they are. The key's id (kid) is the thumbprint of RFC 7638, unless --kid names another;
it is in the key set, as PEM has no place for it.

ES256 is the default, and good for most. EdDSA is faster to verify; some older libraries
don't have it. RS256 is the one that every library has.
`,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.alg, "alg", "ES256", "The algorithm: "+strings.Join(algorithmNames, ", "))
	flags.StringVar(&f.out, "out", "", "The file for the private key or the secret, which must not exist yet")
	flags.StringVar(&f.jwks, "jwks", "", "The file for the key set with the public key, which must not exist yet")
	flags.StringVar(&f.kid, "kid", "", "The key's id in the key set (default: its thumbprint)")
	flags.IntVar(&f.bits, "bits", 0, "The size of an RSA key: 2048 to 8192 (default: 2048)")
	f.json = jsonFlag(cmd)
	completeWords(cmd, "alg", algorithmNames...)
	completeWords(cmd, "bits", "2048", "3072", "4096")
	return leaf(cmd, 0, 0, func([]string) error { return f.run(cmd) })
}

func (f *keygenFlags) run(cmd *cobra.Command) error {
	alg, err := f.check(cmd)
	if err != nil {
		return misuse(err)
	}
	made, files, err := f.make(alg)
	if err != nil {
		return err
	}
	if err := writeAll(files...); err != nil {
		return err
	}
	if *f.json {
		return printJSON(cmd.OutOrStdout(), made)
	}
	notes := cmd.ErrOrStderr()
	if alg.Symmetric() {
		fmt.Fprintf(notes, "The secret is in %s. Anyone who has it can sign tokens, so keep it; a server with it can sign too.\n", f.out)
	} else {
		fmt.Fprintf(notes, "The private key is in %s. Anyone who has it can sign tokens, so keep it; no server needs it to verify.\n", f.out)
	}
	if f.jwks != "" {
		fmt.Fprintf(notes, "The key set is in %s. The key's id (kid) is %s.\n", f.jwks, made.ID)
	}
	if f.kid != "" {
		fmt.Fprintf(notes, "The file of the key does not have that id, so sign with it: caddy jwt sign --key %s --kid %s …\n", f.out, made.ID)
	}
	fmt.Fprint(notes, "In the Caddyfile, with your names for issuer (iss) and audience (aud):\n\n")
	_, err = fmt.Fprint(cmd.OutOrStdout(), made.Caddyfile)
	return err
}

// check checks the flags.
func (f *keygenFlags) check(cmd *cobra.Command) (key.Algorithm, error) {
	if err := emptyFlag(cmd, "alg", "out", "jwks", "kid"); err != nil {
		return 0, err
	}
	alg, err := parseAlg(f.alg)
	if err != nil {
		return 0, err
	}
	rsa := strings.HasPrefix(alg.String(), "RS") || strings.HasPrefix(alg.String(), "PS")
	switch {
	case f.out == "":
		return 0, withHint(errors.New("the file for the key is missing"), "name it with --out, such as --out signer.pem")
	case f.out == "-":
		return 0, withHint(errors.New("a private key is not printed, where others may see it"), "name a file with --out")
	case f.jwks != "" && alg.Symmetric():
		return 0, withHint(errors.New("a secret has no public part, so there is no key set that could be published"), "leave --jwks out, or choose an algorithm with a key pair, such as ES256")
	case f.kid != "" && f.jwks == "":
		return 0, withHint(errors.New("--kid goes with --jwks, as PEM has no place for it"), "add --jwks, or name it when signing: caddy jwt sign --kid")
	case filepath.Clean(f.jwks) == filepath.Clean(f.out):
		return 0, withHint(errors.New("--out and --jwks are the same file"), "name two; the key set is for others, and the private key is not")
	case cmd.Flags().Changed("bits") && !rsa:
		return 0, withHint(fmt.Errorf("--bits goes with RSA keys, and keys for %s have one size", alg), "remove it")
	case cmd.Flags().Changed("bits") && (f.bits < 2048 || f.bits > key.MostRSABits):
		return 0, fmt.Errorf("--bits must be from 2048 to %d", key.MostRSABits)
	}
	return alg, nil
}

// secretBytes is how many random bytes a secret has, by its algorithm: as many as the hash
// (RFC 7518 section 3.2).
var secretBytes = map[key.Algorithm]int{key.HS256: 32, key.HS384: 48, key.HS512: 64}

// make makes the key and its files, the private one last: what was written before an error
// is then public.
func (f *keygenFlags) make(alg key.Algorithm) (madeKey, []newFile, error) {
	made := madeKey{Alg: alg.String(), File: f.out, JWKSFile: f.jwks}
	if alg.Symmetric() {
		random := make([]byte, secretBytes[alg])
		if _, err := rand.Read(random); err != nil {
			return made, nil, err
		}
		// Without an end of line: many programs take it as a part of the secret.
		text := hex.AppendEncode(nil, random)
		made.Caddyfile = issuerBlock("secret "+caddyfileWord("{file."+fullPath(f.out)+"}"), alg, key.HS256)
		return made, []newFile{{f.out, text, 0o600}}, nil
	}
	signer, err := key.GenerateSigner(alg, f.bits)
	if err != nil {
		return made, nil, err
	}
	der, err := signer.PKCS8()
	if err != nil {
		return made, nil, err
	}
	made.ID = signer.ID()
	if f.kid != "" {
		made.ID = f.kid
	}
	public, err := key.NewPublic(signer.Public().Material(), key.Options{ID: made.ID, Algorithm: alg})
	if err != nil {
		return made, nil, err
	}
	made.JWK = public.AppendJWK(nil)
	private := newFile{f.out, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600}
	if f.jwks == "" {
		made.Caddyfile, err = publicKeyBlock(public, alg)
		return made, []newFile{private}, err
	}
	made.Caddyfile = issuerBlock("jwks_file "+caddyfileWord(fullPath(f.jwks)), 0, 0)
	set, err := keySetText([]*key.Public{public})
	return made, []newFile{{f.jwks, set, 0o644}, private}, err
}

// keySetText is the text of a key set (RFC 7517 section 5).
func keySetText(keys []*key.Public) ([]byte, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	for _, k := range keys {
		set.Keys = append(set.Keys, k.AppendJWK(nil))
	}
	var out bytes.Buffer
	err := printJSON(&out, set)
	return out.Bytes(), err
}

// issuerBlock is an issuer for a Caddyfile, with a line for its key and, unless alg is the
// one that is accepted anyway, one for the algorithm.
func issuerBlock(line string, alg, usual key.Algorithm) string {
	text := "issuer my-app {\n\t" + line + "\n"
	if alg != usual {
		text += "\talgorithms " + alg.String() + "\n"
	}
	return text + "\taudience https://api.example.com\n}\n"
}

// publicKeyBlock is an issuer with the public key itself.
func publicKeyBlock(public *key.Public, alg key.Algorithm) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public.Material())
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})))
	usual := alg
	if strings.HasPrefix(alg.String(), "RS") || strings.HasPrefix(alg.String(), "PS") {
		usual = key.RS256
	}
	return issuerBlock("public_key <<PEM\n\t\t"+strings.ReplaceAll(text, "\n", "\n\t\t")+"\n\t\tPEM", alg, usual), nil
}

// fullPath is the full path of a file, as a server may run in another folder.
func fullPath(path string) string {
	full, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	return full
}

// caddyfileWord is a text as one word of a Caddyfile.
func caddyfileWord(text string) string {
	if word, ok := caddyfileQuote(text); ok {
		return word
	}
	return strconv.Quote(text) // to be corrected by hand: Caddy would replace a part of it
}
