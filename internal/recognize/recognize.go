// Package recognize reads what people hand to the commands: tokens, keys, key sets, in
// whatever form. What it can't take, it names in one sentence, with what to do. Its errors
// have no part of what was read.
//
//	plain.go   bytes made text: UTF-16, line ends, what is no text at all
//	name.go    what a text is, in words
//	token.go   tokens and API keys
//	public.go  public keys: PEM, a JWK, a key set
//	private.go private keys and secrets
package recognize

// MaxSize is how much is read, in bytes. Anyone who reads a file or a stream hands over at
// least one byte more if there is one, so that too much is told from enough.
const MaxSize = 1 << 20

// Kind is what a text is.
type Kind string

const (
	// JWT is a signed token in compact serialization (RFC 7519), or what is left of one:
	// it may be damaged, and that is for the reader to find.
	JWT Kind = "jwt"
	// JWE is an encrypted token (RFC 7516).
	JWE Kind = "jwe"
	// APIKey is an API key that was made here.
	APIKey Kind = "api_key"
	// Opaque is any other text without spaces: a token that only its issuer understands,
	// or an API key that was made elsewhere.
	Opaque Kind = "opaque"
	// IDToken is a JWT that says to a client who signed in (OpenID Connect Core section
	// 2). It is no access token.
	IDToken Kind = "id_token"
)

// Error is the error for what can't be taken. It has no part of what was read.
type Error struct {
	// What says what was read, such as "it is a key set, not a token".
	What string
	// Do says what to do about it.
	Do string
}

// Error returns both, in one sentence.
func (e *Error) Error() string { return e.What + "; " + e.Do }
