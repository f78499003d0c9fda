package caddyjwt

// OptionNames maps the type that a block is read into to the block's options.
var OptionNames = map[string][]string{
	"Handler":       handlerOptions().names(),
	"Issuer":        issuerOptions().names(),
	"Introspection": introspectionOptions().names(),
	"APIKey":        apiKeyOptions().names(),

	"AuthorizationServer": serviceOptions().names(),
	"KeyClients":          keyClientsOptions().names(),
	"KeyClient":           keyClientOptions().names(),
	"ServiceClient":       clientOptions().names(),
	"Federate":            federateOptions().names(),

	"ForwardJWT": forwardJWTOptions().names(),
	"Resource":   resourceOptions().names(),
	"MCP":        mcpOptions().names(),
	"MCPRule":    mcpRuleOptions().names(),
}
