package caddyjwt

// OptionNames maps the type that a block is read into to the block's options.
var OptionNames = map[string][]string{
	"Handler": handlerOptions().names(),
	"Issuer":  issuerOptions().names(),
	"APIKey":  apiKeyOptions().names(),

	"ForwardJWT": forwardJWTOptions().names(),
}
