package admin

import (
	"encoding/json"
	"time"
)

// These are the bodies and answers of the endpoint. The server and the client share them.

// RevocationRequest is the body of POST /jwt/revocations.
type RevocationRequest struct {
	// Kind is jti, sub, client, key, kid, issuer or token.
	Kind string `json:"kind"`
	// Value is what is refused. For the kind token it is the token itself, of which the
	// server keeps a digest, or that digest.
	Value string `json:"value"`
	// Issuer is the "iss" to which the rule is limited. A rule of the kind kid needs it;
	// one of the kinds jti, sub and client needs it, or AnyIssuer, where the server has
	// more than one issuer. The kinds key, issuer and token don't take it.
	Issuer string `json:"issuer,omitempty"`
	// AnyIssuer makes a rule of the kinds jti, sub and client hold for all issuers.
	AnyIssuer bool `json:"any_issuer,omitempty"`
	// Store is the store to which a rule of the kind key is limited. Default: none.
	Store string `json:"store,omitempty"`
	// NotBefore limits a rule to tokens that were issued before it. The kind issuer needs
	// it, sub and client take it. It may be ahead of now by the largest leeway.
	NotBefore time.Time `json:"not_before,omitzero"`
	// End is when the rule ends. Default: never, or, where the expiry of the token is
	// known, when it has expired.
	End time.Time `json:"end,omitzero"`
	// Reason is for people.
	Reason string `json:"reason,omitempty"`
}

// RevocationAnswer is the answer of POST /jwt/revocations.
type RevocationAnswer struct {
	// ID is the rule's, for DELETE /jwt/revocations/{id}.
	ID string `json:"id"`
	// Stored is false if the rule holds on this node only, until it can be stored. The
	// status is 202 then, else 201.
	Stored bool `json:"stored"`
	// End is when the rule ends, zero for never.
	End time.Time `json:"end,omitzero"`
	// CachedTokensRefused is the number of tokens in the cache of this node that the rule
	// refuses, -1 if there is no cache.
	CachedTokensRefused int `json:"cached_tokens_refused"`
	// APIKeysStillValid are the ids of the API keys whose consumer is the value of a rule
	// of the kind sub, which does not refuse them. At most 100.
	APIKeysStillValid []string `json:"api_keys_still_valid"`
	// Notes are what the operator should know.
	Notes []string `json:"notes"`
	// Repeated is true if this answers a repeated Idempotency-Key.
	Repeated bool `json:"repeated,omitempty"`
}

// RevocationItem is a rule, as GET /jwt/revocations lists it and DELETE returns it.
type RevocationItem struct {
	ID        string    `json:"id"`
	Kind      string    `json:"kind"`
	Value     string    `json:"value"` // of the kind token, the digest
	Issuer    string    `json:"issuer,omitempty"`
	Store     string    `json:"store,omitempty"`
	NotBefore time.Time `json:"not_before,omitzero"`
	End       time.Time `json:"end,omitzero"`
	Reason    string    `json:"reason,omitempty"`
	By        string    `json:"by,omitempty"`
	Node      string    `json:"node,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

// RevocationQuery selects rules for Client.Revocations. The zero value is the first page of
// all.
type RevocationQuery struct {
	// Kind, Value and Issuer are those of the rules; empty for all. Of the kind token,
	// the value is the digest.
	Kind, Value, Issuer string
	// Limit is how many rules to return, 100 if it is 0, at most 1,000. A page may be
	// longer, as it ends with an object of the storage.
	Limit int
	// After is Next of the page before.
	After string
}

// RevocationPage is the answer of GET /jwt/revocations.
type RevocationPage struct {
	Items []RevocationItem `json:"items"`
	// Next is the After of the next page, empty if there is none.
	Next string `json:"next,omitempty"`
}

// KeyRequest is the body of POST /jwt/api-keys.
type KeyRequest struct {
	// Store is the store's name in the config. It may be left out where there is one.
	Store string `json:"store,omitempty"`
	// ID is the key's. Default: a random one.
	ID string `json:"id,omitempty"`
	// Name and Description are for people.
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	// Consumer is who holds the key. Default: the id.
	Consumer string   `json:"consumer,omitempty"`
	Scopes   []string `json:"scopes,omitempty"`
	// Expires is from when on the key is refused, zero for never.
	Expires time.Time `json:"expires,omitzero"`
	// Meta is an object of further values, empty for none.
	Meta json.RawMessage `json:"meta,omitempty"`
	// Prefix begins the text of the key. Default: cj.
	Prefix string `json:"prefix,omitempty"`
}

// KeyEdit is the body of PATCH /jwt/api-keys/{id}: what is nil stays as it is.
type KeyEdit struct {
	Name        *string   `json:"name,omitempty"`
	Description *string   `json:"description,omitempty"`
	Consumer    *string   `json:"consumer,omitempty"`
	Scopes      *[]string `json:"scopes,omitempty"`
	// Expires is a time as RFC 3339 in quotes, or null for never.
	Expires json.RawMessage `json:"expires,omitempty"`
	// Meta is an object, or null for none.
	Meta json.RawMessage `json:"meta,omitempty"`
	// Enabled disables or enables the key. It can't be combined with another member: a
	// change of both could be stored in part.
	Enabled *bool `json:"enabled,omitempty"`
}

// RollRequest is the body of PUT /jwt/api-keys/{id}/secret.
type RollRequest struct {
	// Overlap is how long the secrets until now are still accepted, such as 1h or 7d; 0s
	// for not at all.
	Overlap string `json:"overlap"`
	// Prefix begins the text of the key. Default: cj.
	Prefix string `json:"prefix,omitempty"`
}

// KeyItem is an API key, as it is listed. It never has a hash.
type KeyItem struct {
	ID string `json:"id"`
	// Store is the store's name in the config, empty for a file without a name.
	Store string `json:"store,omitempty"`
	// File is the path of the key file, empty for a key of a storage. A key in a file
	// can't be changed here.
	File        string `json:"file,omitempty"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	// Consumer is who holds the key.
	Consumer string   `json:"consumer"`
	Scopes   []string `json:"scopes"`
	// State is enabled, disabled, expired or revoked.
	State   string          `json:"state"`
	Created time.Time       `json:"created,omitzero"`
	Expires time.Time       `json:"expires,omitzero"`
	Meta    json.RawMessage `json:"meta,omitempty"`
	// Secrets is how many secrets of the key are accepted: two during the overlap of a
	// roll, until OldUntil. 0 for a key in a file.
	Secrets  int       `json:"secrets,omitempty"`
	OldUntil time.Time `json:"old_until,omitzero"`
	// Uses are known of keys of storages only.
	Uses *KeyUses `json:"uses,omitempty"`
}

// KeyUses is how a key was used, on all nodes.
type KeyUses struct {
	// Last is the time of the last use, zero for none that is known.
	Last time.Time `json:"last,omitzero"`
	// Today and Days30 are the number of uses of this day and of the last 30, by UTC.
	Today  uint64 `json:"today"`
	Days30 uint64 `json:"days_30"`
}

// KeyAnswer is the answer to the change of a key, as it is after it.
type KeyAnswer struct {
	KeyItem
	// Key is the text of the key, in the answer that makes it alone.
	Key string `json:"key,omitempty"`
	// Stored is false if the change holds on this node only, until it can be stored.
	Stored bool `json:"stored"`
	// Notes are what the operator should know.
	Notes []string `json:"notes,omitempty"`
	// Repeated is true if this answers a repeated Idempotency-Key. It has no Key then.
	Repeated bool `json:"repeated,omitempty"`
}

// KeyQuery selects keys for Client.ListKeys. The zero value is the first page of all.
type KeyQuery struct {
	// Store is a store's name, empty for all.
	Store string
	// Expiring selects keys that expire within this time and have not yet; empty for
	// all. Such as 14d.
	Expiring string
	// Unused selects keys that were not used for this time, nor made within it; empty
	// for all. Such as 90d. Uses of keys in files are not known, so these are left out.
	Unused string
	// Limit is how many keys to return at most, 100 if it is 0, at most 1,000.
	Limit int
	// After is Next of the page before.
	After string
}

// KeyPage is the answer of GET /jwt/api-keys.
type KeyPage struct {
	Items []KeyItem `json:"items"`
	// Next is the After of the next page, empty if there is none.
	Next string `json:"next,omitempty"`
	// Notes are what is missing from the list, such as a file that can't be read.
	Notes []string `json:"notes,omitempty"`
}

// AcceptAnswer is the answer of POST /jwt/state/accept.
type AcceptAnswer struct {
	// Signed is the number of objects that were signed.
	Signed int `json:"signed"`
}

// AuditPage is the answer of GET /jwt/audit: the oldest lines first.
type AuditPage struct {
	Items []AuditItem `json:"items"`
	// Next is the After of the next page, 0 if there is none.
	Next uint64 `json:"next,omitempty"`
	// Missing is the number of lines behind After that this process no longer has. They
	// are in the log.
	Missing uint64 `json:"missing,omitempty"`
}

// AuditItem is a line of the audit log: an attempt to change something, a change that another
// node made, or a question what a credential is worth. It has no secret.
type AuditItem struct {
	// Seq counts the lines of this process, from 1.
	Seq uint64 `json:"seq"`
	// Process is drawn at its start.
	Process string `json:"process"`
	// Time is when the line was written, to the millisecond, by UTC.
	Time time.Time `json:"time"`
	// Node is the name of this node, empty without shared state.
	Node string `json:"node,omitempty"`
	// Action is revoke, unrevoke, key_create, key_import, key_edit, key_enable,
	// key_disable, key_roll, key_delete, signing_rotate, signing_retire, accept,
	// explain or learned.
	Action string `json:"action"`
	// Outcome is stored; node_only for a change that could not be stored yet; repeated
	// for the answer to a repeated Idempotency-Key; answered for a question; refused;
	// failed; or learned.
	Outcome string `json:"outcome"`
	// Status is that of the answer, 0 for a learned change.
	Status int `json:"status,omitempty"`
	// Who is the subject and the key's digest of the client certificate, or else the
	// address, or else unix: and the path of the socket. Of a learned change, it is who
	// made it.
	Who string `json:"who,omitempty"`
	// ClaimedBy is who the client says that it acts for, which nobody checked.
	ClaimedBy string `json:"claimed_by,omitempty"`
	// Store and ID are of what was changed.
	Store string `json:"store,omitempty"`
	ID    string `json:"id,omitempty"`
	// Reason is why, in the operator's words.
	Reason string `json:"reason,omitempty"`
	// Rule is the rule that was added or removed.
	Rule *RevocationItem `json:"rule,omitempty"`
	// Key is the key as it is after the change.
	Key *KeyItem `json:"key,omitempty"`
	// Imported are the ids of the keys that an import added or changed.
	Imported []string `json:"imported,omitempty"`
	// Signing is what became of signing keys.
	Signing *SigningAudit `json:"signing,omitempty"`
	// Explained is what was asked and answered.
	Explained *ExplainAudit `json:"explained,omitempty"`
	// Change is what another node did with a key: created, rolled, edited, disabled,
	// enabled, deleted; or, with a rule, added or removed.
	Change string `json:"change,omitempty"`
	// Origin is the node of a learned change.
	Origin string `json:"origin,omitempty"`
	// Error is why it was refused, or has failed.
	Error string `json:"error,omitempty"`
	// Previous is the SHA-256, in hexadecimal digits, of the line before as JSON in this
	// form without white space; empty for the first.
	Previous string `json:"previous,omitempty"`
}
