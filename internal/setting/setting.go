// Package setting reads the values of a config: placeholders, paths, names and files.
//
// It resolves placeholders itself, once, when a config loads, and does not use Caddy's
// replacer: that replaces an unset variable with an empty text, which would make an
// empty secret or an audience that matches nothing, and placeholders of requests would
// let a client choose what is trusted.
package setting

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// loadPlaceholder matches {env.NAME}, {file.PATH} and anything else in braces.
var loadPlaceholder = regexp.MustCompile(`\{([^{}]*)\}`)

// Resolver replaces the placeholders of a setting that is not a secret.
type Resolver func(setting string) (string, error)

// Resolve replaces each {env.NAME}.
func Resolve(setting string) (string, error) {
	return replacePlaceholders(setting, environment)
}

// Keeping returns a Resolver that leaves a text in braces as it is, such as {tid}.
func Keeping(mark string, resolve Resolver) Resolver {
	return func(setting string) (string, error) {
		parts := strings.Split(setting, mark)
		for n, part := range parts {
			var err error
			if parts[n], err = resolve(part); err != nil {
				return "", err
			}
		}
		return strings.Join(parts, mark), nil
	}
}

// Unresolved checks the placeholders of a setting and leaves them as they are. It is for
// a Caddyfile, which may be adapted on another machine than the one it runs on.
func Unresolved(setting string) (string, error) {
	return replacePlaceholders(setting, func(name string) (string, error) { return "{env." + name + "}", nil })
}

func replacePlaceholders(setting string, value func(name string) (string, error)) (string, error) {
	if !strings.ContainsAny(setting, "{}") {
		return setting, nil
	}
	var failed error
	out := loadPlaceholder.ReplaceAllStringFunc(setting, func(match string) string {
		name, ok := strings.CutPrefix(match[1:len(match)-1], "env.")
		if !ok {
			failed = fmt.Errorf("%s is not possible here: placeholders of requests would let a client choose whom to trust; write {env.NAME}, which is read once when the config loads", match)
			return ""
		}
		text, err := value(name)
		if err != nil {
			failed = err
		}
		return text
	})
	if failed != nil {
		return "", failed
	}
	return out, nil
}

func environment(name string) (string, error) {
	value := os.Getenv(name)
	if value == "" {
		return "", fmt.Errorf("the environment variable %s is not set or empty; set it before Caddy starts", name)
	}
	return value, nil
}

// ErrPlainSecret is the error for a secret that is written into the config. It does not
// repeat the secret.
var ErrPlainSecret = errors.New("a secret can't be in the config, which Caddy saves to disk and shows at /config/ ({$NAME} puts it there too); write {env.NAME} to read an environment variable, or {file./path} to read a file")

// Unset is appended to errors about a missing value.
const Unset = " (a {$NAME} that is not set is empty)"

// requestFile is the beginning of what Caddy makes of {file.NAME} in a Caddyfile if NAME
// has neither a slash nor a dot: its short placeholder for a part of the request's path.
const requestFile = "{http.request.uri.path.file."

// CheckPlace checks that a setting is one {env.NAME} or {file.PATH}. If it is neither,
// the error is otherwise.
func CheckPlace(setting string, otherwise error) error {
	if IsPlaceholder(setting) {
		return nil
	}
	if name, ok := strings.CutPrefix(setting, requestFile); ok && strings.IndexAny(name, "{}") == len(name)-1 {
		name = strings.TrimSuffix(name, "}")
		return fmt.Errorf("to Caddy {file.%[1]s} is part of the request's path; write {file../%[1]s}, or a full path such as {file./run/secrets/jwt}", name)
	}
	return otherwise
}

// anyPlaceholder matches a placeholder. It has a dot, unlike the name of a folder such
// as {GUID}.
var anyPlaceholder = regexp.MustCompile(`\{[a-z_]+\.[^{}]*\}`)

// HasPlaceholder reports whether a setting contains what looks like a placeholder.
func HasPlaceholder(setting string) bool { return anyPlaceholder.MatchString(setting) }

// CheckPath checks that the path of a file has no placeholder.
func CheckPath(path string) error {
	p := anyPlaceholder.FindString(path)
	switch name, env := strings.CutPrefix(p, "{env."); {
	case p == "":
		return nil
	case env:
		return fmt.Errorf("%s is not possible in a path; write {$%s, which Caddy replaces when it reads the Caddyfile", p, name)
	case strings.HasPrefix(p, "{http."):
		return fmt.Errorf("%s is not possible here: placeholders of requests would let a client choose whom to trust; write the path of a file", p)
	default:
		return fmt.Errorf("%s is not possible in a path; write the path of the file alone", p)
	}
}

// IsURL reports whether a setting is a URL rather than a path.
func IsURL(setting string) bool {
	lower := strings.ToLower(setting)
	return strings.HasPrefix(lower, "https://") || strings.HasPrefix(lower, "http://")
}

// ResolveSecret reads a secret from the place that its placeholder names.
func ResolveSecret(setting string) (string, error) {
	if !IsPlaceholder(setting) {
		return "", ErrPlainSecret
	}
	inner := setting[1 : len(setting)-1]
	if name, ok := strings.CutPrefix(inner, "env."); ok {
		return environment(name)
	}
	path := strings.TrimPrefix(inner, "file.")
	text, err := ReadFile(path)
	if err != nil {
		return "", err
	}
	return SecretOf(path, text)
}

// SecretOf returns the secret in a file's content. Editors end the last line with a
// newline, which is not part of the secret.
func SecretOf(path string, content []byte) (string, error) {
	value := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if value == "" {
		return "", fmt.Errorf("the file %s is empty", path)
	}
	// Text editors write it, and no application that reads the secret means it.
	if strings.HasPrefix(value, "\ufeff") {
		return "", fmt.Errorf("the file %s begins with a byte order mark (U+FEFF), which would be part of the secret; save it as UTF-8 without one", path)
	}
	if isUTF16(content) {
		return "", fmt.Errorf("the file %s is UTF-16, as PowerShell writes it, and its bytes would be the secret; save it as UTF-8", path)
	}
	return value, nil
}

// isUTF16 reports whether a content is a text in UTF-16. A secret of random bytes may begin
// with its mark too, but has not a zero in every second byte.
func isUTF16(content []byte) bool {
	if len(content)%2 != 0 || !bytes.HasPrefix(content, []byte{0xff, 0xfe}) && !bytes.HasPrefix(content, []byte{0xfe, 0xff}) {
		return false
	}
	return bytes.Count(content, []byte{0}) >= len(content)/4
}

// SecretPath returns the path in a {file.PATH}, and whether the setting is one.
func SecretPath(setting string) (path string, ok bool) {
	if !IsPlaceholder(setting) {
		return "", false
	}
	return strings.CutPrefix(strings.TrimSuffix(setting, "}"), "{file.")
}

// IsPlaceholder reports whether a setting is one {env.NAME} or {file.PATH}.
func IsPlaceholder(setting string) bool {
	for _, prefix := range []string{"{env.", "{file."} {
		if rest, ok := strings.CutPrefix(setting, prefix); ok && len(rest) > 1 && strings.IndexAny(rest, "{}") == len(rest)-1 && rest[len(rest)-1] == '}' {
			return true
		}
	}
	return false
}
