package tokenservice

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/clock"
	"github.com/caddy-jwt/caddy-jwt/internal/replica"
	"github.com/caddy-jwt/caddy-jwt/key"
)

// secrets returns n keys of a config.
func secrets(n ...byte) [][]byte {
	var list [][]byte
	for _, c := range n {
		list = append(list, bytes.Repeat([]byte{c}, 32))
	}
	return list
}

// under makes a node's config have keys.
func under(keys [][]byte) func(*SigningConfig) {
	return func(c *SigningConfig) { c.Secrets, c.Binding.Keys = keys, keys }
}

// shows reports whether a text holds a private key in some form.
func shows(t testing.TB, text []byte, s *key.Signer) bool {
	t.Helper()
	der, err := s.PKCS8()
	if err != nil {
		t.Fatal(err)
	}
	// The number itself is in the middle, where base64 has three ways of writing it.
	for at := range 3 {
		part := base64.StdEncoding.EncodeToString(der[36+at : 36+at+24])
		if bytes.Contains(text, []byte(part)) {
			return true
		}
	}
	return bytes.Contains(text, der[36:60]) || bytes.Contains(text, fmt.Appendf(nil, "%x", der[36:60]))
}

func TestPrivateKeysAreObjectsOfTheirOwn(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	s := n.signer(t)
	found := 0
	for name, content := range d.copied() {
		if !shows(t, content, s) {
			continue
		}
		if found++; name != privateFolder+"/"+privateName(s.ID()) {
			t.Errorf("the private key is in %s", name)
		}
	}
	if found != 1 {
		t.Errorf("the private key is in %d objects", found)
	}
	if kid, ok := privateOf(privateName(s.ID())); !ok || kid != s.ID() {
		t.Errorf("%s is the key %s", privateName(s.ID()), kid)
	}
	for _, name := range []string{"", "zz-caddy-jwt-1", strings.Repeat("g", 64), strings.Repeat("a", 62), strings.Repeat("A", 64)} {
		if _, ok := privateOf(name); ok {
			t.Errorf("%q is a key", name)
		}
	}
	// It is never stored again if it was deleted.
	d.set(func() { delete(d.content, privateFolder+"/"+privateName(s.ID())) })
	for range 5 {
		settled(t, n)
	}
	if _, ok := d.copied()[privateFolder+"/"+privateName(s.ID())]; ok {
		t.Error("it was stored again")
	}
	if n.signer(t).ID() != s.ID() {
		t.Error("the node does not use what it has in memory")
	}
}

func TestPrivateKeysAreEncryptedUnderTheKeysOfTheConfig(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c, under(secrets(1)))
	s := n.signer(t)
	name := privateFolder + "/" + privateName(s.ID())
	encrypted := d.copied()[name]
	for name, content := range d.copied() {
		if shows(t, content, s) {
			t.Errorf("%s shows a private key", name)
		}
	}
	n.kill()
	// The older of two keys decrypts, and the first encrypts it again.
	n = newNode(t, d, c, under(secrets(2, 1)))
	if n.signer(t).ID() != s.ID() {
		t.Error("the older key does not decrypt")
	}
	if bytes.Equal(d.copied()[name], encrypted) {
		t.Error("it is not encrypted again")
	}
	n.kill()
	if got, again, err := openPrivate(setFolder, secrets(2), s.ID(), d.copied()[name]); err != nil || again || got.ID() != s.ID() {
		t.Error(again, err)
	}
	for what, err := range map[string]error{
		"another key":   second(openPrivate(setFolder, secrets(3), s.ID(), encrypted)),
		"no key":        second(openPrivate(setFolder, nil, s.ID(), encrypted)),
		"another set":   second(openPrivate(setFolder+"x", secrets(1), s.ID(), encrypted)),
		"another id":    second(openPrivate(setFolder, secrets(1), privateName(s.ID()), encrypted)),
		"half":          second(openPrivate(setFolder, secrets(1), s.ID(), encrypted[:len(encrypted)/2])),
		"one bit":       second(openPrivate(setFolder, secrets(1), s.ID(), bytes.Replace(encrypted, []byte(`"sealed":"`), []byte(`"sealed":"A`), 1))),
		"no nonce":      second(openPrivate(setFolder, secrets(1), s.ID(), bytes.Replace(encrypted, []byte(`"nonce"`), []byte(`"other"`), 1))),
		"another alg":   second(openPrivate(setFolder, secrets(1), s.ID(), bytes.Replace(encrypted, []byte("ES256"), []byte("EdDSA"), 1))),
		"none":          second(openPrivate(setFolder, secrets(1), s.ID(), bytes.Replace(encrypted, []byte("ES256"), []byte("none"), 1))),
		"text":          second(openPrivate(setFolder, secrets(1), s.ID(), []byte("text"))),
		"much":          second(openPrivate(setFolder, secrets(1), s.ID(), append(encrypted, bytes.Repeat([]byte(" "), mostPrivate)...))),
		"newer version": second(openPrivate(setFolder, secrets(1), s.ID(), bytes.Replace(encrypted, []byte(`"jwt":1`), []byte(`"jwt":2`), 1))),
	} {
		if err == nil || shows(t, []byte(err.Error()), s) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := openPrivate(setFolder, secrets(1), s.ID(), encrypted); err != nil {
		t.Error(err)
	}
}

func TestAReloadThatAddsAKeyEncryptsPrivateKeys(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	s := n.signer(t)
	name := privateFolder + "/" + privateName(s.ID())
	if !shows(t, d.copied()[name], s) {
		t.Error("it is encrypted without a key")
	}
	use := usual()
	use.Private, use.Secrets = folder{d, privateFolder, nil}, secrets(1)
	d.set(func() { d.full = "private" })
	n.Use(use)
	n.sync(t)
	d.set(func() { d.full = "" })
	n.sync(t)
	if shows(t, d.copied()[name], s) {
		t.Error("it is not encrypted")
	}
	if got, again, err := openPrivate(setFolder, secrets(1), s.ID(), d.copied()[name]); err != nil || again || got.ID() != s.ID() {
		t.Error(again, err)
	}
	// One that was deleted is not stored.
	d.set(func() { delete(d.content, name) })
	use.Secrets = secrets(2, 1)
	n.Use(use)
	n.sync(t)
	n.sync(t)
	if _, ok := d.copied()[name]; ok {
		t.Error("it was stored again")
	}
}

func second(_ *key.Signer, _ bool, err error) error { return err }

// Anyone who can write to the storage can put another private key in a key's place, which
// must never sign under its id.
func TestAnotherPrivateKeyIsNotRead(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	s := n.signer(t)
	n.kill()
	other, err := key.NewSigner(key.ES256)
	if err != nil {
		t.Fatal(err)
	}
	content, err := sealPrivate(setFolder, nil, other)
	if err != nil {
		t.Fatal(err)
	}
	var o privateObject
	if err := json.Unmarshal(content, &o); err != nil {
		t.Fatal(err)
	}
	o.ID = s.ID()
	if content, err = json.Marshal(o); err != nil {
		t.Fatal(err)
	}
	d.set(func() { d.content[privateFolder+"/"+privateName(s.ID())] = content })
	n = newNode(t, d, c)
	n.sync(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s, err := n.Signer(ctx, c.Now()); !errors.Is(err, ErrKeysUnavailable) {
		t.Error(s, err)
	}
	if n.events.take()["unreadable"] != 1 {
		t.Error("nothing is told of it")
	}
	// The next may sign once it has been published for a day.
	c.Set(noon.Add(day))
	if got := n.signer(t); got.ID() == s.ID() || got.ID() != n.List(c.Now())[0].ID {
		t.Error("it signs with another")
	}
	n.sync(t)
	if n.events.take()["unreadable"] != 0 {
		t.Error("it is told again")
	}
}

func TestAKeyWhosePrivateKeyIsLostIsReplaced(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	s := n.signer(t)
	n.kill()
	d.set(func() {
		for name := range d.content {
			if strings.HasPrefix(name, privateFolder) {
				delete(d.content, name)
			}
		}
	})
	n = newNode(t, d, c)
	settled(t, n)
	settled(t, n)
	if len(d.names(privateFolder)) != 1 {
		t.Errorf("%d private keys", len(d.names(privateFolder)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := n.Signer(ctx, c.Now()); !errors.Is(err, ErrKeysUnavailable) {
		t.Error("a key signs that was not published for a day")
	}
	if !strings.Contains(errNoPrivateKey.Error(), "rotate --retire-now") {
		t.Error("the error does not tell the way out")
	}
	if n.accepts(t, s) == false {
		t.Error("what the lost key signed is refused")
	}
	c.Set(c.Now().Add(day))
	if got := n.signer(t); got.ID() == s.ID() {
		t.Error("the lost key signs")
	}
	settled(t, n)
	if len(d.names(privateFolder)) != 1 {
		t.Errorf("%d private keys", len(d.names(privateFolder)))
	}
	// Who can't wait retires them all.
	n.kill()
	d.set(func() {
		for name := range d.content {
			if strings.HasPrefix(name, privateFolder) {
				delete(d.content, name)
			}
		}
	})
	n = newNode(t, d, c)
	if r, err := n.RetireNow(t.Context(), "ann", "host-1"); err != nil || r.Signing.ID != n.signer(t).ID() {
		t.Error(r, err)
	}
}

// What a node leaves that is killed after it has stored a private key and before it has
// published the key is deleted after a day, and not before.
func TestAPrivateKeyWithoutAPublicOneIsDeleted(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	orphan, err := key.NewSigner(key.ES256)
	if err != nil {
		t.Fatal(err)
	}
	name := privateFolder + "/" + privateName(orphan.ID())
	d.set(func() { d.content[name], d.content[privateFolder+"/other"] = []byte("{}"), []byte("x") })
	settled(t, n)
	c.Set(c.Now().Add(day - time.Minute))
	n.sync(t)
	if _, ok := d.copied()[name]; !ok {
		t.Error("it was deleted, while it may be about to be published")
	}
	c.Set(c.Now().Add(time.Minute))
	n.sync(t)
	if _, ok := d.copied()[name]; ok {
		t.Error("it is there after a day")
	}
	if _, ok := d.copied()[privateFolder+"/other"]; !ok {
		t.Error("something else was deleted")
	}
	// A retirement reaches one that is about to be published.
	d.set(func() { d.content[name] = []byte("{}") })
	if _, err := n.RetireNow(t.Context(), "ann", "host-1"); err != nil {
		t.Fatal(err)
	}
	if _, ok := d.copied()[name]; ok || !n.view.Load().retired[orphan.ID()] {
		t.Error("it is not retired")
	}
}

// A clock that may not be trusted deletes nothing for the time.
func TestAWrongClockDeletesNoPrivateKey(t *testing.T) {
	t.Parallel()
	c, d := clock.NewFake(noon), newDisk()
	n := newNode(t, d, c)
	ahead := clock.NewFake(noon.Add(400 * day))
	wrong := newNode(t, d, ahead, func(s *SigningConfig) { s.CanForget = func() bool { return false } })
	settled(t, wrong)
	if !n.accepts(t, n.signer(t)) {
		t.Error("the key is refused")
	}
	if _, ok := d.copied()[privateFolder+"/"+privateName(n.signer(t).ID())]; !ok {
		t.Error("the private key was deleted")
	}
	// Those that it has made, far in the future, don't keep the others from making the next.
	settled(t, n)
	c.Set(noon.Add(31 * day))
	settled(t, n)
	next := n.List(c.Now())
	if !slicesContains(next, func(k SigningKey) bool {
		return k.State == "next" && k.SignsFrom.Before(c.Now().Add(31*day))
	}) {
		t.Errorf("the keys are %+v", next)
	}
}

func slicesContains(list []SigningKey, f func(SigningKey) bool) bool {
	for _, k := range list {
		if f(k) {
			return true
		}
	}
	return false
}

// TestPrivateKeysInCaddysFileStorage looks at the files themselves.
func TestPrivateKeysInCaddysFileStorage(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	storage := &certmagic.FileStorage{Path: root}
	c := clock.NewFake(noon)
	n := newNode(t, newDisk(), c, func(s *SigningConfig) {
		s.Binding.Objects, s.Private = replica.Folder(storage, setFolder), replica.Folder(storage, privateFolder)
	})
	s := n.signer(t)
	files := 0
	err := filepath.WalkDir(filepath.Join(root, privateFolder), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files++
		info, err := e.Info()
		if err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %o", path, info.Mode().Perm())
		}
		return err
	})
	if err != nil || files != 2 {
		t.Errorf("%d files: %v", files, err)
	}
	if _, err := os.Stat(filepath.Join(root, privateFolder, privateName(s.ID()))); err != nil {
		t.Error(err)
	}
	if _, err := n.RetireNow(t.Context(), "ann", "host-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(root, privateFolder, privateName(s.ID()))); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
