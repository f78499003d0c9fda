package command

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// signedToken is what `sign --json` prints.
type signedToken struct {
	Token string `json:"token,omitempty"` // unless it is in File
	File  string `json:"file,omitempty"`
	Alg   string `json:"alg"`
	ID    string `json:"kid,omitempty"`
	Type  string `json:"typ"`
	// Claims are those of the token.
	Claims json.RawMessage `json:"claims"`
	// Expires is when it expires; absent for never.
	Expires time.Time `json:"expires,omitzero"`
}

// signFlags are the flags of `sign`.
type signFlags struct {
	claimFlags
	key, secretFile, alg, typ, kid, out string
	base64, force                       bool
	json                                *bool
}

// signCommand returns the command `sign`.
func signCommand() *cobra.Command {
	f := new(signFlags)
	cmd := &cobra.Command{
		Use:   "sign (--key <file> | --secret-file <file>) [--iss <issuer>] [--sub <subject>] [--aud <audience>] --expires <time>",
		Short: "Makes a token",
		Long: `
Makes a token and prints it: for a device or a script of yours, or to try a config.

    caddy jwt sign --key signer.pem --iss my-app --sub device-17 \
        --aud https://api.example.com --expires 90d --jti auto
    caddy jwt sign --secret-file jwt-secret --iss my-app --sub 42 \
        --aud https://api.example.com --expires 1h

With scopes, and claims of your own: name=text, or name:=JSON:

    caddy jwt sign --key signer.pem --iss my-app --sub 42 --aud https://api.example.com \
        --expires 1h --scope read --scope write --claim team=blue --claim 'roles:=["a","b"]'

With claims from a file, to which the flags add what it has not:

    caddy jwt sign --key signer.pem --claims @claims.json --expires 5m

caddy jwt keygen makes the key. It is a private key in PEM or a JWK, or a secret in a file
that only its owner can read (--force takes another); - is standard input. A key or a secret
is never an argument. Of RSA keys the algorithm is RS256 unless --alg names another.

The token goes to standard output alone, so that

    TOKEN=$(caddy jwt sign --key signer.pem … )

is the token and nothing else; --out FILE writes it to a new file that only its owner can
read. iat is now. jti, which a single token can be revoked by, is only made with --jti auto.
Without an end there is no token, unless --no-expiry says that it is meant.
`,
	}
	flags := cmd.Flags()
	flags.StringVar(&f.key, "key", "", "The file with the private key, PEM or a JWK; - for standard input")
	flags.StringVar(&f.secretFile, "secret-file", "", "The file with the HMAC secret; - for standard input")
	flags.BoolVar(&f.base64, "base64", false, "The secret is in base64, as with secret base64 in a Caddyfile")
	flags.BoolVar(&f.force, "force", false, "Take a key file that others can read")
	flags.StringVar(&f.alg, "alg", "", "The algorithm (default: that of the key; RS256 for RSA, HS256 for a secret)")
	flags.StringVar(&f.typ, "typ", "JWT", "The type in the header: JWT, or at+jwt for an access token of RFC 9068")
	flags.StringVar(&f.kid, "kid", "", "The key's id (default: that of the JWK, or its thumbprint)")
	f.addFlags(flags)
	flags.StringVar(&f.out, "out", "", "A new file for the token (default: standard output)")
	f.json = jsonFlag(cmd)
	completeWords(cmd, "alg", algorithmNames...)
	completeWords(cmd, "typ", "JWT", "at+jwt")
	completeWords(cmd, "jti", "auto")
	return leaf(cmd, 0, 0, func([]string) error { return f.run(cmd) })
}

func (f *signFlags) run(cmd *cobra.Command) error {
	now := time.Now()
	alg, given, err := f.check(cmd, now)
	if err != nil {
		return misuse(err)
	}
	body, notes, err := f.body(cmd, given, now)
	if err != nil {
		return err
	}
	private, err := f.private(cmd, alg)
	if err != nil {
		return err
	}
	id := f.kid
	if id == "" {
		id = private.ID
	}
	token, err := signToken(private, f.typ, id, body)
	if err != nil {
		return err
	}
	for _, note := range notes {
		fmt.Fprintln(cmd.ErrOrStderr(), "Note: "+note+".")
	}
	answer := signedToken{Token: token, Alg: private.Algorithm().String(), ID: id, Type: f.typ, Claims: body.AppendJSON(nil), Expires: timeClaim(body, "exp")}
	if f.out != "" {
		if err := writeAll(newFile{f.out, []byte(token + "\n"), 0o600}); err != nil {
			return err
		}
		answer.Token, answer.File = "", f.out
	}
	switch {
	case *f.json:
		return printJSON(cmd.OutOrStdout(), answer)
	case f.out == "":
		_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
	default:
		_, err = fmt.Fprintf(cmd.ErrOrStderr(), "The token is in %s.\n", f.out)
	}
	return err
}

// check checks the flags, and returns the claims that they give.
func (f *signFlags) check(cmd *cobra.Command, now time.Time) (alg key.Algorithm, given []claims.Member, err error) {
	if err := emptyFlag(cmd, "key", "secret-file", "alg", "typ", "kid", "out", "claims", "iss", "sub", "expires", "not-before", "jti"); err != nil {
		return 0, nil, err
	}
	if f.alg != "" {
		if alg, err = parseAlg(f.alg); err != nil {
			return 0, nil, err
		}
	}
	const choose = "name the file of a private key with --key, or of a secret with --secret-file; caddy jwt keygen makes them"
	from := strings.TrimPrefix(f.key+f.secretFile, "@")
	switch {
	case f.key == "" && f.secretFile == "":
		return 0, nil, withHint(errors.New("there is no key to sign with"), choose)
	case f.key != "" && f.secretFile != "":
		return 0, nil, withHint(errors.New("--key and --secret-file exclude each other"), "keep one")
	case f.base64 && f.secretFile == "":
		return 0, nil, withHint(errors.New("--base64 goes with --secret-file"), "remove it")
	case f.secretFile != "" && alg != 0 && !alg.Symmetric():
		return 0, nil, withHint(fmt.Errorf("%s needs a key pair, not a secret", alg), "name a private key with --key, or leave --alg out")
	case strings.Contains(from, "-----BEGIN ") || strings.HasPrefix(from, "{"):
		return 0, nil, withHint(errors.New("a key among the arguments ends up in the shell's history and in the list of processes"), "name the file that it is in; who could see it may have copied it")
	case from == "-" && f.claims == "@-":
		return 0, nil, withHint(errors.New("standard input can be read only once"), "name a file for one of the two")
	case f.out == "-":
		f.out = ""
	}
	given, err = f.members(now)
	return alg, given, err
}

// private reads the key.
func (f *signFlags) private(cmd *cobra.Command, alg key.Algorithm) (recognize.Private, error) {
	path := f.key + f.secretFile
	text, err := readPrivate(cmd, path, f.force)
	if err != nil {
		return recognize.Private{}, err
	}
	var private recognize.Private
	if f.key != "" {
		private, err = recognize.PrivateKey(text, alg)
	} else {
		private, err = recognize.Secret(text, alg, f.base64)
	}
	if err != nil {
		return private, fmt.Errorf("%s: %w", strings.TrimPrefix(path, "@"), err)
	}
	return private, nil
}

// signToken signs a token (RFC 7515 section 3.1).
func signToken(private recognize.Private, typ, id string, body claims.Value) (string, error) {
	header := []claims.Member{
		{Name: "alg", Value: claims.TextValue(private.Algorithm().String())},
		{Name: "typ", Value: claims.TextValue(typ)},
	}
	if id != "" {
		header = append(header, claims.Member{Name: "kid", Value: claims.TextValue(id)})
	}
	encode := base64.RawURLEncoding.EncodeToString
	input := encode(claims.ObjectValue(header...).AppendJSON(nil)) + "." + encode(body.AppendJSON(nil))
	signature, err := private.Sign([]byte(input))
	if err != nil {
		return "", errors.New("the key can't sign") // the cause may tell of the key
	}
	return input + "." + encode(signature), nil
}
