package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/revocation"
	"github.com/caddy-jwt/caddy-jwt/tokenservice"
)

// auditKept is how many lines of the audit log a process keeps.
const auditKept = 1000

// auditLog writes the lines of the audit log, and keeps the newest. Each has a counter and
// the digest of the line before, so that a line that was changed, or is missing in the
// middle, shows. It outlives configs.
type auditLog struct {
	now     func() time.Time
	process string

	mu       sync.Mutex
	seq      uint64 // of the newest
	previous string
	kept     []AuditItem // as a ring: see at
}

func newAuditLog(now func() time.Time) *auditLog {
	var id [4]byte
	if _, err := rand.Read(id[:]); err != nil {
		panic(err) // crypto/rand never fails
	}
	return &auditLog{now: now, process: hex.EncodeToString(id[:])}
}

// write completes a line, keeps it and logs it.
func (a *auditLog) write(logger *zap.Logger, item AuditItem) {
	// The lines leave in the order of their counter, also to the log.
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seq++
	item.Seq, item.Process, item.Previous = a.seq, a.process, a.previous
	item.Time = a.now().UTC().Truncate(time.Millisecond)
	line, err := json.Marshal(item)
	if err != nil { // nothing in it can fail; a line that says so is better than none
		item.Rule, item.Key, item.Error = nil, nil, "the line can't be written: "+err.Error()
		line, _ = json.Marshal(item)
	}
	digest := sha256.Sum256(line)
	a.previous = hex.EncodeToString(digest[:])
	if len(a.kept) < auditKept {
		a.kept = append(a.kept, item)
	} else {
		*a.at(a.seq) = item
	}
	// In one field, from which the line can be had again, byte for byte.
	message := "shared state: " + item.Action
	if item.Action == explainAction {
		message = item.Action
	}
	if item.Outcome != item.Action { // what was learned is learned
		message += " " + item.Outcome
	}
	logger.Info(message, zap.Reflect("audit", item))
}

// at returns the place of a line.
func (a *auditLog) at(seq uint64) *AuditItem { return &a.kept[(seq-1)%auditKept] }

// page returns up to limit lines behind after.
func (a *auditLog) page(after uint64, limit int) AuditPage {
	a.mu.Lock()
	defer a.mu.Unlock()
	page := AuditPage{Items: []AuditItem{}}
	if after >= a.seq {
		return page
	}
	first := after + 1
	if a.seq > auditKept && first <= a.seq-auditKept {
		page.Missing = a.seq - auditKept - after
		first = a.seq - auditKept + 1
	}
	for seq := first; seq <= a.seq; seq++ {
		if len(page.Items) == limit {
			page.Next = seq - 1
			break
		}
		page.Items = append(page.Items, *a.at(seq))
	}
	return page
}

// LearnedRules returns a function that writes a line for each rule, and each removal of one,
// that other nodes made. Clients that revoke their own tokens leave none, as they could push
// out all that operators have done.
func LearnedRules(logger *zap.Logger) func(rules []revocation.Rule) {
	return func(rules []revocation.Rule) {
		for _, r := range rules {
			if r.Own && !r.Gone {
				continue
			}
			item, change := itemOfRule(r), "added"
			if r.Gone {
				change = "removed"
			}
			process.audit.write(logger, AuditItem{
				Node: thisNode(), Action: "learned", Outcome: "learned", Who: bounded(r.By), ID: item.ID,
				Reason: bounded(r.Reason), Rule: &item, Change: change, Origin: bounded(r.Node),
			})
		}
	}
}

// LearnedKeys returns a function that writes a line for each change of an API key that other
// nodes made.
func LearnedKeys(logger *zap.Logger) func(store string, changes []apikey.StoreChange) {
	return func(store string, changes []apikey.StoreChange) {
		for _, c := range changes {
			process.audit.write(logger, AuditItem{
				Node: thisNode(), Action: "learned", Outcome: "learned", Who: bounded(c.By), Store: store, ID: c.ID,
				Change: c.Change, Origin: bounded(c.Node),
			})
		}
	}
}

// ChangedSigningKeys returns a function that writes a line for each change of a signing key,
// but those that were asked for at this endpoint, which have a line already.
func ChangedSigningKeys(logger *zap.Logger) func(tokenservice.KeyEvent) {
	return func(e tokenservice.KeyEvent) {
		node := thisNode()
		if e.By != "" && e.Node == node {
			return
		}
		process.audit.write(logger, AuditItem{
			Node: node, Action: "learned", Outcome: "learned", Who: bounded(e.By), ID: bounded(e.KeyID),
			Signing: &SigningAudit{Issuer: e.Issuer}, Change: e.Change, Origin: bounded(e.Node),
		})
	}
}

// thisNode returns the name of this node, empty without shared state.
func thisNode() string {
	if app := process.running.current(); app != nil {
		if s := app.Shared(); s != nil {
			return s.Node()
		}
	}
	return ""
}

// listAudit serves GET /jwt/audit.
func (s *service) listAudit(_ http.ResponseWriter, r *http.Request) (any, error) {
	query, err := parameters(r, "limit", "after")
	if err != nil {
		return nil, err
	}
	n, err := limit(query)
	if err != nil {
		return nil, err
	}
	var after uint64
	if written, ok := query["after"]; ok {
		if after, err = strconv.ParseUint(written, 10, 64); err != nil {
			return nil, bad("?after: %s is not valid; write the seq of a line", quote(written))
		}
	}
	return s.audit.page(after, n), nil
}
