package reason

// codes say what each reason means and what to do about it. A detail's own remedy, in
// details.go, is more exact.
var codes = map[Code]Entry{
	MalformedToken: {
		Meaning: "the token is no JWT that can be read, or a member of it has the wrong type",
		Remedy:  "Look at `detail` in the log: it says which part or member is wrong. `caddy jwt decode @FILE` shows what is in the token.",
		See:     []string{"issuers-and-keys.md#tokens"},
	},
	UnsupportedToken: {
		Meaning: "the token is well-formed, but needs something that is deliberately not supported",
		Remedy:  "Have the issuer make signed tokens that are not encrypted, have no `crit`, and are not bound to a key; `detail` in the log says which it is.",
		See:     []string{"issuers-and-keys.md#tokens"},
	},
	UnknownIssuer: {
		Meaning: "the `iss` of the token is none of those that the config trusts",
		Remedy:  "Compare the token's `iss` (`caddy jwt decode @FILE`) with the config, letter by letter: a slash at the end, http or https, the host, the realm or tenant. If this issuer is to be trusted too, add `issuer`.",
		See:     []string{"issuers-and-keys.md#issuer"},
	},
	AlgorithmNotAllowed: {
		Meaning: "the `alg` of the token is not allowed for the issuer or its key",
		Remedy:  "Name the token's `alg` in `algorithms`, if the issuer's keys are of that type.",
		See:     []string{"issuers-and-keys.md#algorithms"},
	},
	UnknownKey: {
		Meaning: "the issuer has no key with the token's `kid`, or too many keys fit a token without one",
		Remedy:  "Check that the token's `kid` is in the issuer's key set (`caddy jwt status --json`): a key that was taken out of it has signed, or one that is not in it yet. Only if the issuer's kids never match, write `ignore_kid`; if the token has none, see `kidless_keys`.",
		See:     []string{"issuers-and-keys.md#ignore_kid", "issuers-and-keys.md#kidless_keys"},
	},
	BadSignature: {
		Meaning: "no key of the issuer that fits the token verifies its signature",
		Remedy:  "Check that the config has the very key or secret that signs, of this environment and in the right encoding (a `secret` may be base64), and that the token arrives unchanged. For a `secret` in base64 the option is `secret base64`.",
		See:     []string{"issuers-and-keys.md#secret", "issuers-and-keys.md#public_key"},
	},
	Expired: {
		Meaning: "the time in `exp` has passed, and `leeway` with it",
		Remedy:  "The client must get a new token before the old one ends; check that it does. If the token is new, compare the clocks of issuer and server (`caddy jwt explain @FILE` shows `exp` and now); `leeway` is how far they may differ.",
		See:     []string{"issuers-and-keys.md#leeway"},
	},
	NotYetValid: {
		Meaning: "the time in `nbf` has not come, by more than `leeway`",
		Remedy:  "Correct the clocks of issuer and server (NTP), or raise `leeway`.",
		See:     []string{"issuers-and-keys.md#leeway"},
	},
	IssuedInFuture: {
		Meaning: "the time in `iat` has not come, by more than `leeway`",
		Remedy:  "Correct the clocks of issuer and server (NTP), or raise `leeway`.",
		See:     []string{"issuers-and-keys.md#leeway"},
	},
	LifetimeTooLong: {
		Meaning: "`exp` is further away than `max_lifetime` allows",
		Remedy:  "Have the issuer make tokens with a shorter lifetime, or raise `max_lifetime`.",
		See:     []string{"issuers-and-keys.md#max_lifetime"},
	},
	WrongAudience: {
		Meaning: "the token is meant for another API",
		Remedy:  "Have the client ask for a token for this API. If the token's `aud` (`caddy jwt decode @FILE`) does mean this API, name it in `audience`, letter by letter.",
		See:     []string{"issuers-and-keys.md#audience"},
	},
	WrongType: {
		Meaning: "the `typ` of the token's header is none of those that are accepted",
		Remedy:  "Have the client send an access token, not an ID token, a logout token or one for another purpose. If it is one, add its type to `typ`.",
		See:     []string{"issuers-and-keys.md#typ"},
	},
	MissingClaim: {
		Meaning: "a claim that is required is missing or unusable",
		Remedy:  "Look at `detail` in the log: it says which, `exp` or that of the user. See `allow_no_expiry` and `user_claim`.",
		See:     []string{"issuers-and-keys.md#allow_no_expiry", "issuers-and-keys.md#user_claim"},
	},
	Revoked: {
		Meaning: "a rule of revocation names the token, its user, client, key or issuer, or the API key",
		Remedy:  "`caddy jwt revocations` lists the rules, with the reason that was given for them. If the holder may go on, the client gets a new token, or the rule is taken back with `caddy jwt revocations delete`.",
		See:     []string{"revocation.md#rules"},
	},
	InactiveToken: {
		Meaning: "the issuer says that the token is not active: it has expired, was revoked, or is none of its tokens",
		Remedy:  "Have the client get a new token. If the token is new, check that it is an access token of this issuer and environment, and that the `client` of `introspection` may ask about it.",
		See:     []string{"issuers-and-keys.md#introspection"},
	},
	IntrospectionUnavailable: {
		Meaning: "the issuer can't be asked about the token at the moment; the token may well be good",
		Remedy:  "Look at `caddy jwt status`, which has the last error: the endpoint can't be reached, refuses the `client` of `introspection`, or answers something else than RFC 7662 says.",
		See:     []string{"issuers-and-keys.md#introspection"},
	},
	KeysUnavailable: {
		Meaning: "the keys of the issuer are not there at the moment; the token may well be good",
		Remedy:  "Look at `caddy jwt status`: it shows the last error of the issuer's key source. With `forward_jwt`, `detail` in the log says whether it is the keys that sign.",
		See:     []string{"issuers-and-keys.md#fetched-keys", "rules-and-headers.md#forward_jwt"},
	},
	RevocationsUnavailable: {
		Meaning: "it is not known at the moment what is revoked; the credential may well be good",
		Remedy:  "Look at `caddy jwt status`, and at the log lines of the shared state: Caddy's storage can't be read, or was not read for longer than `max_stale`. `on_stale` decides what happens then.",
		See:     []string{"revocation.md#on_stale"},
	},
	MissingCredentials: {
		Meaning: "there is no token and no API key where they are looked for",
		Remedy:  "Send one in a place that the text of the answer names. If the client sends one elsewhere, add that place with `token_from` or `api_key_from`; if a proxy in front takes the header away, let it pass.",
		See:     []string{"directive.md#token_from", "directive.md#api_key_from"},
	},
	MultipleCredentials: {
		Meaning: "there are two different tokens or API keys, or a header that is repeated",
		Remedy:  "Send one token or key, in one place. Look for a library, a proxy or a browser's cookie that adds its own.",
		See:     []string{"directive.md#credentials"},
	},
	MalformedRequest: {
		Meaning: "a scheme, a header or a parameter for a credential is there, with nothing in it",
		Remedy:  "Find out why the client's token or key is empty: often a variable that is not set.",
		See:     []string{"directive.md#credentials"},
	},
	CrossOrigin: {
		Meaning: "a browser sent the credential by itself, with a request that a page of another site made",
		Remedy:  "If the page is yours, add its origin to `trusted_origins`. Else it is what the check is for.",
		See:     []string{"directive.md#trusted_origins"},
	},
	UnknownAPIKey: {
		Meaning: "there is no such API key",
		Remedy:  "Look for a typing error, a key of another environment, or one that was deleted: `caddy jwt api-key list` shows those that there are, and `caddy jwt status` whether the file or store was read.",
		See:     []string{"api-keys.md#the-key-file"},
	},
	APIKeyExpired: {
		Meaning: "the API key was good until the time in `expires`",
		Remedy:  "Give its holder a new one (`caddy jwt api-key new`, or `roll` for a key of a store), or change `expires` with `caddy jwt api-key edit`.",
		See:     []string{"api-keys.md#expires"},
	},
	APIKeyDisabled: {
		Meaning: "the API key was disabled",
		Remedy:  "Ask the person who disabled it; of a key of a store, `GET /jwt/audit` has who it was. If it should work, run `caddy jwt api-key enable ID --store NAME` (or `--file FILE`).",
	},
	APIKeysUnavailable: {
		Meaning: "the stored API keys are not there at the moment; the key may well be good",
		Remedy:  "Look at `caddy jwt status`, and at the log lines of the store: Caddy's storage can't be read.",
		See:     []string{"revocation.md#stored-api-keys"},
	},
	InsufficientScope: {
		Meaning: "the credential is good, but has not the scopes that `require` asks for",
		Remedy:  "Have the client ask for a token with the scopes that are wanted, or give the API key these scopes; `requirement` is the `require` line that was not met. If the scopes are in another claim, name it with `scope_claim`.",
		See:     []string{"rules-and-headers.md#require", "issuers-and-keys.md#scope_claim"},
	},
	Forbidden: {
		Meaning: "the credential is good, but a claim or an expression is not as `require` asks for",
		Remedy:  "Give the user what `requirement`, the `require` line that was not met, asks for, and have the client get a new token; or change that line. `caddy jwt explain @FILE` with `--method` and `--uri` shows what was seen and what was wanted.",
		See:     []string{"rules-and-headers.md#require"},
	},
	UnforwardableClaim: {
		Meaning: "the credential is good, but a claim that is forwarded can't be in a header unchanged",
		Remedy:  "Look for line ends, commas and spaces in the claims of `forward`; for lists use `json`.",
		See:     []string{"rules-and-headers.md#forward"},
	},
	MalformedMessage: {
		Meaning: "the body is no message of the protocol that can be judged: no JSON-RPC, or one that another reader may understand in another way",
		Remedy:  "Look at `detail` in the log, which says what is wrong with the message, and correct what makes it.",
		See:     []string{"mcp.md#what-is-judged"},
	},
	HeaderMismatch: {
		Meaning: "a header of the protocol is missing or does not agree with the body",
		Remedy:  "Update the client: from the version 2026-07-28 on each POST has `MCP-Protocol-Version`, `Mcp-Method` and `Mcp-Name`, equal to what the body says.",
		See:     []string{"mcp.md#headers"},
	},
	MethodNotAllowed: {
		Meaning: "the HTTP method is none of the protocol's, or asks for another protocol",
		Remedy:  "Have the client use POST, or GET and DELETE where it has a session. If the site serves other things too, give the `jwt` that has `mcp` a matcher.",
		See:     []string{"mcp.md#what-is-judged"},
	},
	UnsupportedMediaType: {
		Meaning: "the body is not plain JSON in UTF-8: another Content-Type or charset, or a Content-Encoding",
		Remedy:  "Have the client send `Content-Type: application/json`, and no Content-Encoding. If the site serves other things too, give the `jwt` that has `mcp` a matcher.",
		See:     []string{"mcp.md#what-is-judged"},
	},
	BodyTooLarge: {
		Meaning: "the body is larger than `max_body` of `mcp`",
		Remedy:  "Have the client send less at once, or raise `max_body`.",
		See:     []string{"mcp.md#max_body"},
	},
	BodyTimeout: {
		Meaning: "the body did not come within 10 seconds",
		Remedy:  "Look at the client's network; a client that sends its body in pieces over a long time can't be judged.",
		See:     []string{"mcp.md#max_body"},
	},
	Overloaded: {
		Meaning: "the bodies of all requests that are judged at the moment take more memory than is allowed",
		Remedy:  "Look for the client that sends so many large bodies at once (`caddy jwt watch`), or lower `max_body`; others get through as soon as these are done.",
		See:     []string{"mcp.md#max_body"},
	},
}
