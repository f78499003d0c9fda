package setting

import (
	"strings"
	"testing"
)

func TestSecretsInFiles(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		content, secret, problem string
	}{
		"a line":                {"a secret\n", "a secret", ""},
		"a line of Windows":     {"a secret\r\n", "a secret", ""},
		"no end":                {"a secret", "a secret", ""},
		"two ends":              {"a secret\n\n", "a secret\n", ""},
		"spaces":                {" a secret \n", " a secret ", ""},
		"bytes":                 {"\xff\xfe\x01\x02\x03\x04\x05\x06", "\xff\xfe\x01\x02\x03\x04\x05\x06", ""},
		"nothing":               {"", "", "is empty"},
		"an end alone":          {"\r\n", "", "is empty"},
		"a byte order mark":     {"\ufeffa secret\n", "", "begins with a byte order mark"},
		"UTF-16":                {"\xff\xfea\x00b\x00c\x00\r\x00\n\x00", "", "is UTF-16"},
		"UTF-16, without end":   {"\xff\xfea\x00b\x00c\x00", "", "is UTF-16"},
		"UTF-16, the other":     {"\xfe\xff\x00a\x00b\x00c\x00\n", "", "is UTF-16"},
		"half a character less": {"\xff\xfea\x00b", "\xff\xfea\x00b", ""},
	} {
		got, err := SecretOf("/s", []byte(c.content))
		switch {
		case c.problem == "" && (err != nil || got != c.secret):
			t.Errorf("%s: %q, %v", name, got, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem) || !strings.Contains(err.Error(), "/s")):
			t.Errorf("%s: %v, want %q", name, err, c.problem)
		}
	}
}
