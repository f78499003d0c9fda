package command

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/explain"
	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
)

// explainRequest are the flags that describe the request to explain.
type explainRequest struct {
	site, method, uri, remote string
	headers                   []string
	yes, introspect           bool
}

func (e *explainRequest) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&e.uri, "uri", "", "What is asked for: a URL, or a path with its query (default: /); @FILE if a secret is in it")
	flags.StringVar(&e.method, "method", "", "The method of the request (default: GET)")
	flags.StringArrayVar(&e.headers, "header", nil, "A header, 'Name: value', or 'Name: @FILE' for a secret one; may be repeated")
	flags.StringVar(&e.remote, "remote", "", "The IP address of the client (default: 127.0.0.1)")
	flags.StringVar(&e.site, "site", "", "The site, as the Caddyfile has it (default: that of --uri, or the only one)")
	flags.BoolVar(&e.introspect, "introspect", false, "Have the server ask the issuer about the token, as it does for a request (RFC 7662)")
	flags.BoolVar(&e.yes, "yes", false, "Take tokens and API keys among the arguments")
}

// changed reports whether a flag of the request was given.
func (e *explainRequest) changed(flags *pflag.FlagSet) bool {
	for _, name := range []string{"uri", "method", "header", "remote", "site", "introspect"} {
		if flags.Changed(name) {
			return true
		}
	}
	return false
}

// question returns what the arguments and flags ask, and whether a credential was given.
func (e *explainRequest) question(cmd *cobra.Command, args []string) (q explain.Question, given bool, err error) {
	q = explain.Question{Site: e.site, Method: e.method, Remote: e.remote, Introspect: e.introspect}
	in := argumentReader{cmd: cmd, yes: e.yes}
	if len(args) > 0 {
		text, err := in.secret(args[0])
		if err != nil {
			return q, false, err
		}
		found, err := recognize.FindToken([]byte(text))
		if err != nil {
			return q, false, err
		}
		if found.Note != "" {
			fmt.Fprintln(cmd.ErrOrStderr(), found.Note)
		}
		q.Credential, given = found.Text, true
	}
	var secret bool
	if q.URI, secret, err = in.value(e.uri); err != nil {
		return q, given, fmt.Errorf("--uri: %w", err)
	}
	given = given || secret
	for _, line := range e.headers {
		name, value, secret, err := in.header(line)
		if err != nil {
			return q, given, err
		}
		if q.Header == nil {
			q.Header = http.Header{}
		}
		q.Header.Add(name, value)
		given = given || secret || credentialHeader(name)
	}
	return q, given, nil
}

// argumentReader reads arguments that may be @FILE or @-.
type argumentReader struct {
	cmd  *cobra.Command
	yes  bool // whether secrets may be among the arguments
	used bool // whether standard input was read
}

// read reads an argument that is @FILE or @-, and returns others as they are.
func (r *argumentReader) read(arg string) (string, error) {
	if arg == "@-" {
		if r.used {
			return "", misuse(withHint(errors.New("standard input can be read only once"), "write the others to files, as @FILE"))
		}
		r.used = true
	}
	return readArgument(r.cmd, arg)
}

// secret reads an argument that is a credential.
func (r *argumentReader) secret(arg string) (string, error) {
	if strings.HasPrefix(arg, "@") {
		return r.read(arg)
	}
	_, missing := os.Stat(arg)
	switch {
	case missing == nil:
		return "", misuse(withHint(errors.New("the argument is the name of a file"), "write @%s", arg))
	case strings.HasPrefix(arg, "https://"), strings.HasPrefix(arg, "http://"), strings.HasPrefix(arg, "/"):
		return "", misuse(withHint(errors.New("the argument is an address or a path, not a token"), "write what is asked for behind --uri, and a file as @FILE"))
	case !r.yes:
		return "", misuse(errSecretArgument)
	}
	return arg, nil
}

// value reads an argument that may have a credential in it, and reports whether it has.
func (r *argumentReader) value(arg string) (text string, secret bool, err error) {
	if strings.HasPrefix(arg, "@") {
		text, err = r.read(arg)
		return strings.TrimSpace(text), true, err
	}
	if secret = hasSecret(arg); secret && !r.yes {
		return "", true, misuse(errSecretArgument)
	}
	return arg, secret, nil
}

// header reads a header, as 'Name: value' or 'Name: @FILE', and reports whether its value may
// be a credential.
func (r *argumentReader) header(line string) (name, value string, secret bool, err error) {
	name, value, ok := strings.Cut(line, ":")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !ok || !headerName.MatchString(name) {
		return "", "", false, misuse(withHint(errors.New("--header has no valid header"), "write it as 'Name: value'"))
	}
	name = http.CanonicalHeaderKey(name)
	fromFile := strings.HasPrefix(value, "@")
	if !fromFile && value != "" && credentialHeader(name) && !r.yes {
		return "", "", true, misuse(fmt.Errorf("--header %s: %w", name, withHint(errArgument, "write '%s: @FILE'; --yes takes it as it is", name)))
	}
	if value, secret, err = r.value(value); err != nil {
		return "", "", secret, fmt.Errorf("--header %s: %w", name, err)
	}
	// People save what a browser shows: the whole header.
	if n, rest, ok := strings.Cut(value, ":"); fromFile && ok && strings.EqualFold(strings.TrimSpace(n), name) {
		value = strings.TrimSpace(rest)
	}
	if strings.ContainsAny(value, "\r\n\x00") {
		return "", "", secret, misuse(withHint(fmt.Errorf("the value of the header %s has several lines", name), "write one line; for several headers repeat --header"))
	}
	return name, value, secret, nil
}

var headerName = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$") // a token of RFC 9110 section 5.6.2

var (
	errArgument       = errors.New("a token or API key among the arguments ends up in the shell's history and in the list of processes")
	errSecretArgument = withHint(errArgument, "write @FILE, or @- for standard input; --yes takes it as it is")
)

// credentialHeader reports whether a header is known for carrying credentials.
func credentialHeader(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Authorization", "Proxy-Authorization", "Cookie", "X-Api-Key":
		return true
	}
	return false
}

var jwtForm = regexp.MustCompile(`eyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*`)

// hasSecret reports whether a text has what looks like a token or an API key in it.
func hasSecret(text string) bool { return jwtForm.MatchString(text) || apikey.ContainsKey(text) }
