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
	KeyAsToken = fixed(Entry{
		ID: "key_as_token", Code: MalformedToken,
		Text:    "it is an API key, in a place where tokens are; no issuer is asked about it",
		Meaning: "the client sends an API key as a token, such as in Authorization: Bearer, and the site asks an issuer about tokens that are no JWT: the key stays here",
		Remedy:  "Have the client send the key where `api_key_from` says, by default in X-API-Key; `api_key_from header Authorization Bearer` takes it where it is, but then no opaque token is taken there.",
		See:     []string{"directive.md#api_key_from", "issuers-and-keys.md#introspection"},
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
