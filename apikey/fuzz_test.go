package apikey

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// noKeyIn fails where a text for people holds a key.
func noKeyIn(t *testing.T, what, text, key string) {
	t.Helper()
	for at := 0; at+12 <= len(key); at++ {
		if strings.Contains(text, key[at:at+12]) {
			t.Fatalf("%s shows the key %q: %s", what, key, text)
		}
	}
}

func FuzzParseRecord(f *testing.F) {
	f.Add([]byte(hashedAnd(`"id":"a"`)))
	f.Add([]byte(hashedAnd(`"id":"a","name":"n","description":"d","consumer":"c","scopes":["x","y"],"enabled":false,"created":"2026-01-02T03:04:05Z","expires":"2030-12-31T23:59:59.9+02:00","meta":{"a":[1e400,-0,"\u2028"]}`)))
	f.Add([]byte(hashedAnd(`"id":"a","expires":"2030-01-01T00:00:00+24:00"`)))
	f.Add([]byte(hashedAnd(`"id":"a","expires":"2030-01-01T0:00:00,5Z","meta":{}`)))
	f.Add([]byte(`{"id":"a","hash":"SHA256:` + strings.ToUpper(someHash[7:]) + `"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := ParseRecord(line)
		if err != nil {
			if len(err.Error()) > 600 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			if strings.Contains(strings.ToLower(err.Error()), someHash[:9]) {
				t.Fatalf("it shows the hash: %v", err)
			}
			return
		}
		again := roundTrip(t, r)
		if first, second := must(r.MarshalJSON()), must(again.MarshalJSON()); !bytes.Equal(first, second) {
			t.Fatalf("%s, and then %s", first, second)
		}
		if err := CheckID(r.ID); err != nil {
			t.Fatal(err)
		}
		k, ok := must(NewSet([]Record{r})).Find(r.Hash)
		if !ok || k.ID() != r.ID || k.Enabled() == r.Disabled || strings.Join(k.Scopes(), " ") != strings.Join(r.Scopes, " ") {
			t.Fatalf("in a set it is another: %+v", r)
		}
		if sub, _ := k.Claims().Member("sub"); sub.Render() != k.Consumer() || k.Consumer() == "" {
			t.Fatalf("its claims are another's: %s", k.Claims().AppendJSON(nil))
		}
	})
}

func FuzzReadSet(f *testing.F) {
	f.Add([]byte(keyLines("a", "b")))
	f.Add([]byte("\n"))
	f.Add([]byte("\r\n" + keyLines("a") + "{}\n"))
	f.Add([]byte(keyLines("a") + keyLines("a")))
	f.Add([]byte(strings.TrimSpace(keyLines("a"))))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := readSet(bytes.NewReader(text), "keys.jsonl", int64(len(text)))
		file, fileErr := parseEdit(bytes.NewReader(text), "keys.jsonl")
		if len(text) == 0 {
			return // broken for a server, and empty for a command
		}
		if (err == nil) != (fileErr == nil) {
			t.Fatalf("a server says %v, a command %v", err, fileErr)
		}
		if err != nil {
			if !strings.HasPrefix(err.Error(), "keys.jsonl:") || err.Error() != fileErr.Error() {
				t.Fatalf("%v, %v", err, fileErr)
			}
			return
		}
		records := file.Records()
		if s.Len() != len(records) {
			t.Fatalf("%d keys and %d records", s.Len(), len(records))
		}
		for _, r := range records {
			if k, ok := s.Find(r.Hash); !ok || k.ID() != r.ID {
				t.Fatalf("%s is not there", r.ID)
			}
		}
		// Cut off anywhere, it is never taken for a whole file with other keys.
		if s.Len() > 0 {
			half, err := readSet(bytes.NewReader(text[:len(text)/2]), "keys.jsonl", 0)
			if err == nil && half.Len() != s.Len() && !s.beginsWith(half) {
				t.Fatal("its first half is not seen as cut off")
			}
		}
	})
}

func FuzzReadImport(f *testing.F) {
	f.Add("Name,Key,Enabled,UsagePlanIds\n", awsKey(1), "n,", ",true,'p1,p2'\n")
	f.Add("USAGEPLANIDS,Key,NAME,Description\n", awsKey(2), "\"p1,p2\",", ",n,\"a \"\"b\"\"\"\n")
	f.Add("Name,Key\n", awsKey(3), "n,", ",x\n")
	f.Add("", awsKey(3), "n,", "\n")
	f.Add("", awsKey(3), "n;", "\n")
	f.Add("\ufeffName,Key\r\n", awsKey(4), "n,", ",x\r\n")
	f.Add(keyLines("a"), awsKey(5), "{\"id\":\"b\",\"hash\":\"", "\"}\n")
	f.Fuzz(func(t *testing.T, header, key, before, after string) {
		text := header + before + key + after
		rows, err := ReadImport([]byte(text), ImportOptions{})
		// What can be a key is visible ASCII; a text with commas, quotes or
		// spaces is several fields, of which one may be a name or a plan.
		secret := CheckText(key) == nil && strings.Trim(key, base62) == "" && before == "n," &&
			(header == "Name,Key\n" || header == "")
		if err != nil {
			if secret {
				noKeyIn(t, "the error", err.Error(), key)
			}
			if len(err.Error()) > 1000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		file := newEdit(t, "")
		results := file.Import(rows, time.Unix(1e9, 0))
		if len(results) != len(rows) {
			t.Fatalf("%d results of %d rows", len(results), len(rows))
		}
		if secret {
			noKeyIn(t, "the import", fmt.Sprintf("%+v", results), key)
		}
		checkEdit(t, file)
		known := len(file.Records())
		for _, r := range file.Import(rows, time.Unix(2e9, 0)) {
			if r.Action == ImportAdded || r.Action == ImportUpdated {
				t.Fatalf("imported again: %+v", r)
			}
		}
		if len(file.Records()) != known {
			t.Fatalf("imported again: %d keys, %d before", len(file.Records()), known)
		}
	})
}
