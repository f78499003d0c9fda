package keystore

import (
	"net/url"
	"strings"
	"testing"
	"time"
)

func TestCheckSaysWhatToWrite(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config RemoteConfig
		err    string
	}{
		"an issuer":                    {RemoteConfig{Issuer: "https://idp.example/"}, ""},
		"a key set":                    {RemoteConfig{JWKSURL: "https://idp.example/jwks?tenant=1"}, ""},
		"a key set and the issuer":     {RemoteConfig{JWKSURL: "https://idp.example/jwks", Issuer: "urn:x"}, ""},
		"metadata":                     {RemoteConfig{Issuer: "urn:x", Discovery: "https://idp.example/meta?a=b"}, ""},
		"http on loopback":             {RemoteConfig{Issuer: "http://localhost:8080/realms/a"}, ""},
		"http on 127.1.2.3":            {RemoteConfig{JWKSURL: "http://127.1.2.3/jwks"}, ""},
		"http on ::1":                  {RemoteConfig{JWKSURL: "http://[::1]:80/jwks"}, ""},
		"http with leave":              {RemoteConfig{Issuer: "http://idp.internal", InsecureHTTP: true}, ""},
		"nothing":                      {RemoteConfig{}, "neither"},
		"metadata without an issuer":   {RemoteConfig{Discovery: "https://idp.example/meta"}, "neither"},
		"a key set and metadata":       {RemoteConfig{JWKSURL: "https://a.example", Discovery: "https://a.example"}, "keep one"},
		"http":                         {RemoteConfig{Issuer: "http://idp.example/a"}, "write https://idp.example/a, or insecure_http"},
		"http, a name like loopback":   {RemoteConfig{Issuer: "http://localhost.evil.example"}, "insecure_http"},
		"http, a number like loopback": {RemoteConfig{Issuer: "http://128.0.0.1"}, "insecure_http"},
		"an issuer that is no URL":     {RemoteConfig{Issuer: "my-issuer"}, "the issuer is not a URL that starts with https://"},
		"a URN":                        {RemoteConfig{Issuer: "urn:example:a"}, "https://"},
		"a relative URL":               {RemoteConfig{JWKSURL: "/jwks"}, "https://"},
		"no scheme":                    {RemoteConfig{JWKSURL: "idp.example/jwks"}, "https://"},
		"a port for a scheme":          {RemoteConfig{JWKSURL: "idp.example:443/jwks"}, "not a"},
		"ftp":                          {RemoteConfig{JWKSURL: "ftp://idp.example/jwks"}, "https://"},
		"no host":                      {RemoteConfig{JWKSURL: "https:///jwks"}, "has no host"},
		"only a port":                  {RemoteConfig{JWKSURL: "https://:443/jwks"}, "has no host"},
		"opaque":                       {RemoteConfig{JWKSURL: "https:idp.example"}, "has no host"},
		"a password":                   {RemoteConfig{JWKSURL: "https://u:hunter2@idp.example/"}, "the key set URL holds a user name or password"},
		"a fragment":                   {RemoteConfig{Issuer: "https://idp.example/#a"}, "fragment"},
		"an empty fragment":            {RemoteConfig{Issuer: "https://idp.example/#"}, "fragment"},
		"a query in the issuer":        {RemoteConfig{Issuer: "https://idp.example/?a=b"}, "name the discovery URL"},
		"a placeholder left over":      {RemoteConfig{JWKSURL: "https://{env.HOST}/jwks"}, "not a valid URL"},
		"a space":                      {RemoteConfig{JWKSURL: "https://idp example/"}, "not a valid URL"},
		"a control character":          {RemoteConfig{JWKSURL: "https://idp.example/\n"}, "not a valid URL"},
		"a port too large":             {RemoteConfig{JWKSURL: "https://idp.example:70000/"}, "port"},
		"a negative interval":          {RemoteConfig{JWKSURL: "https://a.example", RefreshInterval: -time.Second}, "too short"},
		"a tiny interval":              {RemoteConfig{JWKSURL: "https://a.example", RefreshInterval: time.Millisecond}, "too short"},
		"a negative max stale":         {RemoteConfig{JWKSURL: "https://a.example", MaxStale: -1}, "shorter than"},
		"max stale below the interval": {RemoteConfig{JWKSURL: "https://a.example", MaxStale: time.Minute}, "shorter than"},
	} {
		err := c.config.Check()
		switch {
		case c.err == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2")):
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
		if _, newErr := NewRemote(c.config); (newErr == nil) != (err == nil) {
			t.Errorf("%s: NewRemote says %v", name, newErr)
		}
	}
}

func TestSameOrigin(t *testing.T) {
	t.Parallel()
	ours := must(url.Parse("https://idp.example/a"))
	for other, want := range map[string]bool{
		"https://idp.example/b?c":   true,
		"https://IDP.EXAMPLE:443/":  true,
		"https://idp.example:8443/": false,
		"http://idp.example:443/":   false, // the token must not go in the clear
		"http://idp.example/":       false,
		"https://idp.example.:443/": false,
		"https://a.idp.example/":    false,
		"https://example/":          false,
	} {
		if got := sameOrigin(ours, must(url.Parse(other))); got != want {
			t.Errorf("%s: %v", other, got)
		}
	}
}
