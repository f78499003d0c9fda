package mcpgate

import "sync"

const (
	// most is how many bytes of bodies all requests of the process hold together.
	most = 64 << 20
	// share is how many of them one user holds, so that others get through beside one who
	// sends all that is allowed.
	share = most / 2
)

// user is whom bodies are counted for.
type user struct{ issuer, name string }

// budget counts the bytes of bodies that are held.
type budget struct {
	mu    sync.Mutex
	held  int
	users map[user]int
}

// process is the budget of all handlers, whatever the config.
var process = new(budget)

// take counts n more bytes for a user, unless that is more than is allowed.
func (b *budget) take(u user, n int) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.held+n > most || b.users[u]+n > share {
		return false
	}
	if b.users == nil {
		b.users = map[user]int{}
	}
	b.held += n
	b.users[u] += n
	return true
}

// give counts n bytes less.
func (b *budget) give(u user, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held -= n
	if b.users[u] -= n; b.users[u] <= 0 {
		delete(b.users, u)
	}
}

// account is what one request holds of a budget.
type account struct {
	budget *budget // nil for none that counts
	user   user
	held   int
}

// grow counts a buffer of n bytes in place of the one that is held. While one is copied into
// the other, the smaller is there beside what is counted.
func (a *account) grow(n int) bool {
	if a.budget != nil && !a.budget.take(a.user, n-a.held) {
		return false
	}
	a.held = n
	return true
}

// close counts nothing any more.
func (a *account) close() {
	if a.budget != nil && a.held > 0 {
		a.budget.give(a.user, a.held)
	}
	a.held = 0
}
