package caddyjwt_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	caddyjwt "github.com/caddy-jwt/caddy-jwt"
)

var update = flag.Bool("update", false, "write what the Caddyfiles of testdata/adapt adapt to into them")

const (
	goldenFiles = "testdata/adapt/*.caddyfiletest"
	divider     = "----------\n"
	// unspeakable is a secret in the wrong place. No output may repeat it.
	unspeakable = "correct-horse-battery-staple-hunter2"
)

// errorPlace matches how Caddy says where an error in a Caddyfile is.
var errorPlace = regexp.MustCompile(`, at Caddyfile:[1-9][0-9]*( import chain \['Caddyfile:[1-9][0-9]* \(import [a-z_]+\)'\])?$`)

// TestAdapt checks the files of testdata/adapt: each has a Caddyfile, a line of
// dashes, and the JSON or, if the file is called error_*, the text of the error. To
// add one, write only the Caddyfile and run: go test -run TestAdapt . -update
func TestAdapt(t *testing.T) {
	t.Parallel()
	for _, file := range goldens(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			input, want := readGolden(t, file)
			got, ok := adaptText(t, input)
			if ok && len(readBack(t, []byte(got))) == 0 {
				t.Fatal("there is no jwt handler in it")
			}
			// Such as the warning that caddy fmt would change the Caddyfile.
			if _, warnings, _ := adapt(input); len(warnings) > 0 {
				t.Errorf("warnings: %v", warnings)
			}
			if strings.Contains(got, unspeakable) {
				t.Fatalf("a secret shows in:\n%s", got)
			}
			if wantError := strings.HasPrefix(name, "error_"); wantError == ok {
				t.Fatalf("got:\n%s\nbut the file's name says otherwise", got)
			}
			if !ok && !errorPlace.MatchString(strings.TrimSpace(got)) {
				t.Errorf("file and line are missing: %s", got)
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+divider+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

func goldens(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(goldenFiles)
	if err != nil || len(files) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	return files
}

func readGolden(t testing.TB, file string) (input, want string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	input, want, _ = strings.Cut(strings.ReplaceAll(string(text), "\r\n", "\n"), divider)
	return input, want
}

// adaptText returns the JSON of a Caddyfile as caddy adapt --pretty writes it,
// or the error and false.
func adaptText(t testing.TB, input string) (text string, ok bool) {
	t.Helper()
	config, _, err := adapt(input)
	if err != nil {
		return err.Error() + "\n", false
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	pretty.WriteByte('\n')
	return pretty.String(), true
}

func adapt(input string) ([]byte, []caddyconfig.Warning, error) {
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(input), map[string]any{"filename": "Caddyfile"})
	return config, warnings, err
}

// TestOptionsMisused writes each option of the directives and of their blocks in all the
// ways that are invalid for any option.
func TestOptionsMisused(t *testing.T) {
	t.Parallel()
	const (
		flag = iota
		optional
		one
		several
		list

		// What an authorization_server must have besides.
		audience = "\naudience https://api.example.com"
		clients  = "\napi_keys /etc/caddy/keys.jsonl"
	)
	type option struct {
		line   string
		values int
		// repeated reports whether it may be repeated.
		repeated bool
		// block reports whether it may have a block.
		block bool
		// body is the block that it must have.
		body string
		// issuer is the one that it is for, if it is not for any.
		issuer string
	}
	tables := map[string]map[string]option{
		"jwt https://auth.example.com/ https://api.example.com {\n%s\n}": {
			"issuer":              {line: "https://login.example.net/\naudience orders", values: one, repeated: true, block: true},
			"audience":            {line: "orders\nissuer https://login.example.net/", values: list},
			"api_key":             {line: "partner {env.PARTNER_KEY}", values: several, repeated: true, block: true},
			"api_keys":            {line: "/etc/caddy/keys.jsonl", values: one, repeated: true},
			"api_key_user_prefix": {line: "key:\napi_keys /etc/caddy/keys.jsonl", values: one},
			"api_key_from":        {line: "cookie key\napi_keys /etc/caddy/keys.jsonl", values: several, repeated: true},
			"token_from":          {line: "cookie session", values: several, repeated: true},
			"max_token_size":      {line: "32KiB", values: one},
			"trusted_origins":     {line: "https://app.example.com\ntoken_from cookie session", values: list},
			"scope_implies":       {line: "admin orders:read orders:write", values: list, repeated: true},
			"claim":               {line: "address.email email", values: several, repeated: true},
			"require":             {line: "expression `claims.age > 17`", values: several, repeated: true},
			"forward":             {line: "email X-Email", values: several, repeated: true},
			"forward_payload":     {line: "X-JWT-Payload", values: one},
			"forward_jwt":         {line: "X-Identity https://orders.internal", values: several, repeated: true, block: true},
			"clear":               {line: "X-Tenant", values: list, repeated: true},
			"mcp":                 {values: flag, block: true},
			"resource":            {line: "https://api.example.com/mcp", values: one, block: true},
			"optional":            {values: flag},
			"allow_preflight":     {values: flag},
			"mode":                {line: "report", values: one},
			"keep_credentials":    {values: flag},
			"realm":               {line: "api", values: one},
			"error_format":        {line: "json", values: one},

			"log_credentials_filtered": {values: flag},
		},
		"jwt {\nissuer https://auth.example.com/ {\n%s\n}\nissuer https://login.example.net/\naudience https://api.example.com\n}": {
			"tenants":            {line: "11111111-2222-3333-4444-555555555555", values: list, issuer: "https://auth.example.com/{tid}/"},
			"discovery":          {line: "https://auth.example.com/openid", values: optional},
			"jwks_url":           {line: "https://auth.example.com/keys", values: one},
			"jwks_file":          {line: "jwks.json", values: one},
			"public_key":         {line: "public.pem", values: one, repeated: true},
			"secret":             {line: "{env.JWT_SECRET}", values: one, repeated: true},
			"algorithms":         {line: "RS256", values: list},
			"audience":           {line: "orders", values: list},
			"audience_claim":     {line: "aud", values: list},
			"scope_claim":        {line: "scope", values: list},
			"typ":                {line: "at+jwt", values: list},
			"leeway":             {line: "30s", values: one},
			"max_lifetime":       {line: "1h", values: one},
			"allow_no_expiry":    {values: flag},
			"allow_bound_tokens": {values: flag},
			"kidless_keys":       {line: "8", values: one},
			"ignore_kid":         {values: flag},
			"max_keys":           {line: "200", values: one},
			"user_claim":         {line: "sub", values: list},
			"user_prefix":        {line: "corp:", values: one},
			"refresh_interval":   {line: "1h", values: one},
			"max_stale":          {line: "24h", values: one},
			"ca":                 {line: "root.pem", values: one},
			"bearer_token_file":  {line: "token", values: one},
			"insecure_http":      {values: flag},
			"introspection":      {line: "https://auth.example.com/introspect", values: optional, block: true},
		},
		"jwt {\nissuer https://auth.example.com/ {\nintrospection https://auth.example.com/introspect {\n%s\n}\n}\naudience https://api.example.com\n}": {
			"client":  {line: "api {env.INTROSPECTION_SECRET}", values: several},
			"cache":   {line: "10s", values: one},
			"jwts":    {values: flag},
			"untyped": {values: flag},
		},
		"jwt https://auth.example.com/ https://api.example.com {\nforward_jwt X-Identity https://orders.internal {\n%s\n}\n}": {
			"lifetime": {line: "30s", values: one},
			"claim":    {line: "address.email email", values: several, repeated: true},
			"issuer":   {line: "https://auth.example.com", values: one},
		},
		"jwt https://auth.example.com/ https://api.example.com {\nresource https://api.example.com/mcp {\n%s\n}\n}": {
			"name":                  {line: "Orders", values: one},
			"documentation":         {line: "https://docs.example.com/mcp", values: one},
			"scopes":                {line: "orders:read", values: list},
			"authorization_servers": {line: "https://auth.example.com/", values: list},
		},
		"jwt https://auth.example.com/ https://api.example.com {\nmcp {\n%s\n}\n}": {
			"tool":     {line: "delete_*", values: list, repeated: true, block: true},
			"prompt":   {line: "review_*", values: list, repeated: true, block: true},
			"resource": {line: "file:///reports/*", values: list, repeated: true, block: true},
			"method":   {line: "tools/list", values: list, repeated: true, block: true},
			"default":  {line: "deny", values: one},
			"max_body": {line: "4MiB", values: one},
		},
		"jwt https://auth.example.com/ https://api.example.com {\nmcp {\ntool list {\n%s\n}\n}\n}": {
			"require": {line: "expression `claims.age > 17`", values: several, repeated: true},
		},
		"authorization_server https://auth.example.com {\n%s\n}": {
			"api_keys":       {line: "/etc/caddy/keys.jsonl" + audience, values: one, repeated: true, block: true},
			"api_key":        {line: "partner {env.PARTNER_KEY}" + audience, values: several, repeated: true, block: true},
			"client":         {line: "deploy" + audience, values: one, repeated: true, block: true, body: "public_key deploy.pem"},
			"federate":       {line: "ci" + audience + "\nclient deploy {\nscopes release\n}", values: one, repeated: true, block: true, body: "issuer https://ci.example.com\nrequire claim sub a\nclient deploy"},
			"introspect":     {line: "gateway https://api.example.com" + audience + clients + "\napi_key gateway {env.GATEWAY_KEY}", values: list, repeated: true},
			"audience":       {line: "https://api.example.com" + clients, values: list},
			"scopes":         {line: "orders:read" + audience + clients, values: list},
			"default_scopes": {line: "orders:read" + audience + clients, values: list},
			"lifetime":       {line: "5m" + audience + clients, values: one},
			"algorithm":      {line: "EdDSA" + audience + clients, values: one},
			"rotate":         {line: "720h" + audience + clients, values: one},
		},
		"authorization_server https://auth.example.com {\naudience https://api.example.com\napi_keys /etc/caddy/keys.jsonl {\n%s\n}\n}": {
			"audience": {line: "https://api.example.com", values: list},
			"claim":    {line: "plan tier", values: several, repeated: true},
		},
		"authorization_server https://auth.example.com {\naudience https://api.example.com\nclient deploy {\n%s\n}\n}": {
			"jwks_url":           {line: "https://deploy.example.com/keys", values: one},
			"jwks_file":          {line: "deploy.jwks", values: one},
			"public_key":         {line: "deploy.pem", values: one, repeated: true},
			"scopes":             {line: "release\npublic_key deploy.pem", values: list},
			"audience":           {line: "https://api.example.com\npublic_key deploy.pem", values: list},
			"claim":              {line: "tenant acme\npublic_key deploy.pem", values: several, repeated: true},
			"assertion_audience": {line: "token_endpoint\npublic_key deploy.pem", values: one},
		},
		"authorization_server https://auth.example.com {\naudience https://api.example.com\nclient deploy {\nscopes release\n}\nfederate ci {\n%s\n}\n}": {
			"issuer":  {line: "https://ci.example.com\nrequire claim sub a\nclient deploy", values: one, block: true},
			"require": {line: "expression `claims.age > 17`\nissuer https://ci.example.com\nrequire claim sub a\nclient deploy", values: several, repeated: true},
			"client":  {line: "deploy\nissuer https://ci.example.com\nrequire claim sub a", values: one},
		},
	}
	for around, table := range tables {
		method := "Handler"
		switch {
		case strings.Contains(around, "federate"):
			method = "Federate"
		case strings.Contains(around, "client"):
			method = "ServiceClient"
		case strings.Contains(around, "api_keys"):
			method = "KeyClients"
		case strings.Contains(around, "authorization_server"):
			method = "AuthorizationServer"
		case strings.Contains(around, "introspection"):
			method = "Introspection"
		case strings.Contains(around, "issuer"):
			method = "Issuer"
		case strings.Contains(around, "tool list"):
			method = "MCPRule"
		case strings.Contains(around, "\nmcp {"):
			method = "MCP"
		case strings.Contains(around, "resource"):
			method = "Resource"
		case strings.Contains(around, "forward_jwt"):
			method = "ForwardJWT"
		}
		if got, want := slices.Sorted(maps.Keys(table)), slices.Sorted(slices.Values(caddyjwt.OptionNames[method])); !slices.Equal(got, want) {
			t.Errorf("%s reads the options %s, and the table has %s", method, want, got)
		}
		first := 2 + strings.Count(strings.Split(around, "%s")[0], "\n")
		for name, o := range table {
			around := around
			if o.issuer != "" {
				around = strings.Replace(around, "https://auth.example.com/", o.issuer, 1)
			}
			good, rest, _ := strings.Cut(name+" "+o.line, "\n")
			check := func(what, lines string, line int) {
				t.Run(method+"/"+name+"/"+what, func(t *testing.T) {
					t.Parallel()
					got, ok := adaptText(t, "api.example.com {\n"+strings.Replace(around, "%s", lines+"\n"+rest, 1)+"\n}\n")
					switch {
					case what == "right" && !ok:
						t.Error(got)
					case what == "right":
					case ok:
						t.Errorf("it is accepted:\n%s", got)
					case !strings.Contains(got, name), !strings.HasSuffix(got, fmt.Sprintf(", at Caddyfile:%d\n", line)):
						t.Errorf("it should name %s and line %d: %s", name, line, got)
					case !regexp.MustCompile(`; (write|remove|put) `).MatchString(got):
						t.Errorf("it does not say what to do: %s", got)
					}
				})
			}
			if o.body != "" {
				check("right", good+" {\n"+o.body+"\n}", 0)
			} else {
				check("right", good, 0)
			}
			if !o.repeated {
				check("twice", good+"\n"+good, first+1)
			}
			if o.values != flag && o.values != optional {
				check("without a value", name, first)
			}
			if o.values != flag && o.values != list {
				check("with values too many", good+" one more", first)
			}
			if o.values == flag {
				check("with a value", good+" on", first)
			}
			if o.values != flag {
				check("with an empty value", name+` ""`, first)
			}
			if !o.block {
				check("with a block", good+" {\n"+unspeakable+"\n}", first)
			}
		}
	}
}

// findHandlers returns the JSON of all jwt handlers in a config.
func findHandlers(value any) (list []map[string]any) {
	switch value := value.(type) {
	case map[string]any:
		if value["handler"] == "jwt" {
			list = append(list, value)
		}
		for _, v := range value {
			list = append(list, findHandlers(v)...)
		}
	case []any:
		for _, v := range value {
			list = append(list, findHandlers(v)...)
		}
	}
	return list
}

// readBack reads the jwt handlers of an adapted config and checks that they have no
// unknown fields.
func readBack(t *testing.T, config []byte) (handlers []*caddyjwt.Handler) {
	t.Helper()
	var whole any
	if err := json.Unmarshal(config, &whole); err != nil {
		t.Fatal(err)
	}
	for _, found := range findHandlers(whole) {
		delete(found, "handler")
		text, err := json.Marshal(found)
		if err != nil {
			t.Fatal(err)
		}
		h := new(caddyjwt.Handler)
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(h); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		handlers = append(handlers, h)
	}
	return handlers
}
