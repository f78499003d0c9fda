package grammar

import (
	"slices"
	"strings"
)

// foreign is what to write here for an option of another product.
type foreign struct {
	advice string
	// line makes the line from the arguments that were written; nil for none.
	line func(args []string) string
}

// after returns a line of words before the arguments.
func after(words, example string) func([]string) string {
	return func(args []string) string {
		if len(args) == 0 {
			return words + " " + example
		}
		return words + " " + strings.Join(args, " ")
	}
}

// first returns a line of words before the first argument. What the other words mean
// differs.
func first(words, example string) func([]string) string {
	return func(args []string) string {
		if len(args) == 0 || !plainWord(args[0]) {
			return words + " " + example
		}
		return words + " " + args[0]
	}
}

// plainWord reports whether an argument may be shown: a short name or a URL, which no key is
// as long as it is no longer than this.
func plainWord(text string) bool {
	return len(text) <= 40 && (strings.HasPrefix(text, "https://") || len(text) <= 19) && !strings.ContainsAny(text, " \"\\`{}\r\n\t")
}

// ruleOf returns the rule for a claim and its values, unless other words, which limit the
// rule, are among them.
func ruleOf(args []string) string {
	if len(args) < 2 || slices.ContainsFunc(args, func(a string) bool {
		return !plainWord(a) || slices.Contains([]string{"with", "to", "from", "and", "or", "any", "realm", "via"}, strings.ToLower(a))
	}) {
		return "require claim roles admin"
	}
	return "require claim " + strings.Join(args, " ")
}

func fixed(line string) func([]string) string { return func([]string) string { return line } }

const (
	intoIssuer    = "keys belong to an issuer"
	isDefault     = "that is the default here, so remove it"
	alwaysChecked = "exp and nbf are always checked, so remove it"
	noLogin       = "there is no login here; it belongs to the identity provider"
)

// foreignWords are options of Caddy-security, ggicci/caddy-jwt, Kong, Envoy, NGINX, Traefik
// Hub, AWS and others, as foldWord writes them, with their counterpart here.
var foreignWords = map[string]foreign{
	"allow":               {"for a rule about a claim write", ruleOf},
	"acl":                 {"for a rule about a claim write", fixed("require claim roles admin")},
	"match":               {"for a rule about a claim write", fixed("require claim roles admin")},
	"role":                {"for a rule about a claim write", after("require claim roles", "admin")},
	"roles":               {"for a rule about a claim write", after("require claim roles", "admin")},
	"authjwtrequire":      {"for a rule about a claim write", fixed("require claim roles admin")},
	"deny":                {"there are only rules of what a request must have; write", fixed("require expression `claims.role != \"guest\"`")},
	"scope":               {"for a rule about scopes write", after("require scope", "orders:read")},
	"scopes":              {"for a rule about scopes write", after("require scope", "orders:read")},
	"authorizationscopes": {"for a rule about scopes write", after("require any_scope", "orders:read")},

	"inject":               {"for a header to the upstream write", fixed("forward email X-Email")},
	"claimtoheaders":       {"for a header to the upstream write", fixed("forward email X-Email")},
	"claimstoheaders":      {"for a header to the upstream write", fixed("forward email X-Email")},
	"forwardheaders":       {"for a header to the upstream write", fixed("forward email X-Email")},
	"authjwtheaderset":     {"for a header to the upstream write", fixed("forward email X-Email")},
	"forwardpayloadheader": {"write", first("forward_payload", "X-JWT-Payload")},
	"metaclaims":           {"for a placeholder write", fixed("claim email")},
	"authjwtclaimset":      {"for a placeholder write", fixed("claim email")},

	"hidecredentials":          {isDefault, nil},
	"stripauthorizationheader": {isDefault, nil},
	"forwardauthorization":     {"the credential is removed by default; only if the upstream needs it itself, write", fixed("keep_credentials")},
	"passcredentials":          {"the credential is removed by default; only if the upstream needs it itself, write", fixed("keep_credentials")},
	"claimstoverify":           {alwaysChecked, nil},
	"requireexpirationtime":    {alwaysChecked, nil},
	"skipverification":         {"signatures are always verified, so remove it", nil},
	"insecureskipverify":       {"certificates are always verified; for your own authority write into the issuer block", fixed("ca /etc/ssl/corp-root.pem")},

	"keynames":       {"write", first("api_key_from header", "X-API-Key")},
	"apikeyheader":   {"write", first("api_key_from header", "X-API-Key")},
	"keyinheader":    {"write", fixed("api_key_from header X-API-Key")},
	"keyinquery":     {"write", fixed("api_key_from query api_key")},
	"fromheader":     {"write", first("token_from header", "Authorization Bearer")},
	"fromheaders":    {"write", first("token_from header", "Authorization Bearer")},
	"headernames":    {"write", first("token_from header", "Authorization Bearer")},
	"identitysource": {"write", fixed("token_from header Authorization Bearer")},
	"header":         {"write", first("token_from header", "Authorization Bearer")},
	"fromquery":      {"write", first("token_from query", "access_token")},
	"fromparams":     {"write", first("token_from query", "access_token")},
	"uriparamnames":  {"write", first("token_from query", "access_token")},
	"tokenquerykey":  {"write", first("token_from query", "access_token")},
	"query":          {"write", first("token_from query", "access_token")},
	"fromcookie":     {"write", first("token_from cookie", "session")},
	"fromcookies":    {"write", first("token_from cookie", "session")},
	"cookienames":    {"write", first("token_from cookie", "session")},
	"cookie":         {"write", first("token_from cookie", "session")},

	"signkey":           {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { secret {env.JWT_SECRET} }")},
	"signingsecret":     {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { secret {env.JWT_SECRET} }")},
	"crypto":            {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { secret {env.JWT_SECRET} }")},
	"secretkey":         {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { secret {env.JWT_SECRET} }")},
	"publickey":         {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { public_key /etc/caddy/public.pem }")},
	"rsapublickey":      {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { public_key /etc/caddy/public.pem }")},
	"secretisbase64":    {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { secret base64 {env.JWT_SECRET} }")},
	"jwkurl":            {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { jwks_url https://auth.example.com/jwks.json }")},
	"jwksurl":           {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { jwks_url https://auth.example.com/jwks.json }")},
	"jwksuri":           {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { jwks_url https://auth.example.com/jwks.json }")},
	"remotejwks":        {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { jwks_url https://auth.example.com/jwks.json }")},
	"authjwtkeyrequest": {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { jwks_url https://auth.example.com/jwks.json }")},
	"localjwks":         {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { jwks_file /etc/caddy/jwks.json }")},
	"jwksfile":          {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { jwks_file /etc/caddy/jwks.json }")},
	"authjwtkeyfile":    {intoIssuer + "; write", fixed("issuer https://auth.example.com/ { jwks_file /etc/caddy/jwks.json }")},
	"signalg":           {"algorithms belong to an issuer; write", fixed("issuer https://auth.example.com/ { algorithms RS256 }")},
	"alg":               {"algorithms belong to an issuer; write", fixed("issuer https://auth.example.com/ { algorithms RS256 }")},
	"issuerwhitelist":   {"write a line for each issuer:", first("issuer", "https://auth.example.com/")},
	"allowedissuers":    {"write a line for each issuer:", first("issuer", "https://auth.example.com/")},
	"issuers":           {"write a line for each issuer:", first("issuer", "https://auth.example.com/")},
	"audiencewhitelist": {"write", after("audience", "https://api.example.com")},
	"allowedaudiences":  {"write", after("audience", "https://api.example.com")},
	"audiences":         {"write", after("audience", "https://api.example.com")},
	"userclaims":        {"the user's claim belongs to an issuer; write", fixed("issuer https://auth.example.com/ { user_claim sub }")},
	"usernameclaim":     {"the user's claim belongs to an issuer; write", fixed("issuer https://auth.example.com/ { user_claim sub }")},
	"clockskew":         {"the clocks' difference belongs to an issuer; write", fixed("issuer https://auth.example.com/ { leeway 60s }")},
	"clockskewseconds":  {"the clocks' difference belongs to an issuer; write", fixed("issuer https://auth.example.com/ { leeway 60s }")},
	"authjwtleeway":     {"the clocks' difference belongs to an issuer; write", fixed("issuer https://auth.example.com/ { leeway 60s }")},
	"maximumexpiration": {"the longest lifetime belongs to an issuer; write", fixed("issuer https://auth.example.com/ { max_lifetime 1h }")},
	"jwtcacheconfig":    {"the cache is that of all sites; write into the global options", fixed("jwt { cache 64MiB }")},

	"runonpreflight": {"CORS preflights need a token by default, so remove it", nil},
	"set":            {noLogin, nil},
	"enable":         {noLogin, nil},
	"login":          {noLogin, nil},
	"authurl":        {noLogin, nil},
}

// foldWord writes an option as foreignWords has it: products differ in the case of their
// words and in what is between them.
func foldWord(name string) string {
	return strings.Map(func(c rune) rune {
		if c == '_' || c == '-' || c == '.' {
			return -1
		}
		return c
	}, strings.ToLower(name))
}

// ForeignWord returns what to write for an option of another product, or "".
func ForeignWord(name string, args []string) string {
	f, ok := foreignWords[foldWord(name)]
	switch {
	case !ok:
		return ""
	case f.line == nil:
		return f.advice
	}
	return f.advice + " " + f.line(args)
}

// ForeignLines returns, for each word that ForeignWord knows, the line that it advises; empty
// if it advises none.
func ForeignLines() map[string]string {
	lines := map[string]string{}
	for word, f := range foreignWords {
		lines[word] = ""
		if f.line != nil {
			lines[word] = f.line(nil)
		}
	}
	return lines
}
