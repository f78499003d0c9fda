package explain

import (
	"net/http"
	"time"
)

// Question is what is asked.
type Question struct {
	// Credential is a token or an API key; empty for a request whose headers have all, or
	// which has none. It is put where the first handler that takes its kind looks first,
	// unless the headers have one.
	Credential string
	// Site narrows the answer to the site with a host, such as api.example.com, or :8080;
	// empty for the one that the URI or the header Host names, or the only one.
	Site string
	// Body is the body of the request, of which mcp is the only option to ask; nil for one that
	// is not known.
	Body []byte
	// Method is the method of the request. Default: GET, and POST with a body.
	Method string
	// URI is a path with a query, or a whole URL. Default: /.
	URI string
	// Header are headers of the request, with Host for another than the site's.
	Header http.Header
	// Remote is the address of the client. Default: 127.0.0.1.
	Remote string
	// Introspect allows asking the issuer about a token (RFC 7662), as a request does, which
	// tells the issuer of it. Without it, only an answer that the server remembers is used.
	Introspect bool
	// At is the time at which the request is made; zero for now. Only a config that no
	// server runs can be asked for another time.
	At time.Time
}
