package caddyjwt

// OptionNames are the options of each block, by the type that it is read into.
var OptionNames = map[string][]string{
	"Handler": handlerOptions().names(),
	"Issuer":  issuerOptions().names(),
	"APIKey":  apiKeyOptions().names(),
}
