// Package recognize reads what people hand to the commands: tokens, keys, key sets, in
// whatever form. What it can't take, it names in one sentence, with what to do. Its errors
// have no part of what was read.
//
//	token.go   tokens and API keys
//	keys.go    public keys: PEM, a JWK, a key set
//	private.go private keys and secrets
package recognize

// MaxSize is how much is read, in bytes.
const MaxSize = 1 << 20

// Kind is what a text is.
type Kind string

const (
	JWT     Kind = "jwt"     // a signed token in compact serialization
	JWE     Kind = "jwe"     // an encrypted token
	APIKey  Kind = "api_key" // an API key of ours
	Opaque  Kind = "opaque"  // a token that only its issuer understands
	IDToken Kind = "id_token"
)

// Token returns the one token or API key in a text, without white space, quotes, the word
// Bearer or a header's name around it, and what it is. The error says what it is instead.
func Token(text []byte) (token string, kind Kind, err error) { return "", "", nil }
