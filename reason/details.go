package reason

// The table of details: all that logs, {http.jwt.detail} and explain say beside a reason.
// Each is a fixed text or has one parameter; nothing that a stranger wrote is in them.

// The form of a token (RFC 7515 section 7.1).
var (
	NotAJWT = fixed(Entry{
		ID: "not_a_jwt", Code: MalformedToken,
		Text:    "not a JWT: it does not consist of three parts separated by dots",
		Meaning: "it has nothing of a JWT: an opaque token, an API key in the place of a token, or a text that was cut off",
		Remedy:  "Run `caddy jwt decode @FILE` on what the client sends: it says what it is. For an opaque token, write `introspection`, which asks the issuer about it, or have the provider issue a JWT, which often takes an audience in the request for it; an API key belongs where `api_key_from` says.",
		See:     []string{"issuers-and-keys.md#introspection", "directive.md#api_key_from"},
	})
	OpaqueForm = fixed(Entry{
		ID: "opaque_form", Code: MalformedToken,
		Text:    "neither a JWT nor an opaque token: that has 16 to 4096 characters of b64token (RFC 6750)",
		Meaning: "it does not have the three parts of a JWT, and is too short, too long, or has a character that no bearer token has, so the issuer is not asked about it",
		Remedy:  "Run `caddy jwt decode @FILE` on what the client sends: it says what it is. A quote, a space or a line end in the middle, or a token that was cut off, are usual; an API key belongs where `api_key_from` says.",
		See:     []string{"issuers-and-keys.md#introspection", "directive.md#api_key_from"},
	})
	FourParts = fixed(Entry{
		ID: "four_parts", Code: MalformedToken,
		Text:    "it has four parts or more than five, and a JWT has three",
		Meaning: "it looks like a JWT with something added to it, such as two tokens in a row",
		Remedy:  "Look at what the client sends: it must be one token, unchanged, with nothing behind it.",
	})
	Encrypted = fixed(Entry{
		ID: "encrypted", Code: UnsupportedToken,
		Text:    "it has five parts, as encrypted tokens (JWE) have",
		Meaning: "the token is encrypted (RFC 7516), so nobody but the holder of a secret key can read it",
		Remedy:  "Have the provider issue signed access tokens that are not encrypted; many do so once the API is registered and named as the audience. If the provider has an introspection endpoint, `introspection` asks it about them.",
		See:     []string{"issuers-and-keys.md#tokens", "issuers-and-keys.md#introspection"},
	})
	HeaderEncoding = fixed(Entry{
		ID: "header_encoding", Code: MalformedToken,
		Text:    "the header is not base64url without padding",
		Meaning: "the part before the first dot has characters that base64url has not (RFC 7515 section 2), such as +, /, =, a quote or a space",
		Remedy:  "Look for what changes the token on its way: quotes of a shell or a JSON file, a line end, URL-decoding, or a library that writes base64 instead of base64url.",
	})
	ClaimsEncoding = fixed(Entry{
		ID: "claims_encoding", Code: MalformedToken,
		Text:    "the claims are not base64url without padding",
		Meaning: "the part between the dots has characters that base64url has not (RFC 7515 section 2)",
		Remedy:  "Look for what changes the token on its way, such as a line break in the middle, or for a library that writes base64 instead of base64url.",
	})
	SignatureEncoding = fixed(Entry{
		ID: "signature_encoding", Code: MalformedToken,
		Text:    "the signature is empty or not base64url without padding",
		Meaning: "nothing, or no base64url, is behind the second dot: the token is unsigned, was cut off, or has something added to its end",
		Remedy:  "Compare the end of the token with what the issuer has issued; a quote, a line end or a missing last part are usual. Unsigned tokens are never accepted.",
	})
	TooLarge = template(Entry{
		ID: "too_large", Code: MalformedToken,
		Text:    "larger than {bytes} bytes; max_token_size raises the limit",
		Meaning: "the token is longer than `max_token_size`",
		Remedy:  "Have the issuer put less in it, such as the groups of this API alone, or raise `max_token_size`, and Caddy's `max_header_size` with it.",
		See:     []string{"directive.md#max_token_size"},
	})
)

// The JSON of a token's header and claims; the part is "header" or "claims".
var (
	JSONSyntax = template(Entry{
		ID: "json_syntax", Code: MalformedToken,
		Text:    "the {part}: not a strict JSON object",
		Meaning: "it is no JSON object, or not as RFC 8259 has it",
		Remedy:  "See what is in it with `caddy jwt decode @FILE`, and correct what makes the token: it must be one JSON object with nothing before or behind it.",
		See:     []string{"issuers-and-keys.md#tokens"},
	})
	JSONEncoding = template(Entry{
		ID: "json_utf8", Code: MalformedToken,
		Text:    "the {part}: not UTF-8",
		Meaning: "the JSON has another encoding, such as Latin-1",
		Remedy:  "Correct what makes the token: JSON is UTF-8 (RFC 8259 section 8.1).",
	})
	JSONDuplicate = template(Entry{
		ID: "json_duplicate", Code: MalformedToken,
		Text:    "the {part}: an object has two members of one name",
		Meaning: "a member is duplicate, and another reader may take the other one (RFC 7519 section 4)",
		Remedy:  "Correct what makes the token, so that each name is there once.",
	})
	JSONDepth = template(Entry{
		ID: "json_depth", Code: MalformedToken,
		Text:    "the {part}: nested too deeply",
		Meaning: "objects and arrays are in each other more than 32 levels deep",
		Remedy:  "Have the issuer put simpler claims into the token.",
	})
	JSONValues = template(Entry{
		ID: "json_values", Code: MalformedToken,
		Text:    "the {part}: too many values",
		Meaning: "it has more JSON values than is allowed, whose number goes with `max_token_size`",
		Remedy:  "Have the issuer put less in it, such as the groups of this API alone, or raise `max_token_size`, which raises the number of values too.",
		See:     []string{"directive.md#max_token_size"},
	})
)

// Members of a token's header and claims.
var (
	AlgMissing = fixed(Entry{
		ID: "alg_missing", Code: MalformedToken,
		Text:    "the header has no alg",
		Meaning: "the header does not say by which algorithm the token is signed (RFC 7515 section 4.1.1)",
		Remedy:  "Correct what makes the token: a JWT library writes `alg` by itself.",
	})
	EmptyType = fixed(Entry{
		ID: "typ_empty", Code: MalformedToken,
		Text:    "typ is empty",
		Meaning: "the header has `typ` without a value",
		Remedy:  "Correct what makes the token: leave `typ` out, or write `JWT` or `at+jwt`.",
	})
	NotText = template(Entry{
		ID: "not_text", Code: MalformedToken,
		Text:    "{member} is not a text",
		Meaning: "the member must be a JSON string, and is a number, a list, null or something else",
		Remedy:  "Correct what makes the token: write the value in quotes, and one value instead of a list.",
		See:     []string{"issuers-and-keys.md#tokens"},
	})
	NotTime = template(Entry{
		ID: "not_time", Code: MalformedToken,
		Text:    "{member} is not a number of seconds from 1970 to 9999",
		Meaning: "the time must be a JSON number of seconds since 1970 (RFC 7519 section 2), and is a string, null, or in milliseconds",
		Remedy:  "Correct what makes the token: a number without quotes, in seconds; JavaScript's `Date.now()` has milliseconds.",
		See:     []string{"issuers-and-keys.md#tokens"},
	})
	Nested = fixed(Entry{
		ID: "nested", Code: UnsupportedToken,
		Text:    "cty says that another token is inside",
		Meaning: "the payload is another token (RFC 7519 section 5.2), which nobody would verify",
		Remedy:  "Have the client send the inner token, or the issuer leave out `cty`.",
	})
	Unencoded = fixed(Entry{
		ID: "unencoded", Code: UnsupportedToken,
		Text:    "b64 is not true",
		Meaning: "the payload is not base64url (RFC 7797)",
		Remedy:  "Have the issuer make usual tokens, without `b64`.",
	})
	Critical = fixed(Entry{
		ID: "critical", Code: UnsupportedToken,
		Text:    "crit names extensions, and none is supported",
		Meaning: "the token must not be accepted by anyone who does not know the extensions that `crit` names (RFC 7515 section 4.1.11)",
		Remedy:  "Have the issuer make tokens without `crit`.",
	})
	Encryption = fixed(Entry{
		ID: "enc", Code: UnsupportedToken,
		Text:    "enc is for encrypted tokens",
		Meaning: "the header has `enc`, but the token has the three parts of a signed one",
		Remedy:  "Have the issuer make signed tokens without `enc`.",
	})
	Bound = fixed(Entry{
		ID: "bound", Code: UnsupportedToken,
		Text:    "cnf binds the token to its holder's key; allow_bound_tokens accepts it as a bearer token",
		Meaning: "the client has asked for a token that is bound to a key of its own (RFC 7800: DPoP, mutual TLS), and the proof of that key can't be checked here",
		Remedy:  "Have the client ask for a bearer token. `allow_bound_tokens` accepts it without the proof, as any token that a thief could use.",
		See:     []string{"issuers-and-keys.md#allow_bound_tokens"},
	})
)

// The answer of an issuer that was asked about a token (RFC 7662 section 2.2).
var (
	AnswerMember = template(Entry{
		ID: "answer_member", Code: IntrospectionUnavailable,
		Text:    "the issuer's answer about the token: {member} has the wrong type",
		Meaning: "the issuer says that the token is active, but a time in the answer is no JSON number of seconds since 1970, or `iss` is no string (RFC 7662 section 2.2), so it is not known for how long, or whose it is",
		Remedy:  "Ask the introspection endpoint by hand (`curl --user CLIENT --data token=TOKEN URL`), look at this member, and correct what makes it in the issuer, or the URL of `introspection` if it is not that of the introspection endpoint.",
		See:     []string{"issuers-and-keys.md#introspection"},
	})
	AnswerIssuer = fixed(Entry{
		ID: "answer_iss", Code: UnknownIssuer,
		Text:    "the issuer's answer about the token names another iss",
		Meaning: "the issuer that was asked says that the token is active, and of another issuer than the one of this config",
		Remedy:  "Ask the introspection endpoint by hand (`curl --user CLIENT --data token=TOKEN URL`) and compare `iss` of the answer with `issuer`, letter by letter; if both are one and the same issuer, write what the answer has. If the endpoint answers for several realms or tenants, ask the one of this issuer.",
		See:     []string{"issuers-and-keys.md#introspection"},
	})
	AnswerKind = fixed(Entry{
		ID: "answer_kind", Code: WrongType,
		Text:    "the issuer's answer says that the token is no access token",
		Meaning: "the token is active, but `token_type`, `token_use`, `token_usage` or `typ` of the answer names another kind, such as a refresh token or an ID token, or DPoP without `cnf`",
		Remedy:  "Correct the client: it must send the access token (`access_token` of the token endpoint's answer), never the refresh token or the ID token.",
		See:     []string{"issuers-and-keys.md#introspection"},
	})
	AnswerNoKind = fixed(Entry{
		ID: "answer_no_kind", Code: WrongType,
		Text:    "the issuer's answer does not say that the token is an access token; untyped accepts it",
		Meaning: "the answer has none of `token_type`, `token_use`, `token_usage` and `typ`: some issuers answer so about a refresh token, of which they say that it is active, and a few about every token",
		Remedy:  "Check that the client sends the access token, not the refresh token. If the issuer answers so about access tokens too, have it send `token_type`; `untyped` accepts such answers, about refresh tokens as well.",
		See:     []string{"issuers-and-keys.md#introspection"},
	})
	AnswerNoExpiry = fixed(Entry{
		ID: "answer_no_exp", Code: MissingClaim,
		Text:    "the issuer's answer has no exp; if it never sends one, allow_no_expiry accepts it",
		Meaning: "the issuer says that the token is active, and not until when",
		Remedy:  "Have the issuer send `exp`. If it never does, write `allow_no_expiry`: the token is good then as long as the issuer says that it is active.",
		See:     []string{"issuers-and-keys.md#introspection", "issuers-and-keys.md#allow_no_expiry"},
	})
	AnswerNoAudience = fixed(Entry{
		ID: "answer_no_aud", Code: WrongAudience,
		Text:    "the issuer's answer names no audience; if it never sends one, audience * waives the check, and audience_claim names another member",
		Meaning: "the issuer says that the token is active, and not for which API",
		Remedy:  "Have the client ask for a token for this API; providers call it audience, resource or scope of the API. If the issuer never sends `aud`, name the member that has the audience, such as `client_id`, with `audience_claim`, or write `audience *` and `require scope` with a scope of this API alone.",
		See:     []string{"issuers-and-keys.md#introspection", "issuers-and-keys.md#audience_claim"},
	})
	OnlyOpaque = fixed(Entry{
		ID: "only_opaque", Code: AlgorithmNotAllowed,
		Text:    "it is a JWT, and the issuer has introspection and no keys; discovery beside it verifies its JWTs",
		Meaning: "the issuer's block has `introspection`, which is for tokens that are no JWT, and no key source",
		Remedy:  "If the issuer's JWTs are to be accepted too, write `discovery` (or another key source) beside `introspection`, or `jwts` into it, which asks the issuer about them as well.",
		See:     []string{"issuers-and-keys.md#introspection"},
	})
)

// Issuer, algorithm and key.
var (
	NoIssuer = fixed(Entry{
		ID: "iss_missing", Code: UnknownIssuer,
		Text:    "the token has no iss",
		Meaning: "it does not say who has issued it",
		Remedy:  "Have what makes the token write `iss`. If it can't, `issuer *` with the keys accepts tokens of any issuer, or of none.",
		See:     []string{"issuers-and-keys.md#issuer"},
	})
	NoTenant = fixed(Entry{
		ID: "tid_missing", Code: UnknownIssuer,
		Text:    "the token has no tid that is the id of a tenant: one UUID in lower case",
		Meaning: "`iss` fits a template with `{tid}`, and the token does not say in `tid` which tenant has issued it",
		Remedy:  "See with `caddy jwt decode @FILE` what it is: Entra writes `tid` into all its tokens, so this one is from elsewhere.",
		See:     []string{"issuers-and-keys.md#tenants"},
	})
	OtherTenant = fixed(Entry{
		ID: "tid_of_other", Code: UnknownIssuer,
		Text:    "iss is not the issuer's name with the token's own tid",
		Meaning: "`iss` names one tenant, and `tid` another",
		Remedy:  "See with `caddy jwt decode @FILE` what it is: Entra never issues such a token.",
		See:     []string{"issuers-and-keys.md#tenants"},
	})
	TenantNotListed = fixed(Entry{
		ID: "tenant_not_listed", Code: UnknownIssuer,
		Text:    "the token's tenant is not one that tenants names",
		Meaning: "the issuer is right, and the tenant is not one whose tokens are accepted; `*` does not stand for that of personal accounts",
		Remedy:  "If the tenant is to be let in, write its id behind `tenants`: it is `tid` in the token (`caddy jwt decode @FILE`).",
		See:     []string{"issuers-and-keys.md#tenants"},
	})
	AlgUnknown = fixed(Entry{
		ID: "alg_unknown", Code: AlgorithmNotAllowed,
		Text:    "alg is none or not supported",
		Meaning: "the token is not signed, or by an algorithm that is not supported here",
		Remedy:  "Have the issuer sign with one of the supported algorithms, such as ES256, EdDSA or RS256. `none` is never accepted.",
		See:     []string{"issuers-and-keys.md#algorithms-and-keys"},
	})
	AlgRefused = fixed(Entry{
		ID: "alg_not_in_list", Code: AlgorithmNotAllowed,
		Text:    "the issuer's algorithms do not have the token's alg",
		Meaning: "the `alg` of the token is not among those of the issuer: those of `algorithms`, or those for public keys, or for a secret",
		Remedy:  "See the token's `alg` with `caddy jwt decode @FILE`. If it is the one that the issuer means to use, name it in `algorithms`; if it is HS256 and the issuer has public keys here, the token is of another source, or forged.",
		See:     []string{"issuers-and-keys.md#algorithms"},
	})
	AlgOfOtherKey = fixed(Entry{
		ID: "alg_of_other_key", Code: AlgorithmNotAllowed,
		Text:    "the issuer's keys for this kid are not for the token's alg",
		Meaning: "there is a key that is chosen by the token's `kid`, or there are keys for tokens without one, but they are of another type, say that they are for another algorithm, or are left out by `algorithms`",
		Remedy:  "Compare the token's `alg` and `kid` (`caddy jwt decode @FILE`) with the `alg`, `kty` and `crv` of the key in the issuer's key set, and with `algorithms`.",
		See:     []string{"issuers-and-keys.md#algorithms"},
	})
	UnknownKid = fixed(Entry{
		ID: "kid_unknown", Code: UnknownKey,
		Text:    "the issuer has no key with the token's kid; if its kids never match, ignore_kid tries every key",
		Meaning: "the key was taken out of the key set, is so new that it has not been fetched, or belongs to another environment of the issuer",
		Remedy:  "Compare the token's `kid` (`caddy jwt decode @FILE`) with the keys in `caddy jwt status --json`. If the issuer's key set has it, look at the log lines about fetching; if the kids never match, write `ignore_kid`.",
		See:     []string{"issuers-and-keys.md#ignore_kid"},
	})
	KeyOfOther = fixed(Entry{
		ID: "key_of_other", Code: UnknownKey,
		Text:    "the key with the token's kid is for another issuer alone, as the key set says",
		Meaning: "the key has a member `issuer` that names another tenant, or another issuer, than the token's `iss`",
		Remedy:  "Compare `iss` in the token (`caddy jwt decode @FILE`) with `issuer` in the key set. A token of Entra whose key is another tenant's is forged; if all are refused, the key set is another issuer's: correct `jwks_url`.",
		See:     []string{"issuers-and-keys.md#the-issuer-of-a-key"},
	})
	ManyKeys = fixed(Entry{
		ID: "too_many_keys", Code: UnknownKey,
		Text:    "the token has no kid or the keys have none, and too many keys fit it; kidless_keys raises their number",
		Meaning: "without a `kid` each key that fits must be tried, and there are more than `kidless_keys` of them",
		Remedy:  "Have the issuer write `kid` into its tokens and its key set, or raise `kidless_keys`.",
		See:     []string{"issuers-and-keys.md#kidless_keys"},
	})
)

// Times, audience and user.
var (
	NoExpiry = fixed(Entry{
		ID: "exp_missing", Code: MissingClaim,
		Text:    "no exp; allow_no_expiry accepts it",
		Meaning: "the token would be good for ever",
		Remedy:  "Have the issuer write `exp`. `allow_no_expiry` accepts tokens without it; such a token ends only by revocation.",
		See:     []string{"issuers-and-keys.md#allow_no_expiry"},
	})
	NeverExpires = fixed(Entry{
		ID: "exp_missing_lifetime", Code: LifetimeTooLong,
		Text:    "no exp, and max_lifetime limits the lifetime",
		Meaning: "the token would be good for ever, and its lifetime is limited",
		Remedy:  "Have the issuer write `exp`, or remove `max_lifetime`.",
		See:     []string{"issuers-and-keys.md#max_lifetime"},
	})
	NoAudience = fixed(Entry{
		ID: "aud_missing", Code: WrongAudience,
		Text:    "the token has no audience",
		Meaning: "none of the claims with the audience is there: `aud`, or those of `audience_claim`",
		Remedy:  "Have the client ask for a token for this API; providers call it audience, resource or scope of the API. If the audience is in another claim, name that one with `audience_claim`.",
		See:     []string{"issuers-and-keys.md#audience_claim"},
	})
	AudienceType = fixed(Entry{
		ID: "aud_type", Code: WrongAudience,
		Text:    "the audience is empty or not a text or list of texts",
		Meaning: "the claim with the audience is there, but empty, null, or of another type",
		Remedy:  "Correct what makes the token: `aud` is a string, or an array of strings (RFC 7519 section 4.1.3).",
	})
	NoUser = template(Entry{
		ID: "user_missing", Code: MissingClaim,
		Text:    "no user: {claims} missing or empty; user_claim names the claim",
		Meaning: "none of the claims that name the user is a number or a string that is not empty",
		Remedy:  "See which claim names the user with `caddy jwt decode @FILE`, and name it with `user_claim`; tokens of machines often have `client_id` or `azp` instead of `sub`.",
		See:     []string{"issuers-and-keys.md#user_claim"},
	})
)

// What is not the token's fault, or not a token's.
var (
	// RevokedAPIKey: it is the API key that is revoked. Clients are told no more than
	// of an unknown one.
	RevokedAPIKey = fixed(Entry{
		ID: "api_key_revoked", Code: Revoked,
		Text:    "the API key is revoked",
		Meaning: "a rule of revocation names the id of the key",
		Remedy:  "`caddy jwt revocations` lists the rules, with the reason that was given for them. Give the holder a new key with `caddy jwt api-key roll`; if it was a mistake, take the rule back with `caddy jwt revocations delete`.",
		See:     []string{"revocation.md#rules"},
	})
	// SigningKeysUnavailable: it is the keys that sign tokens for the upstream that are
	// not available at the moment. The credential is valid.
	SigningKeysUnavailable = fixed(Entry{
		ID: "signing_keys_unavailable", Code: KeysUnavailable,
		Text:    "the keys of forward_jwt, which sign tokens for the upstream, are not loaded",
		Meaning: "the credential is good; it is this server that can't sign at the moment",
		Remedy:  "Look at `caddy jwt status` and at the log lines of the shared state: the keys are in Caddy's storage, which can't be read.",
		See:     []string{"rules-and-headers.md#forward_jwt"},
	})
)

// The HTTP request of a message.
var (
	BodyBroken = fixed(Entry{
		ID: "body_broken", Code: MalformedMessage,
		Text:    "the body ended before it was complete, or its framing is broken",
		Meaning: "the client went away while it sent the body, or sent less of it than it had said",
		Remedy:  "Look at the client's network and at what is between it and Caddy. A client that gives up while it sends is often one with a time limit of its own.",
		See:     []string{"mcp.md#max_body"},
	})
	MethodOverride = fixed(Entry{
		ID: "method_override", Code: MalformedMessage,
		Text:    "a header asks for another HTTP method",
		Meaning: "`X-HTTP-Method-Override`, `X-HTTP-Method` or `X-Method-Override` is there, by which the upstream may take another method than the one that was judged",
		Remedy:  "Have the client send the request with the HTTP method that it means, and without that header.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	UnexpectedBody = fixed(Entry{
		ID: "body_unexpected", Code: MalformedMessage,
		Text:    "a body with an HTTP method that has none",
		Meaning: "a GET, DELETE, HEAD or OPTIONS has a body, and only that of a POST is judged",
		Remedy:  "Have the client send messages by POST, and nothing in the body of other requests.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	Upgrade = fixed(Entry{
		ID: "upgrade", Code: MethodNotAllowed,
		Text:    "a request to upgrade to another protocol",
		Meaning: "what is sent after an `Upgrade`, such as to WebSocket, can't be judged",
		Remedy:  "Have the client use Streamable HTTP. If the site serves WebSocket too, give the `jwt` that has `mcp` a matcher.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	NoContentType = fixed(Entry{
		ID: "content_type_missing", Code: UnsupportedMediaType,
		Text:    "no Content-Type",
		Meaning: "the POST does not say what its body is",
		Remedy:  "Have the client send `Content-Type: application/json`.",
	})
	ManyContentTypes = fixed(Entry{
		ID: "content_type_twice", Code: UnsupportedMediaType,
		Text:    "more than one Content-Type",
		Meaning: "the upstream may take another one than was judged, also if one is written with an underscore",
		Remedy:  "Have the client, or the proxy in front, send `Content-Type` once.",
	})
	OtherContentType = fixed(Entry{
		ID: "content_type", Code: UnsupportedMediaType,
		Text:    "the Content-Type is not application/json, or has a parameter besides charset",
		Meaning: "the upstream may read the body in another way than as JSON",
		Remedy:  "Have the client send `Content-Type: application/json`; of parameters only `charset=utf-8` may be there.",
	})
	OtherCharset = fixed(Entry{
		ID: "charset", Code: UnsupportedMediaType,
		Text:    "the charset is not utf-8",
		Meaning: "JSON that is exchanged is UTF-8 (RFC 8259 section 8.1), and the upstream may read the same bytes as other text",
		Remedy:  "Have the client leave `charset` out, or write `charset=utf-8`.",
	})
	ContentCoding = fixed(Entry{
		ID: "content_encoding", Code: UnsupportedMediaType,
		Text:    "a Content-Encoding",
		Meaning: "the body is compressed, or the request says so, and the upstream may see other bytes than were judged",
		Remedy:  "Have the client send the body without compression.",
	})
)

// The headers of a message; the header is one of three words.
var (
	HeaderTwice = template(Entry{
		ID: "header_twice", Code: HeaderMismatch,
		Text:    "{header} is there more than once",
		Meaning: "the upstream may take another one than was compared, also if one is written with an underscore",
		Remedy:  "Have the client, or the proxy in front, send the header once.",
		See:     []string{"mcp.md#headers"},
	})
	HeaderMissing = template(Entry{
		ID: "header_missing", Code: HeaderMismatch,
		Text:    "{header} is missing, which this version of the protocol must have",
		Meaning: "from the version 2026-07-28 on each call says its version, its method and the name that it is about in headers",
		Remedy:  "Update the client or its SDK; one that writes headers by hand must set all three. The version is that of `MCP-Protocol-Version`, or of `_meta` in the body.",
		See:     []string{"mcp.md#headers"},
	})
	HeaderDiffers = template(Entry{
		ID: "header_differs", Code: HeaderMismatch,
		Text:    "{header} differs from the body",
		Meaning: "the header says something else than the body, so that one who reads the header alone would be misled",
		Remedy:  "Look for what changes the body or the header on its way. Values are compared letter by letter, and a value that is not plain ASCII must be encoded.",
		See:     []string{"mcp.md#headers"},
	})
	HeaderForm = template(Entry{
		ID: "header_form", Code: HeaderMismatch,
		Text:    "{header} has characters or an encoding that is not allowed",
		Meaning: "the version is no date such as 2026-07-28, or the text has characters other than ASCII, or what is between =?base64? and ?= is no base64 of UTF-8",
		Remedy:  "Have the client write the version as the protocol has it, and encode a name that is not plain ASCII as base64 with padding.",
		See:     []string{"mcp.md#headers"},
	})
	MetaVersion = fixed(Entry{
		ID: "meta_version", Code: HeaderMismatch,
		Text:    "the version in the body's _meta is missing or differs from MCP-Protocol-Version",
		Meaning: "from the version 2026-07-28 on each request has its version in `_meta` too, and both must be equal",
		Remedy:  "Update the client or its SDK, so that `io.modelcontextprotocol/protocolVersion` in `_meta` is what the header says.",
		See:     []string{"mcp.md#headers"},
	})
)

// The JSON of a message.
var (
	MessageSyntax = fixed(Entry{
		ID: "message_syntax", Code: MalformedMessage,
		Text:    "the body is not strict JSON",
		Meaning: "the body is empty, cut off, has something behind the message, or is not JSON as RFC 8259 has it",
		Remedy:  "Have the client send one JSON text and nothing else: no comments, no commas at the end, no NaN.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	MessageEncoding = fixed(Entry{
		ID: "message_utf8", Code: MalformedMessage,
		Text:    "the body is not UTF-8, or begins with a byte order mark",
		Meaning: "another reader may see other text in these bytes, or none",
		Remedy:  "Have the client send UTF-8 without a byte order mark (RFC 8259 section 8.1).",
	})
	MessageDuplicate = fixed(Entry{
		ID: "message_duplicate", Code: MalformedMessage,
		Text:    "an object in the body has two members of one name",
		Meaning: "another reader may take the other member, and call another tool than the one that was judged",
		Remedy:  "Have the client write each member once, in the arguments of a tool too.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	MessageBounds = fixed(Entry{
		ID: "message_bounds", Code: MalformedMessage,
		Text:    "the body is nested too deeply, or has too many members, messages or too long names",
		Meaning: "objects and arrays are in each other more than 128 levels deep, one object has more than 65,536 members, a batch more than 1,000 messages, or a member of a message has a name of more than 8 KiB",
		Remedy:  "Have the client send simpler arguments, such as a list instead of an object with that many members, and smaller batches.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	MemberFolded = template(Entry{
		ID: "member_folded", Code: MalformedMessage,
		Text:    "{object} has a member that equals a known one if case or signs are ignored",
		Meaning: "a member such as Name, or name with a character that can't be seen, is not the known one, but readers that ignore case or such characters take it for it, and would call another tool than the one that was judged",
		Remedy:  "Have the client write members as the protocol does, and leave out the one that looks like another.",
		See:     []string{"mcp.md#what-is-judged"},
	})
)

// What a message must have.
var (
	MessageType = fixed(Entry{
		ID: "message_type", Code: MalformedMessage,
		Text:    "a message is not an object with jsonrpc 2.0",
		Meaning: "the body, or an element of a batch, is something else than an object, or its `jsonrpc` is not the text 2.0",
		Remedy:  "Have the client send JSON-RPC 2.0, as every SDK of the protocol does.",
	})
	EmptyBatch = fixed(Entry{
		ID: "batch_empty", Code: MalformedMessage,
		Text:    "the batch is empty",
		Meaning: "the body is an array without a message",
		Remedy:  "Have the client send at least one message.",
	})
	BatchVersion = fixed(Entry{
		ID: "batch_version", Code: MalformedMessage,
		Text:    "a batch, which this version of the protocol does not have",
		Meaning: "from the version 2026-07-28 on a POST has one message, which its headers are about",
		Remedy:  "Have the client send each message by itself.",
	})
	MessageID = fixed(Entry{
		ID: "message_id", Code: MalformedMessage,
		Text:    "the id is not a string, a number or null",
		Meaning: "`id` is a bool, a list or an object",
		Remedy:  "Have the client use strings or numbers as ids.",
	})
	MessageMethod = fixed(Entry{
		ID: "message_method", Code: MalformedMessage,
		Text:    "the method is not a text, empty, too long or has control characters",
		Meaning: "`method` must be a JSON string of 1 to 8,192 bytes without control characters",
		Remedy:  "Have the client name one method, such as tools/call.",
	})
	MethodFolded = fixed(Entry{
		ID: "method_folded", Code: MalformedMessage,
		Text:    "the method equals a known one if case or signs are ignored",
		Meaning: "a method such as Tools/Call is not tools/call, but servers that ignore case take it for it",
		Remedy:  "Have the client write methods as the protocol does.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	CallAndResponse = fixed(Entry{
		ID: "call_and_response", Code: MalformedMessage,
		Text:    "a method beside a result or an error",
		Meaning: "the message is a call and a response at once, and servers differ in what they take it for",
		Remedy:  "Have the client send calls without `result` and `error`, and responses without `method`.",
	})
	NeitherCallNorResponse = fixed(Entry{
		ID: "no_call_no_response", Code: MalformedMessage,
		Text:    "no method, no result and no error",
		Meaning: "the message is neither a call nor a response",
		Remedy:  "Have the client send calls with `method`, and responses with `result` or `error`.",
	})
	ParamsType = fixed(Entry{
		ID: "params_type", Code: MalformedMessage,
		Text:    "params is not an object",
		Meaning: "`params` is a list of positions, null or something else; the protocol has names only",
		Remedy:  "Have the client send `params` as an object, or leave it out.",
	})
	MetaType = fixed(Entry{
		ID: "meta_type", Code: MalformedMessage,
		Text:    "_meta is not an object, or its version is not a text",
		Meaning: "`_meta` in `params` is a list, null or something else, or `io.modelcontextprotocol/protocolVersion` in it is no string",
		Remedy:  "Have the client send `_meta` as an object, or leave it out.",
	})
	NameType = template(Entry{
		ID: "name_type", Code: MalformedMessage,
		Text:    "{member} is missing, not a text, empty, too long or has control characters",
		Meaning: "the call must name the tool, prompt or resource that it is about, in a JSON string of 1 to 8,192 bytes",
		Remedy:  "Have the client name it as the server lists it.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	DotSegments = fixed(Entry{
		ID: "uri_dot_segments", Code: MalformedMessage,
		Text:    "the URI of a resource has dot segments",
		Meaning: "a part between slashes is `.` or `..`, or decodes to it, so that the server may read another resource than the rules were asked about",
		Remedy:  "Have the client send the URI as the server lists it, without such parts.",
		See:     []string{"mcp.md#what-is-judged"},
	})
	RefType = fixed(Entry{
		ID: "ref_type", Code: MalformedMessage,
		Text:    "ref is not an object of type ref/prompt with a name or ref/resource with a uri",
		Meaning: "completion/complete must say in `ref` what it is about, and only that",
		Remedy:  "Have the client send `ref` as the protocol has it: a prompt's with `name` alone, a resource's with `uri` alone.",
	})
)
