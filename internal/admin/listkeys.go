package admin

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// keyList is a list of keys that is being made: those of the stores in the order of their
// names, then those of the files in the order of their paths.
type keyList struct {
	ctx    context.Context
	app    App
	state  State
	now    time.Time
	limit  int
	after  keyPlace
	store  string        // "" for all
	within time.Duration // of the expiry, < 0 for all
	unused time.Duration // < 0 for all

	page KeyPage
	last keyPlace // of the last item
	full bool
}

// keyPlace is where a key is in the list. The zero place is in front of all.
type keyPlace struct {
	kind byte   // 's' for a store, 't' for a file
	name string // of the store, or the path
	id   string
}

// listKeys serves GET /jwt/api-keys.
func (s *service) listKeys(_ http.ResponseWriter, r *http.Request) (any, error) {
	query, err := parameters(r, "store", "expiring", "unused", "limit", "after")
	if err != nil {
		return nil, err
	}
	l := &keyList{ctx: r.Context(), app: s.running.current(), now: s.now(), store: query["store"], page: KeyPage{Items: []KeyItem{}}}
	if l.app == nil {
		return nil, errNotRunning
	}
	l.state = l.app.Shared()
	if l.limit, err = limit(query); err != nil {
		return nil, err
	}
	if l.within, err = optionalDuration(query, "expiring"); err != nil {
		return nil, err
	}
	if l.unused, err = optionalDuration(query, "unused"); err != nil {
		return nil, err
	}
	if l.after, err = readKeyPlace(query["after"]); err != nil {
		return nil, err
	}
	stores, files := l.stores(), filesNamed(l.app, l.store)
	if l.store != "" && len(stores) == 0 && len(files) == 0 {
		return nil, refusal(http.StatusNotFound, "?store: there is no store %s", quote(l.store))
	}
	for _, store := range stores {
		if err := l.addStore(store); err != nil {
			return nil, err
		}
	}
	if l.unused < 0 { // uses of keys in files are not known
		for _, file := range files {
			l.addFile(file)
		}
	}
	if l.full {
		l.page.Next = l.last.String()
	}
	return l.page, nil
}

func optionalDuration(query map[string]string, name string) (time.Duration, error) {
	written, ok := query[name]
	if !ok {
		return -1, nil
	}
	d, err := duration(written)
	if err != nil {
		return 0, bad("?%s: %v", name, err)
	}
	return d, nil
}

func (l *keyList) stores() []Store {
	if l.state == nil {
		return nil
	}
	var stores []Store
	for _, store := range l.state.Stores() {
		if l.store == "" || l.store == store.Name() {
			stores = append(stores, store)
		}
	}
	return stores
}

// behind returns the id behind which the list goes on in a place, and whether it does.
func (l *keyList) behind(kind byte, name string) (id string, ok bool) {
	switch a := l.after; {
	case l.full:
		return "", false
	case a.kind == kind && a.name == name:
		return a.id, true
	default:
		return "", a.kind < kind || a.kind == kind && a.name < name
	}
}

// add adds a key, if there is still room.
func (l *keyList) add(place keyPlace, item func() KeyItem) (more bool) {
	if len(l.page.Items) == l.limit {
		l.full = true
		return false
	}
	l.page.Items, l.last = append(l.page.Items, item()), place
	return true
}

func (l *keyList) addStore(store Store) error {
	after, ok := l.behind('s', store.Name())
	if !ok {
		return nil
	}
	if !store.Status().Ready {
		l.note("the store " + store.Name() + " is not in step with the storage yet, so keys may be missing")
	}
	uses, err := l.uses(store)
	if err != nil {
		if l.unused >= 0 {
			return refusal(http.StatusServiceUnavailable, "the uses of the keys of the store %s can't be read: %v", store.Name(), err)
		}
		l.note("the uses of the keys of the store " + store.Name() + " can't be read: " + err.Error())
	}
	for k := range storedKeys(store, after, l.now) {
		used := uses[k.ID]
		if !l.expires(&k.Record) || !l.isUnused(&k.Record, used) {
			continue
		}
		more := l.add(keyPlace{'s', store.Name(), k.ID}, func() KeyItem {
			item := itemOfKey(l.state, store.Name(), k, l.now)
			if uses != nil {
				item.Uses = usesOf(used)
			}
			return item
		})
		if !more {
			break
		}
	}
	return nil
}

func (l *keyList) addFile(file KeyFile) {
	after, ok := l.behind('t', file.Path)
	if !ok {
		return
	}
	records, err := fileKeys(file, after, l.limit+1, l.expires)
	if err != nil {
		l.note("the keys of a file are listed as far as it can be read: " + err.Error())
	}
	for i := range records {
		if !l.add(keyPlace{'t', file.Path, records[i].ID}, func() KeyItem { return itemOfFile(l.state, file, &records[i], l.now) }) {
			return
		}
	}
}

func (l *keyList) note(text string) { l.page.Notes = append(l.page.Notes, terminal.Text(text)) }

// uses reads how the keys of a store were used; nil if that is not counted.
func (l *keyList) uses(store Store) (map[string]apikey.Uses, error) {
	usage := l.state.Usage(store.Name())
	if usage == nil {
		return nil, nil
	}
	uses, err := usage.Read(l.ctx)
	if err != nil {
		return nil, err
	}
	if uses == nil {
		uses = map[string]apikey.Uses{}
	}
	return uses, nil
}

// expires reports whether a key expires within the time that was asked for, and has not yet.
func (l *keyList) expires(r *apikey.Record) bool {
	return l.within < 0 || !r.Expires.IsZero() && r.Expires.After(l.now) && !r.Expires.After(l.now.Add(l.within))
}

// isUnused reports whether a key was neither used nor made within the time that was asked
// for.
func (l *keyList) isUnused(r *apikey.Record, u apikey.Uses) bool {
	since := l.now.Add(-l.unused)
	return l.unused < 0 || u.Last.Before(since) && r.Created.Before(since)
}

// String returns the place as a parameter of a URL.
func (p keyPlace) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(p.kind) + p.name + "\n" + p.id))
}

func readKeyPlace(text string) (keyPlace, error) {
	if text == "" {
		return keyPlace{}, nil
	}
	content, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil && len(content) > 0 && (content[0] == 's' || content[0] == 't') {
		if at := strings.LastIndexByte(string(content), '\n'); at > 0 {
			return keyPlace{content[0], string(content[1:at]), string(content[at+1:])}, nil
		}
	}
	return keyPlace{}, bad("?after: %s is not the next of a page", quote(text))
}

// getKey serves GET /jwt/api-keys/{id}.
func (s *service) getKey(_ http.ResponseWriter, r *http.Request) (any, error) {
	app, now := s.running.current(), s.now()
	if app == nil {
		return nil, errNotRunning
	}
	id, err := keyID(r)
	if err != nil {
		return nil, err
	}
	query, err := parameters(r, "store")
	if err != nil {
		return nil, err
	}
	name, state := query["store"], app.Shared()
	err = apikey.ErrNoKey
	if state != nil {
		var store Store
		var key apikey.StoredKey
		if store, key, err = findStored(r.Context(), state, name, id, now); err == nil {
			item := itemOfKey(state, store.Name(), &key, now)
			l := keyList{ctx: r.Context(), state: state}
			if uses, err := l.uses(store); err == nil && uses != nil {
				item.Uses = usesOf(uses[id])
			}
			return item, nil
		}
	}
	if errors.Is(err, apikey.ErrNoKey) {
		if file, record, ok := findInFiles(filesNamed(app, name), id); ok {
			return itemOfFile(state, file, &record, now), nil
		}
	}
	return nil, err
}
