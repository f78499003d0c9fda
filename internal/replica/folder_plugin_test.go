package replica

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/caddy-jwt/caddy-jwt/internal/storagetest"
)

var errOutage = errors.New("connection refused")

// pairs is a storage that keeps to its contract.
type pairs map[string]string

func (m pairs) Store(_ context.Context, key string, value []byte) error {
	m[key] = string(value)
	return nil
}

func (m pairs) Load(_ context.Context, key string) ([]byte, error) {
	if value, ok := m[key]; ok {
		return []byte(value), nil
	}
	return nil, fs.ErrNotExist
}

func (m pairs) Delete(_ context.Context, key string) error {
	delete(m, key)
	return nil
}

func (m pairs) List(_ context.Context, prefix string, recursive bool) ([]string, error) {
	return m.keys(func(key string) bool {
		below, ok := strings.CutPrefix(key, prefix+"/")
		return ok && (recursive || !strings.Contains(below, "/"))
	}), nil
}

func (m pairs) keys(which func(string) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(m)), func(key string) bool { return !which(key) })
}

// What no door uses, as it can't be trusted.
func (pairs) Lock(context.Context, string) error                      { panic("a lock was used") }
func (pairs) Unlock(context.Context, string) error                    { panic("a lock was used") }
func (pairs) Exists(context.Context, string) bool                     { panic("Exists was used") }
func (pairs) Stat(context.Context, string) (certmagic.KeyInfo, error) { panic("Stat was used") }

// listed is a storage whose listings are made by a function.
type listed struct {
	pairs
	list func(m pairs, prefix string, recursive bool) ([]string, error)
}

func (l listed) List(_ context.Context, prefix string, recursive bool) ([]string, error) {
	return l.list(l.pairs, prefix, recursive)
}

// byText lists what begins with the text of the path, in no order.
func byText(m pairs, prefix string, _ bool) ([]string, error) {
	keys := m.keys(func(key string) bool { return strings.HasPrefix(key, prefix) })
	rand.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	return keys, nil
}

// pluginDoor is a door to a storage that does not wait between its attempts, but counts
// them.
func pluginDoor(s certmagic.Storage) (o Objects, pauses *int) {
	d := Folder(s, testPath).(*door)
	pauses = new(int)
	d.folder.(*pluginFolder).pause = func(context.Context) error { *pauses++; return nil }
	return d, pauses
}

// full is a folder with two objects, its marker, and what may lie around it.
func full() pairs {
	return pairs{
		testPath + "/1-a":                 "A",
		testPath + "/2-b":                 "B",
		testPath + "/" + markerName:       "marker",
		testPath + "/below/3-c":           "a folder in it",
		testPath + "/.lock":               "foreign",
		testPath + "/1234":                "foreign",
		testPath + "-old/4-d":             "a folder with a longer name",
		testPath + "-old/" + markerName:   "a folder with a longer name",
		testPath:                          "the folder's own key",
		"x" + testPath + "/5-e":           "another folder",
		"jwt/default/keys-a/6-f":          "another folder",
		"other/" + testPath + "/" + "7-g": "another cluster's folder",
	}
}

func TestEachStorageListsAFolder(t *testing.T) {
	t.Parallel()
	for name, list := range map[string]func(m pairs, prefix string, recursive bool) ([]string, error){
		"as the contract says": func(m pairs, prefix string, recursive bool) ([]string, error) {
			return m.List(context.Background(), prefix, recursive)
		},
		"redis: by time": func(m pairs, prefix string, recursive bool) ([]string, error) {
			keys, err := m.List(context.Background(), prefix, recursive)
			slices.Reverse(keys)
			return keys, err
		},
		"consul, gcs: by the text of the path": byText,
		"nats: in no order": func(m pairs, prefix string, recursive bool) ([]string, error) {
			return byText(m, prefix+"/", recursive)
		},
		"techknowlogick's s3: the whole bucket, with its prefix": func(m pairs, _ string, _ bool) ([]string, error) {
			var keys []string
			for key := range m {
				// In the same bucket there is another Caddy, whose prefix is longer.
				keys = append(keys, "caddy/staging/"+key, "caddy/"+key, "caddy/staging/"+testPath+"/9-z")
			}
			return keys, nil
		},
		"ss098's s3: with a slash in front": func(m pairs, prefix string, recursive bool) ([]string, error) {
			if !recursive {
				return []string{"/" + prefix + "/"}, nil
			}
			keys, err := byText(m, prefix+"/", recursive)
			for i := range keys {
				keys[i] = "/" + keys[i]
			}
			return append(keys, "/"+prefix+"/"), err
		},
		"postgres, mysql: not recursively": func(m pairs, prefix string, recursive bool) ([]string, error) {
			if recursive {
				return nil, errors.New("recursive not supported")
			}
			return byText(m, prefix, recursive)
		},
		"gcs: only recursively": func(m pairs, prefix string, recursive bool) ([]string, error) {
			if !recursive {
				return nil, nil
			}
			return byText(m, prefix, recursive)
		},
		"some names twice": func(m pairs, prefix string, recursive bool) ([]string, error) {
			keys, err := m.List(context.Background(), prefix, recursive)
			return slices.Concat(keys, keys), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, pauses := pluginDoor(listed{full(), list})
			expectNames(t, o, "1-a", "2-b", markerName)
			if *pauses != 0 {
				t.Errorf("it was asked %d times more", *pauses)
			}
			// A folder that is not there, beside others that are.
			none := full()
			maps.DeleteFunc(none, func(key, _ string) bool { return path.Dir(key) == testPath })
			if !strings.Contains(name, "the whole bucket") { // where the other Caddy's can't be told from it
				o, _ = pluginDoor(listed{none, list})
				expectNames(t, o)
			}
		})
	}
}

func TestAListingThatIsIncompleteIsAnError(t *testing.T) {
	t.Parallel()
	sound := func(m pairs, prefix string) []string {
		keys, _ := m.List(context.Background(), prefix, true)
		return keys
	}
	for _, c := range []struct {
		name string
		list func(m pairs, prefix string, recursive bool) ([]string, error)
		want error
	}{
		{"empty", func(pairs, string, bool) ([]string, error) { return nil, nil }, ErrIncomplete},
		{"cut short in order", func(m pairs, prefix string, _ bool) ([]string, error) {
			return sound(m, prefix)[:2], nil
		}, ErrIncomplete},
		{"ss098's s3, a list of nothing", func(pairs, string, bool) ([]string, error) { return []string{""}, nil }, ErrIncomplete},
		{"only the folder's own name", func(_ pairs, prefix string, _ bool) ([]string, error) {
			return []string{prefix + "/"}, nil
		}, ErrIncomplete},
		{"another folder's marker", func(_ pairs, prefix string, _ bool) ([]string, error) {
			return []string{prefix + "-old/" + markerName}, nil
		}, ErrIncomplete},
		{"an outage", func(pairs, string, bool) ([]string, error) { return nil, errOutage }, errOutage},
		{"an outage and a short listing", func(m pairs, prefix string, _ bool) ([]string, error) {
			return sound(m, prefix), errOutage
		}, errOutage},
		{"gcs: an outage, and nothing if not recursive", func(_ pairs, _ string, recursive bool) ([]string, error) {
			if recursive {
				return nil, errOutage
			}
			return nil, nil
		}, errOutage},
		{"postgres: cut short", func(m pairs, prefix string, recursive bool) ([]string, error) {
			if recursive {
				return nil, errors.New("recursive not supported")
			}
			return sound(m, prefix)[:1], nil
		}, ErrIncomplete},
		{"no such folder, though there is", func(pairs, string, bool) ([]string, error) { return nil, fs.ErrNotExist }, ErrIncomplete},
		{"an outage, and no such folder if not recursive", func(_ pairs, _ string, recursive bool) ([]string, error) {
			if recursive {
				return nil, errOutage
			}
			return nil, fs.ErrNotExist
		}, errOutage},
		{"no such folder, and an outage if not recursive", func(_ pairs, _ string, recursive bool) ([]string, error) {
			if recursive {
				return nil, fs.ErrNotExist
			}
			return nil, errOutage
		}, errOutage},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o, _ := pluginDoor(listed{full(), c.list})
			if names, err := o.List(context.Background()); !errors.Is(err, c.want) || names != nil {
				t.Errorf("%q, %v; want %v", names, err, c.want)
			}
		})
	}
}

// It is what a storage that wraps the file system answers while somebody writes.
func TestAListingThatFailsForAMomentIsMadeAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		err   error // of the first listings; nil for one without the marker
		fails int
		want  error
	}{
		{"no such folder", fs.ErrNotExist, listAttempts - 1, nil},
		{"no such folder, each time", fs.ErrNotExist, listAttempts, ErrIncomplete},
		{"incomplete", nil, listAttempts - 1, nil},
		{"incomplete, each time", nil, listAttempts, ErrIncomplete},
		{"an outage, which no pause cures", errOutage, 1, errOutage},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			listings := 0
			o, pauses := pluginDoor(listed{full(), func(m pairs, prefix string, recursive bool) ([]string, error) {
				if recursive {
					listings++
				}
				if listings <= c.fails {
					return nil, c.err
				}
				return m.List(context.Background(), prefix, recursive)
			}})
			names, err := o.List(context.Background())
			if !errors.Is(err, c.want) || err == nil && !slices.Equal(names, []string{"1-a", "2-b", markerName}) {
				t.Errorf("%q, %v; want %v", names, err, c.want)
			}
			want := min(c.fails, listAttempts-1)
			if c.err == errOutage {
				want = 0
			}
			if *pauses != want {
				t.Errorf("%d pauses, want %d", *pauses, want)
			}
		})
	}
}

func TestAFolderThatDoesNotExistIsEmpty(t *testing.T) {
	t.Parallel()
	o, _ := pluginDoor(listed{pairs{}, func(pairs, string, bool) ([]string, error) { return nil, fs.ErrNotExist }})
	expectNames(t, o)
	o, _ = pluginDoor(pairs{})
	expectNames(t, o)
	if err := o.Probe(context.Background()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// A folder without the marker is listed too: not all of them are sets.
func TestAFolderWithoutTheMarkerIsListed(t *testing.T) {
	t.Parallel()
	o, _ := pluginDoor(pairs{testPath + "/1-a": "A"})
	expectNames(t, o, "1-a")
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	t.Parallel()
	mustDo(t, shortPause(context.Background()))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := shortPause(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// past is a context whose time is over, though nobody was told yet.
type past struct{ context.Context }

func (past) Deadline() (time.Time, bool) { return time.Now().Add(-time.Second), true }

// NATS's plugin returns what it has when the context ends, without an error.
func TestAListingThatEndsWithItsContextIsAnError(t *testing.T) {
	t.Parallel()
	o, _ := pluginDoor(full())
	if names, err := o.List(past{context.Background()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestWhichKeysAreInAFolder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ keys, want string }{
		{"a/b/n1 a/b/n2", "n1 n2"},
		{"/a/b/n1", "n1"},
		{"p/a/b/n1 p/a/b/n2", "n1 n2"},
		{"p/q/a/b/n1 p/a/b/n2 p/q/a/b/n3", "n2"},
		{"xa/b/n1 p/xa/b/n2", ""},
		{"a/b a/b/ a/n1 b/n1 a/b-c/n1 a/b/c/n1 a/bc /", ""},
		{"a/b//n1", ""}, // it could not be loaded
	} {
		names := strings.Join(objectNames(namesIn("a/b", append(strings.Fields(c.keys), ""))), " ")
		if names != c.want {
			t.Errorf("%s: %q, want %q", c.keys, names, c.want)
		}
	}
}

// odd is a storage whose other answers are its own.
type odd struct {
	pairs
	load, remove error
}

func (o odd) Load(ctx context.Context, key string) ([]byte, error) {
	if o.load != nil {
		return nil, o.load
	}
	return o.pairs.Load(ctx, key)
}

func (o odd) Delete(context.Context, string) error { return o.remove }

func TestWhatALoadFailedOfIsKept(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ err, want, not error }{
		"absent":          {fs.ErrNotExist, fs.ErrNotExist, fs.ErrPermission},
		"not to be read":  {&fs.PathError{Op: "open", Path: "a", Err: fs.ErrPermission}, fs.ErrPermission, fs.ErrNotExist},
		"down":            {errOutage, errOutage, fs.ErrNotExist},
		"down, as absent": {fs.ErrNotExist, fs.ErrNotExist, errOutage}, // ss098's S3
	} {
		o, _ := pluginDoor(odd{pairs: full(), load: c.err})
		_, loaded := o.Load(context.Background(), "1-a")
		for method, err := range map[string]error{"Load": loaded, "Probe": o.Probe(context.Background())} {
			if !errors.Is(err, c.want) || errors.Is(err, c.not) {
				t.Errorf("%s: %s: %v", name, method, err)
			}
		}
		if !strings.Contains(loaded.Error(), testPath+"/1-a") {
			t.Errorf("%s: the error does not name the object: %v", name, loaded)
		}
	}
	o, _ := pluginDoor(full())
	mustDo(t, o.Probe(context.Background()))
}

// outage is a storage that says that nothing exists while it is down, but can't be listed.
type outage struct {
	pairs
	loads, lists *int // that are left to fail
}

func (o outage) Load(ctx context.Context, key string) ([]byte, error) {
	if *o.loads--; *o.loads >= 0 {
		return nil, fs.ErrNotExist
	}
	return o.pairs.Load(ctx, key)
}

func (o outage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	if *o.lists--; *o.lists >= 0 {
		return nil, errOutage
	}
	return o.pairs.List(ctx, prefix, recursive)
}

// It is what Redis's plugin does.
func TestAnObjectOfAStorageThatIsDownIsNotAbsent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		loads, lists int
		object       string
		want         error
	}{
		{"down", 100, 100, "1-a", errOutage},
		{"down only for a listing", 0, 100, "1-a", nil},
		{"back before the listing", 1, 0, "1-a", nil},
		{"there is none", 0, 0, "3-c", fs.ErrNotExist},
		{"it has no content", 100, 0, "1-a", fs.ErrNotExist},
	} {
		o, _ := pluginDoor(outage{full(), &c.loads, &c.lists})
		content, err := o.Load(context.Background(), c.object)
		if !errors.Is(err, c.want) || errors.Is(err, fs.ErrNotExist) != (c.want == fs.ErrNotExist) || err == nil && string(content) != "A" {
			t.Errorf("%s: %q, %v; want %v", c.name, content, err, c.want)
		}
	}
}

// An outage that reads as an empty listing is one if the marker can't be loaded.
func TestAnEmptyListingOfAStorageThatIsDownIsAnError(t *testing.T) {
	t.Parallel()
	o, _ := pluginDoor(odd{pairs: pairs{}, load: errOutage})
	if names, err := o.List(context.Background()); !errors.Is(err, errOutage) {
		t.Errorf("%q, %v", names, err)
	}
}

func TestDeletingNothingIsNoError(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ err, want error }{
		{nil, nil},
		{fs.ErrNotExist, nil}, // Consul and Google Cloud Storage
		{errOutage, errOutage},
	} {
		o, _ := pluginDoor(odd{pairs: pairs{}, remove: c.err})
		if err := o.Delete(context.Background(), "1-a"); !errors.Is(err, c.want) {
			t.Errorf("%v: %v", c.err, err)
		}
	}
}

// A Store of Redis's plugin that was cut short leaves a name, of others an empty value.
func TestANameWithoutContentIsListedAndAbsent(t *testing.T) {
	t.Parallel()
	m := full()
	m[testPath+"/3-c"] = ""
	o, _ := pluginDoor(m)
	expectNames(t, o, "1-a", "2-b", "3-c", markerName)
	if _, err := o.Load(context.Background(), "3-c"); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

func TestAnObjectIsStoredUnderItsPath(t *testing.T) {
	t.Parallel()
	m := pairs{}
	o, _ := pluginDoor(m)
	mustDo(t, o.Store(context.Background(), "1-a", []byte("A")))
	if err := o.Store(context.Background(), "1-b", nil); !errors.Is(err, ErrEmpty) { // techknowlogick's S3 refuses it
		t.Error(err)
	}
	if got := mustLoad(t, o, "1-a"); got != "A" || !maps.Equal(m, pairs{testPath + "/1-a": "A"}) {
		t.Errorf("%q in %v", got, m)
	}
	mustDo(t, o.Delete(context.Background(), "1-a"))
	if len(m) != 0 {
		t.Error(m)
	}
}

// A plugin may wrap certmagic's file storage, whose listings then can't be avoided.
func TestAWrappedFileStorageIsListedWhileSomebodyWrites(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	storage := storagetest.Files(t)
	o := Folder(struct{ certmagic.Storage }{storage}, testPath)
	mustDo(t, o.Store(ctx, markerName, []byte("marker")))
	stop, stopped := make(chan struct{}), make(chan error)
	go func() {
		var err error
		for n := 0; err == nil; n++ {
			select {
			case <-stop:
				stopped <- nil
				return
			default:
				err = o.Store(ctx, "1-a", []byte("A"))
			}
		}
		stopped <- err
	}()
	for range 100 {
		if names, err := o.List(ctx); err != nil || !slices.Contains(names, markerName) {
			t.Errorf("%q, %v", names, err)
		}
	}
	close(stop)
	mustDo(t, <-stopped)
}
