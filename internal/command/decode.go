package command

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/claims"
	"github.com/caddy-jwt/caddy-jwt/internal/recognize"
)

// decodedToken is what a token says, as `decode --json` prints it.
type decodedToken struct {
	Kind   recognize.Kind  `json:"kind"`
	Header json.RawMessage `json:"header,omitempty"`
	Claims json.RawMessage `json:"claims,omitempty"`
	// HeaderText and ClaimsText have the text instead, if readers of JSON differ about it.
	HeaderText string `json:"header_text,omitempty"`
	ClaimsText string `json:"claims_text,omitempty"`
	// SignatureChecked is false.
	SignatureChecked bool         `json:"signature_checked"`
	Notes            []decodeNote `json:"notes"`

	header, claims claims.Value
}

// decodeNote is something that is odd or dangerous about a token. The words of Note are
// stable.
type decodeNote struct {
	Note string `json:"note"`
	Text string `json:"text"`
}

// decodeCommand returns the command `decode`.
func decodeCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "decode [@file | @-]",
		Short: "Shows what a token says, without checking it",
		Long: `
Shows the header and the claims of a token (JWT), with times as people read them, and what
is odd or dangerous about it:

    caddy jwt decode @token.txt
    pbpaste | caddy jwt decode
    caddy jwt decode @token.txt --json | jq .claims.sub

The SIGNATURE IS NOT CHECKED, as that needs the issuer's keys: anybody can write such a
token. Whether a server accepts it, and why not, says

    caddy jwt explain @token.txt

Nothing leaves this machine, and no address in the token is followed. The file may have the
whole header (Authorization: Bearer …) or the answer of a token endpoint. Without an argument
the token comes from standard input. A token among the arguments would stay in the shell's
history, so it is taken only with --yes.

Of an encrypted token (JWE) the header is shown; the rest is for those who have its key. What
it or an opaque token stands for, servers ask the issuer with the option introspection.

With --json: kind (jwt, id_token or jwe), header, claims, signature_checked (always false)
and notes, each with a stable word and a text. If readers of JSON differ about the header or
the claims, as with duplicate members, header_text or claims_text has them as they were
written.

The exit code is 0 if the token was decoded, 1 if it could not be, and 2 if the command was
called in a wrong way.
`,
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "Take a token among the arguments")
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 0, 1, func(args []string) error {
		arg := "@-"
		if len(args) > 0 {
			arg = args[0]
		}
		found, err := findToken(cmd, arg, yes)
		if err != nil {
			return err
		}
		now := time.Now()
		d, err := decodeToken(found, now)
		if err != nil {
			return err
		}
		if *asJSON { // whose reader is a program
			fmt.Fprintln(cmd.ErrOrStderr(), notChecked)
			return printJSON(cmd.OutOrStdout(), d)
		}
		return d.print(cmd.OutOrStdout(), now)
	})
}

const notChecked = "NOT CHECKED. The signature was not checked; anybody can write such a token."

// decodeToken decodes a token. The error has no part of it.
func decodeToken(found recognize.Found, now time.Time) (*decodedToken, error) {
	d := &decodedToken{Kind: found.Kind, Notes: []decodeNote{}}
	switch found.Kind {
	case recognize.APIKey:
		return nil, withHint(errors.New("it is an API key, which has nothing in it to decode"), "caddy jwt explain @FILE says what a server makes of it")
	case recognize.Opaque:
		return nil, withHint(errors.New("it is an opaque token or an API key, which has nothing in it to decode"), "only its issuer knows what it stands for: servers with this plugin ask it where introspection is configured (caddy jwt explain @FILE --introspect); a JWT has three parts with dots between them and begins with eyJ")
	}
	parts := strings.Split(found.Text, ".")
	if err := d.read(parts[0], "header", &d.header, &d.Header, &d.HeaderText); err != nil {
		return nil, err
	}
	if found.Kind == recognize.JWE {
		d.note("encrypted", "it is an encrypted token (JWE): only the header can be seen, and servers with this plugin don't decrypt it; ask the issuer for signed access tokens, or have servers ask the issuer about it (introspection)")
		return d, nil
	}
	if err := d.read(parts[1], "claims", &d.claims, &d.Claims, &d.ClaimsText); err != nil {
		return nil, err
	}
	d.noteParts(parts)
	d.noteHeader()
	d.noteClaims(now)
	return d, nil
}

// note adds a note.
func (d *decodedToken) note(word, format string, values ...any) {
	d.Notes = append(d.Notes, decodeNote{word, fmt.Sprintf(format, values...)})
}

// read reads the header or the claims.
func (d *decodedToken) read(part, name string, value *claims.Value, object *json.RawMessage, text *string) error {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil || strings.ContainsAny(part, "\r\n") {
		clean := strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(part, "="))
		if raw, err = base64.RawURLEncoding.DecodeString(clean); err != nil {
			return withHint(fmt.Errorf("the token can't be decoded, as the part with the %s is not base64url", name), "was the token cut or changed when it was copied?")
		}
		d.note("encoding", "the part with the %s is not in strict base64url (RFC 7515 section 2): lenient readers take it, and servers with this plugin don't", name)
	}
	if *value, err = claims.ParseLarge(raw, recognize.MaxSize); err == nil {
		*object = json.RawMessage(raw)
		return nil
	}
	if start := bytes.TrimSpace(raw); !json.Valid(raw) || start[0] != '{' {
		return withHint(fmt.Errorf("the token can't be decoded, as the part with the %s is not a JSON object", name), "was the token cut or changed when it was copied? what is signed and no JWT has other content")
	}
	*text = string(raw)
	if !errors.Is(err, claims.ErrDuplicate) {
		d.note("not_strict", "readers of JSON disagree about the %s (%s): servers with this plugin refuse the token", name, err)
		return nil
	}
	d.note("duplicate_members", "in the %s, %s is there more than once: Go, Python, JavaScript and most others take the last, some Java, C and C++ readers the first, so that two servers may read two different tokens; servers with this plugin refuse them (RFC 7519 section 4)", name, duplicateNames(raw))
	return nil
}

// duplicateNames names the members that an object has more than once, at any depth.
func duplicateNames(object []byte) string {
	var names []string
	type level struct {
		seen map[string]bool // nil in an array
		name bool            // whether a name comes next
	}
	var stack []level
	for decoder := json.NewDecoder(bytes.NewReader(object)); ; {
		token, err := decoder.Token()
		if err != nil {
			break
		}
		if delim, ok := token.(json.Delim); ok && (delim == '}' || delim == ']') {
			stack = stack[:len(stack)-1]
			continue
		}
		if n := len(stack); n > 0 && stack[n-1].seen != nil {
			top := &stack[n-1]
			if name, _ := token.(string); top.name {
				if top.seen[name] && len(names) < 3 {
					names = append(names, fmt.Sprintf("%q", name))
				}
				top.seen[name], top.name = true, false
				continue
			}
			top.name = true
		}
		switch token {
		case json.Delim('{'):
			stack = append(stack, level{map[string]bool{}, true})
		case json.Delim('['):
			stack = append(stack, level{})
		}
	}
	if len(names) == 0 {
		return "a member"
	}
	return strings.Join(names, ", ")
}

// print prints the token for people.
func (d *decodedToken) print(out io.Writer, now time.Time) error {
	var text bytes.Buffer
	text.WriteString(notChecked + "\n")
	section := func(title string, object json.RawMessage, raw string) {
		if object == nil {
			object = json.RawMessage(raw)
		}
		if len(object) == 0 {
			return
		}
		var pretty bytes.Buffer
		if json.Indent(&pretty, object, "", "    ") != nil {
			pretty.Write(object) // it was found valid before
		}
		text.WriteString("\n" + title + "\n")
		for line := range strings.Lines(pretty.String()) {
			line = strings.TrimRight(line, "\n")
			if when := timeOnLine(line, now); when != "" && title == "Claims" {
				line = fmt.Sprintf("%-32s %s", line, when)
			}
			text.WriteString(line + "\n")
		}
	}
	section("Header", d.Header, d.HeaderText)
	section("Claims", d.Claims, d.ClaimsText)
	if len(d.Notes) > 0 {
		text.WriteString("\nTo note\n")
		for _, n := range d.Notes {
			// The ends of lines that a name has are not ours.
			text.WriteString("  - " + strings.ReplaceAll(n.Text, "\n", `\n`) + "\n")
		}
	}
	_, err := out.Write(text.Bytes())
	return err
}

// timeOnLine returns the time on a line such as `    "exp": 1767225600,`, as people read it.
func timeOnLine(line string, now time.Time) string {
	name, digits, ok := strings.Cut(strings.TrimSuffix(line, ","), ": ")
	if !ok {
		return ""
	}
	switch name {
	case `    "exp"`, `    "nbf"`, `    "iat"`, `    "auth_time"`:
	default:
		return ""
	}
	t, ms, ok := claimTime(digits)
	switch {
	case !ok:
		return ""
	case ms:
		return "# " + shownTime(t) + ", if it were in milliseconds"
	}
	return "# " + shownTime(t) + ", " + sinceOrUntil(t, now)
}
