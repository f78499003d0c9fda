package command

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// auditLog is what is to be done again of an audit log.
type auditLog struct {
	lines int // of the audit log
	rules []admin.RevocationItem
	keys  []auditKey
	// others are keys that were made, edited or rolled, which can't be done again.
	others []auditKey
	// retired are the issuers whose signing keys were retired.
	retired []string
}

// auditKey is a key and what became of it.
type auditKey struct{ store, id, change string }

// maxAuditLine is how long a line may be, in bytes; a longer one is none of the audit log.
const maxAuditLine = 1 << 20

// readAuditLog reads the lines of an audit log, in their order: later ones undo earlier ones.
func readAuditLog(in io.Reader) (log auditLog, err error) {
	var order []string // the ids of rules
	rules := map[string]admin.RevocationItem{}
	add := func(rule admin.RevocationItem) {
		if _, known := rules[rule.ID]; !known {
			order = append(order, rule.ID)
		}
		rules[rule.ID] = rule
	}
	type name struct{ store, id string }
	var keyOrder []name
	keys := map[name]string{}
	lines := bufio.NewReaderSize(in, 64<<10)
	for {
		line, tooLong, err := readLine(lines, maxAuditLine)
		if err != nil && !errors.Is(err, io.EOF) {
			return log, err
		}
		if item, ok := parseAuditLine(line); ok && !tooLong {
			log.lines++
			key := name{item.Store, item.ID}
			switch change := changeOf(item); change {
			case "added":
				add(*item.Rule)
			case "retired":
				if !slices.Contains(log.retired, item.Signing.Issuer) {
					log.retired = append(log.retired, item.Signing.Issuer)
				}
				for _, rule := range item.Signing.Rules {
					add(rule)
				}
			case "removed":
				delete(rules, item.ID)
			case "":
			default:
				if before, known := keys[key]; !known {
					keyOrder = append(keyOrder, key)
				} else if before == "deleted" || before == "disabled" && change != "deleted" && change != "enabled" {
					break // which holds whatever else was done
				}
				keys[key] = change
			}
		}
		if err != nil {
			break
		}
	}
	for _, id := range order {
		if rule, ok := rules[id]; ok {
			log.rules = append(log.rules, rule)
		}
	}
	for _, k := range keyOrder {
		switch change := keys[k]; change {
		case "disabled", "deleted":
			log.keys = append(log.keys, auditKey{k.store, k.id, change})
		case "edited", "rolled":
			log.others = append(log.others, auditKey{k.store, k.id, change})
		}
	}
	return log, nil
}

// readLine reads a line, of which it keeps no more than limit bytes.
func readLine(in *bufio.Reader, limit int) (line []byte, tooLong bool, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > limit {
			line, tooLong = nil, true
		} else if !tooLong {
			line = append(line, part...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, tooLong, err
		}
	}
}

// parseAuditLine reads a line of the logger jwt.audit, or of the answer of GET /jwt/audit.
func parseAuditLine(line []byte) (item admin.AuditItem, ok bool) {
	// A prefix is what journals and container runtimes write in front.
	at := bytes.IndexByte(line, '{')
	if at < 0 {
		return item, false
	}
	var logged struct {
		Logger string           `json:"logger"`
		Audit  *admin.AuditItem `json:"audit"`
	}
	// Other loggers may write what a client has sent.
	if json.Unmarshal(line[at:], &logged) != nil || logged.Audit == nil || logged.Logger != "jwt.audit" {
		return item, false
	}
	return *logged.Audit, logged.Audit.Action != ""
}

// changeOf returns what a line changed: added or removed for a rule; retired for signing
// keys, with rules; created, rolled, edited, disabled, enabled or deleted for an API key;
// empty for nothing.
func changeOf(item admin.AuditItem) string {
	switch item.Outcome {
	case "stored", "node_only":
	case "learned":
		if item.Rule == nil && (item.Change == "added" || item.Change == "removed") || item.Signing != nil {
			return ""
		}
		return item.Change
	default: // refused, failed, repeated
		return ""
	}
	switch item.Action {
	case "revoke":
		if item.Rule != nil {
			return "added"
		}
	case "unrevoke":
		return "removed"
	case "signing_retire":
		if item.Signing != nil {
			return "retired"
		}
	}
	return map[string]string{
		"key_create": "created", "key_edit": "edited", "key_enable": "enabled", "key_disable": "disabled",
		"key_roll": "rolled", "key_delete": "deleted",
	}[item.Action]
}
