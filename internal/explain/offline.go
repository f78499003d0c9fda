package explain

import "encoding/json"

// Offline is a question about a config that no server runs.
type Offline struct {
	Question
	// Path is the file of the config, - for standard input, and Adapter the name of its
	// adapter, both as Caddy's own commands take them: without either, it is the Caddyfile of
	// the working directory. Lines of a Caddyfile are in the report.
	Path    string
	Adapter string
	// Config is the JSON config, in place of a file.
	Config json.RawMessage
	// JWKS is a key set, a JWK, or PEM, in place of the keys of all issuers whose keys would
	// be fetched; nil for those that a server has stored.
	JWKS []byte
	// Fetch allows fetching the keys of issuers, as `explain --issuer` does. They are not
	// stored.
	Fetch bool
}

// LiveConfig returns the config of one site whose jwt handler takes the tokens of one issuer
// for an audience, which may be * for any: what `explain --issuer` asks about. Its shared
// state and its keys are in no storage, so it is for Offline with Fetch.
func LiveConfig(issuer, audience string) json.RawMessage {
	type object = map[string]any
	handler := object{"handler": "jwt", "issuer": []object{{"iss": issuer}}, "audience": []string{audience}}
	config, err := json.Marshal(object{"apps": object{"http": object{"servers": object{"live": object{
		"listen": []string{"127.0.0.1:0"},
		"routes": []object{{"handle": []object{handler}}},
	}}}}})
	if err != nil {
		panic(err) // texts
	}
	return config
}
