package resource

import (
	"encoding/json"
	"errors"
	"slices"
)

// document is the metadata (RFC 9728 section 2).
type document struct {
	Resource             string   `json:"resource"`
	AuthorizationServers []string `json:"authorization_servers"`
	Scopes               []string `json:"scopes_supported,omitempty"`
	BearerMethods        []string `json:"bearer_methods_supported"`
	Name                 string   `json:"resource_name,omitempty"`
	Documentation        string   `json:"resource_documentation,omitempty"`
}

// Defaults are what is in the metadata unless the settings say otherwise.
type Defaults struct {
	// Servers are the issuers whose metadata clients find by their URL (RFC 8414).
	Servers []string
	// Unsure is whether it is not known yet which these are, as they are read from the
	// environment.
	Unsure bool
	// Scopes are those that every request needs.
	Scopes []string
}

// Describe completes the metadata. It must be called once.
func (r *Resource) Describe(d Defaults) error {
	content := document{
		Resource: r.url, AuthorizationServers: r.servers, Scopes: r.scopes, Name: r.name, Documentation: r.documentation,
		// RFC 6750 has two more, which put tokens into logs.
		BearerMethods: []string{"header"},
	}
	if len(content.AuthorizationServers) == 0 && !d.Unsure {
		// RFC 9728 would allow none, but a client that is told none asks the API's own host
		// for a token, with its secret.
		switch len(d.Servers) {
		case 0:
			return errors.New("where clients get a token can't be told by the issuers, as none is an https URL whose keys are discovered; write authorization_servers https://auth.example.com into its block")
		case 1:
			content.AuthorizationServers = d.Servers
		default:
			return errors.New("which of the issuers give tokens to clients can't be told, as there are several; write authorization_servers https://auth.example.com into its block, with those alone that do")
		}
	}
	if len(content.Scopes) == 0 {
		content.Scopes = Least(d.Scopes)
	}
	var err error
	r.document, err = json.Marshal(content)
	return err
}

// Least returns the scopes to ask for at first, of those that every request needs.
func Least(scopes []string) []string {
	var list []string
	for _, s := range scopes {
		if s != offlineAccess && !slices.Contains(list, s) {
			list = append(list, s)
		}
	}
	return list
}
