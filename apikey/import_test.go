package apikey

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// awsKey is a key as AWS API Gateway makes them: 40 letters and digits.
func awsKey(n int) string { return fmt.Sprintf("Ab3dEf6hIj9kLm2nOp5qRs8tUv1wXy4zAb7d%04d", n) }

// imported is what an import of a text makes of a file.
func imported(t testing.TB, f *Edit, text string) []ImportResult {
	t.Helper()
	rows, err := ReadImport([]byte(text), ImportOptions{})
	if err != nil {
		t.Fatal(err)
	}
	results := f.Import(rows, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	checkEdit(t, f)
	return results
}

func newEdit(t testing.TB, text string) *Edit {
	t.Helper()
	if text == "" {
		return emptyEdit()
	}
	f, err := parseEdit(strings.NewReader(text), "keys.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// checkEdit checks that a server would read what a command would write.
func checkEdit(t testing.TB, f *Edit) {
	t.Helper()
	text := "\n"
	for _, r := range f.Records() {
		text += string(must(r.MarshalJSON())) + "\n"
	}
	s, err := readSet(strings.NewReader(text), "keys.jsonl", 0)
	if err != nil {
		t.Fatal(err)
	}
	if s.Len() != len(f.Records()) {
		t.Fatalf("%d keys of %d", s.Len(), len(f.Records()))
	}
}

func actions(results []ImportResult) string {
	text := ""
	for _, r := range results {
		text += fmt.Sprintf("%d:%s ", r.Line, r.Action)
	}
	return strings.TrimSpace(text)
}

// The example of AWS's page on the format.
func TestTheExampleOfAWS(t *testing.T) {
	t.Parallel()
	f := newEdit(t, "")
	results := imported(t, f, "Name,key,description,Enabled,usageplanIds\nMyFirstApiKey,apikey1234abcdefghij0123456789,An imported key,TRUE,c7y23b\n")
	if len(results) != 1 || results[0].Action != ImportAdded || results[0].Line != 2 || results[0].Note != "" || results[0].Name != "MyFirstApiKey" {
		t.Fatalf("%+v", results)
	}
	r, ok := f.FindHash(DigestOf("apikey1234abcdefghij0123456789"))
	if !ok || r.ID != results[0].ID || len(r.ID) != 10 || r.Name != "MyFirstApiKey" || r.Consumer != "MyFirstApiKey" ||
		r.Description != "An imported key" || r.Disabled || fmt.Sprint(r.Scopes) != "[c7y23b]" ||
		!r.Created.Equal(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)) || !r.Expires.IsZero() {
		t.Errorf("%+v", r)
	}
}

func TestTheFormsOfAWSKeyFiles(t *testing.T) {
	t.Parallel()
	key := awsKey(1)
	for _, row := range []struct{ what, text, want string }{
		{"Name and Key alone", "Name,Key\nn," + key + "\n", "n||true|"},
		{"columns in another order and case", "USAGEPLANIDS,kEy,eNABLED,description,NAME\np1," + key + ",false,d,n\n", "n|d|false|p1"},
		{"spaces around", " Name , Key , Enabled \n n , " + key + " , FALSE \n", "n||false|"},
		{"a byte order mark", "\ufeffName,Key\nn," + key + "\n", "n||true|"},
		{"lines of Windows", "Name,Key,Description\r\nn," + key + ",d\r\n", "n|d|true|"},
		{"no newline at the end", "Name,Key\nn," + key, "n||true|"},
		{"blank lines", "\nName,Key\n\nn," + key + "\n\n", "n||true|"},
		{"an unknown column", "Id,Name,Created,Key\nx,n,2020-01-01," + key + "\n", "n||true|"},
		{"an unknown column twice", "x,x,Name,Key\n1,2,n," + key + "\n", "n||true|"},
		{"Enabled true", "Name,Key,Enabled\nn," + key + ",true\n", "n||true|"},
		{"Enabled False", "Name,Key,Enabled\nn," + key + ",False\n", "n||false|"},
		{"Enabled blank", "Name,Key,Enabled\nn," + key + ",\n", "n||true|"},
		{"fewer fields than columns", "Name,Key,Description,Enabled,UsagePlanIds\nn," + key + "\n", "n||true|"},
		{"a comma in double quotes", "Name,Key,Description\n\"a, b\"," + key + ",d\n", "a, b|d|true|"},
		{"quotes inside", "Name,Key,Description\nn," + key + ",\"say \"\"hi\"\"\"\n", `n|say "hi"|true|`},
		{"two lines in a field", "Name,Key,Description\nn," + key + ",\"a\nb\"\n", "n|a\nb|true|"},

		{"plans in double quotes at the end", "Name,Key,UsagePlanIds\nn," + key + ",\"p1,p2\"\n", "n||true|p1 p2"},
		{"plans in double quotes in the middle", "Name,UsagePlanIds,Key\nn,\"p1,p2\"," + key + "\n", "n||true|p1 p2"},
		{"plans in single quotes at the end", "Name,Key,UsagePlanIds\nn," + key + ",'p1,p2'\n", "n||true|p1 p2"},
		{"three in the middle", "Name,UsagePlanIds,Key,Description\nn,'p1,p2,p3'," + key + ",d\n", "n|d|true|p1 p2 p3"},
		{"in front", "UsagePlanIds,Name,Key\n'p1,p2',n," + key + "\n", "n||true|p1 p2"},
		{"with spaces", "Name,UsagePlanIds,Key\nn, ' p1 , p2 ' ," + key + "\n", "n||true|p1 p2"},
		{"one in single quotes", "Name,UsagePlanIds,Key\nn,'p1'," + key + "\n", "n||true|p1"},
		{"none in single quotes", "Name,UsagePlanIds,Key\nn,''," + key + "\n", "n||true|"},
		{"single quotes and fewer fields", "Name,Key,UsagePlanIds,Description,Enabled\nn," + key + ",'p1,p2'\n", "n||true|p1 p2"},
		{"single quotes and a later field that ends in one", "Name,Key,UsagePlanIds,Description\nn," + key + ",'p1,p2',the boys'\n", "n|the boys'|true|p1 p2"},
		{"empty plans between", "Name,Key,UsagePlanIds\nn," + key + ",\",p1,,p2,\"\n", "n||true|p1 p2"},
	} {
		rows, err := ReadImport([]byte(row.text), ImportOptions{})
		if err != nil || len(rows) != 1 || rows[0].Refused != nil {
			t.Errorf("%s: %v %+v", row.what, err, rows)
			continue
		}
		r := rows[0].Record
		got := fmt.Sprintf("%s|%s|%v|%s", r.Name, r.Description, !r.Disabled, strings.Join(r.Scopes, " "))
		if got != row.want || r.Hash != DigestOf(key) || r.ID != "" {
			t.Errorf("%s: %s, want %s", row.what, got, row.want)
		}
	}
}

func TestRowsThatAreRefused(t *testing.T) {
	t.Parallel()
	key := awsKey(1)
	for _, row := range []struct{ what, header, row, want string }{
		{"19 characters", "Name,Key", "n," + key[:19], "Key has 19 characters, and keys that are made here have at least 20; --allow-short takes it over"},
		{"129 characters", "Name,Key", "n," + strings.Repeat(key, 4)[:129], "Key has 129 characters; AWS API Gateway's have 20 to 128"},
		{"no key", "Name,Key", "n,", "Key is empty"},
		{"a row of one field", "Name,Key", "n", "Key is empty"},
		{"a space in the key", "Name,Key", "n," + key[:20] + " " + key[20:], "Key: an API key is visible ASCII"},
		{"a letter outside ASCII", "Name,Key", "n," + key + "é", "Key: an API key is visible ASCII"},
		{"a hash for a key", "Name,Key", "n," + DigestOf(key).String(), "Key: it is already a hash"},
		{"Enabled yes", "Name,Key,Enabled", "n," + key + ",yes", "Enabled is neither true nor false"},
		{"Enabled 1", "Name,Key,Enabled", "n," + key + ",1", "Enabled is neither true nor false"},
		{"too many fields", "Name,Key", "n," + key + ",x", "it has 3 fields, and the header has 2"},
		{"plans without quotes", "Name,Key,UsagePlanIds", "n," + key + ",p1,p2", "it has 4 fields, and the header has 3"},
		{"a quote that does not end", "Name,Key,UsagePlanIds,Description", "n," + key + ",'p1,p2", "UsagePlanIds: the opening quote is not closed"},
		{"a quote alone", "Name,Key,UsagePlanIds", "n," + key + ",'", "UsagePlanIds: the opening quote is not closed"},
		{"a list and too many fields", "Name,Key,UsagePlanIds", "n," + key + ",'p1,p2',x", "it has 4 fields, and the header has 3"},
		{"a plan of two words", "Name,Key,UsagePlanIds", "n," + key + ",a b", "UsagePlanIds: a plan's id is one word"},
		{"101 plans", "Name,Key,UsagePlanIds", "n," + key + ",\"" + strings.Repeat("p,", 101) + "\"", "UsagePlanIds: there are 101 plans"},
		{"Name and Key swapped", "Name,Key", key + ",n", "Name and Key seem to be swapped"},
		{"swapped, with spaces in the name", "Name,Key", key + ",a partner of ours indeed", "Name and Key seem to be swapped"},
		{"the key as its name", "Name,Key", key + "," + key, "Name or Description contains the key itself"},
		{"the key in its name", "Name,Key", "of " + key + "," + key, "Name or Description contains the key itself"},
		{"the key in its description", "Name,Key,Description", "n," + key + ",made as " + key, "Name or Description contains the key itself"},
		{"the key for a plan", "Name,Key,UsagePlanIds", "n," + awsKey(3) + "," + key[:20] + " " + key[20:], "UsagePlanIds: a plan's id is one word"},
		{"no key, and the key for a name", "Name,Key", key + ",", "Key is empty"},
		{"swapped, with a name that could be a key", "Name,Key", "aB3" + key + ",customer-production-eu-west-1", "Name and Key seem to be swapped"},
		{"too long a name", "Name,Key", strings.Repeat("é", 1025) + "," + key, "Name: it is longer than 1024 characters"},
		{"too long a description", "Name,Key,Description", "n," + key + "," + strings.Repeat("é", 4097), "Description: it is longer than 4096 characters"},
	} {
		good := "good," + awsKey(2)
		rows, err := ReadImport([]byte(row.header+"\n"+row.row+"\n"+good+"\n"), ImportOptions{})
		if err != nil || len(rows) != 2 || rows[0].Refused == nil || rows[1].Refused != nil {
			t.Errorf("%s: %v %+v", row.what, err, rows)
			continue
		}
		if !strings.HasPrefix(rows[0].Refused.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.what, rows[0].Refused, row.want)
		}
		f := newEdit(t, "")
		results := f.Import(rows, time.Now())
		if actions(results) != "2:skipped 3:added" || len(f.Records()) != 1 {
			t.Errorf("%s: %s", row.what, actions(results))
		}
		if text := fmt.Sprintf("%+v", results); strings.Contains(text, key[:10]) || len(text) > 600 {
			t.Errorf("%s: the results show the key, or are long: %s", row.what, text)
		}
	}
	for _, n := range []int{20, 128} {
		rows, err := ReadImport([]byte("Name,Key\nn,"+strings.Repeat(key, 4)[:n]), ImportOptions{})
		if err != nil || rows[0].Refused != nil {
			t.Errorf("%d characters: %v %v", n, err, rows)
		}
	}
}

func TestFilesThatCantBeImported(t *testing.T) {
	t.Parallel()
	key := awsKey(1)
	const missing = "; AWS API Gateway's key file has Name and Key and may have Description, Enabled and UsagePlanIds"
	for _, row := range []struct{ what, text, want string }{
		{"nothing", "", "it is empty"},
		{"white space", " \r\n\t", "it is empty"},
		{"a byte order mark", "\ufeff", "it is empty"},
		{"UTF-16 of Windows", "\xff\xfeN\x00a\x00m\x00e\x00", "it is UTF-16"},
		{"UTF-16 the other way round", "\xfe\xff\x00N\x00a\x00m\x00e", "it is UTF-16"},
		{"Latin-1", "Name,Key\nM\xfcller," + key + "\n", "it is not UTF-8"},
		{"Enable for Enabled", "Name,Key,Enable\nn," + key + ",FALSE\n", `unknown column "Enable": is Enabled meant?`},
		{"Disabled", "Name,Key,Disabled\nn," + key + ",TRUE\n", `unknown column "Disabled": is Enabled meant?`},
		{"Usage Plan Ids", "Name,Key,Usage Plan Ids\nn," + key + ",p\n", `unknown column "Usage Plan Ids": is UsagePlanIds meant?`},
		{"another tool's", "username,consumer_id,created\nn,x,2020\n", `column Name is missing` + missing + `; this one has "username", "consumer_id", "created"`},
		{"no key column", "Name,Description\nn,d\n", `column Key is missing` + missing + `; this one has "Name", "Description"`},
		{"no name column", "Key,Description\n" + key + ",d\n", `column Name is missing` + missing + `; this one has "Key", "Description"`},
		{"Api Key for Key", "Name,Api Key\nn," + key + "\n", `column Key is missing` + missing + `; this one has "Name", "Api Key"`},
		{"AWS's answer in JSON", `{"items": [` + "\n" + `{"name": "n", "value": "` + key + `"}]}`, "it is a JSON array or a JSON export; convert it to CSV"},
		{"a JSON array", `[{"name": "n", "value": "` + key + `"}]`, "it is a JSON array or a JSON export; convert it to CSV"},
		{"semicolons", "Name;Key\nn;" + key + "\n", `column Name is missing` + missing + `; the fields are not separated by commas`},
		{"tabs", "Name\tKey\nn\t" + key + "\n", `column Name is missing` + missing + `; the fields are not separated by commas`},
		{"semicolons without a header", "n;" + key + "\nm;" + key + "\n", `column Name is missing` + missing + `; the fields are not separated by commas`},
		{"no header", "n," + key + "\nm," + awsKey(2) + "\n", `column Name is missing` + missing + `; the first line must name the columns`},
		{"keys alone", key + "\n" + awsKey(2) + "\n", `column Name is missing` + missing + `; the first line must name the columns`},
		{"lines of the old Macs", "Name,Key\rn," + key + "\r", `column Key is missing` + missing + `; the first line must name the columns`},
		{"a column twice", "Name,Key,KEY\nn," + key + "," + key + "\n", "duplicate column KEY"},
		{"a bare quote", "Name,Key\nn," + key[:20] + "\"" + key[20:] + "\n", "line 2: invalid CSV"},
		{"a quote that does not end", "Name,Key\nn,\"" + key + "\n", "line 2: invalid CSV"},
		{"a bare quote in the header", "Na\"me,Key\n", "line 1: invalid CSV"},
		{"many columns", strings.Repeat("c,", 50), "column Name is missing"},
	} {
		rows, err := ReadImport([]byte(row.text), ImportOptions{})
		if err == nil {
			t.Errorf("%s: no error, %d rows", row.what, len(rows))
			continue
		}
		if !strings.HasPrefix(err.Error(), row.want) {
			t.Errorf("%s: %v, want %s", row.what, err, row.want)
		}
		if strings.Contains(err.Error(), key[:10]) || len(err.Error()) > 400 {
			t.Errorf("%s: the error shows the key, or is long: %v", row.what, err)
		}
	}
}

func TestAnImportTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	text := "Name,Key,Description,Enabled,UsagePlanIds\n" +
		"n1," + awsKey(1) + ",d1,true,p1\nn2," + awsKey(2) + ",d2,FALSE,\"p1,p2\"\nn1," + awsKey(3) + ",,,\n" + strings.Repeat("é", 600) + "," + awsKey(4) + ",,,\n"
	f := newEdit(t, "")
	first := imported(t, f, text)
	if got := actions(first); got != "2:added 3:added 4:added 5:added" {
		t.Errorf("at first: %s", got)
	}
	before := fmt.Sprintf("%+v", f.Records())
	again := imported(t, f, text)
	if got := actions(again); got != "2:unchanged 3:unchanged 4:unchanged 5:unchanged" {
		t.Errorf("again: %s", got)
	}
	if after := fmt.Sprintf("%+v", f.Records()); after != before {
		t.Errorf("again:\n%s, want\n%s", after, before)
	}
	for i := range first {
		if first[i].ID != again[i].ID || first[i].ID == "" {
			t.Errorf("line %d: the id was %q and is %q", first[i].Line, first[i].ID, again[i].ID)
		}
	}
}

func TestAnImportOfAKeyThatIsThere(t *testing.T) {
	t.Parallel()
	start := func() *Edit {
		f := newEdit(t, "")
		imported(t, f, "Name,Key,Description,Enabled,UsagePlanIds\nold,"+awsKey(1)+",text,false,p1\n")
		r, _ := f.FindHash(DigestOf(awsKey(1)))
		r.Expires = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		must(0, f.Put(r))
		return f
	}
	for _, row := range []struct{ what, text, action, want string }{
		{"nothing but the key: a disabled one stays so", "Name,Key\nold," + awsKey(1), "2:unchanged", "old|text|true|p1"},
		{"Enabled blank", "Name,Key,Enabled\nold," + awsKey(1) + ",", "2:unchanged", "old|text|true|p1"},
		{"Enabled true does not enable it", "Name,Key,Enabled\nold," + awsKey(1) + ",TRUE", "2:unchanged", "old|text|true|p1"},
		{"another name", "Name,Key\nnew," + awsKey(1), "2:updated", "new|text|true|p1"},
		{"no name", "Name,Key\n," + awsKey(1), "2:unchanged", "old|text|true|p1"},
		{"another description", "Name,Key,Description\nold," + awsKey(1) + ",new", "2:updated", "old|new|true|p1"},
		{"other plans", "Name,Key,UsagePlanIds\nold," + awsKey(1) + ",\"p2,p3\"", "2:updated", "old|text|true|p2 p3"},
		{"no plan any more", "Name,Key,UsagePlanIds\nold," + awsKey(1) + ",", "2:updated", "old|text|true|"},
		{"a row that is refused", "Name,Key,Enabled\nnew," + awsKey(1) + ",maybe", "2:skipped", "old|text|true|p1"},
		{"twice: the later one counts", "Name,Key\nx," + awsKey(1) + "\ny," + awsKey(1), "2:superseded 3:updated", "y|text|true|p1"},
	} {
		f := start()
		id := f.Records()[0].ID
		if got := actions(imported(t, f, row.text)); got != row.action {
			t.Errorf("%s: %s, want %s", row.what, got, row.action)
		}
		r := f.Records()[0]
		got := fmt.Sprintf("%s|%s|%v|%s", r.Name, r.Description, r.Disabled, strings.Join(r.Scopes, " "))
		if got != row.want {
			t.Errorf("%s: %s, want %s", row.what, got, row.want)
		}
		if len(f.Records()) != 1 || r.ID != id || r.Consumer != "old" || r.Expires.Year() != 2030 || r.Created.Year() != 2026 {
			t.Errorf("%s: something else has changed: %+v", row.what, f.Records())
		}
	}
}

// Of two equal keys the later row counts, whatever else it says.
func TestTheLaterOfTwoEqualKeysCounts(t *testing.T) {
	t.Parallel()
	f := newEdit(t, "")
	results := imported(t, f, "Name,Key,Enabled\nfirst,"+awsKey(1)+",true\nother,"+awsKey(2)+",true\nlast,"+awsKey(1)+",false\nbad,"+awsKey(1)+",oops\n")
	if got := actions(results); got != "2:superseded 3:added 4:added 5:skipped" {
		t.Error(got)
	}
	if results[0].Note != "line 4 has the same key" {
		t.Error(results[0].Note)
	}
	if r, _ := f.FindHash(DigestOf(awsKey(1))); r.Name != "last" || r.Consumer != "last" || !r.Disabled {
		t.Errorf("%+v", r)
	}
}

// Who holds a key decides what it may do: an import must not make one user of
// two.
func TestTheConsumersOfImportedKeys(t *testing.T) {
	t.Parallel()
	const there = `{"id":"k1","name":"Alice's key","consumer":"alice","hash":"` + someHash + `"}` + "\n"
	for _, row := range []struct{ what, there, rows, want string }{
		{"one key a name", "", "a,1 b,2", "a b"},
		{"two of one name", "", "a,1 a,2 b,3", "- - b"},
		{"the same key twice is one", "", "a,1 a,1", "a"},
		{"a name that comes with another name's later row", "", "a,1 b,1 b,2", "- -"},
		{"a name that is only in a superseded row", "", "b,1 a,1 b,2", "a b"},
		{"the name of a key that is there", there, "Alice's key,1", "alice -"},
		{"the consumer of a key that is there", there, "alice,1", "alice -"},
		{"the id of a key without a consumer", keyLines("k1"), "k1,1", "- -"},
		{"another case is another name", there, "Alice,1", "alice Alice"},
		{"no name", "", ",1 ,2", "- -"},
		{"a name that can't be a consumer", "", strings.Repeat("é", 600) + ",1", "-"},
	} {
		f := newEdit(t, row.there)
		text := "Name,Key\n"
		for _, r := range strings.Fields(strings.ReplaceAll(row.rows, "Alice's key", "Alice's_key")) {
			name, n, _ := strings.Cut(strings.ReplaceAll(r, "_", " "), ",")
			text += name + "," + awsKey(int(n[0])) + "\n"
		}
		for again := range 2 {
			imported(t, f, text)
			got := ""
			for _, r := range f.Records() {
				if r.Consumer == "" {
					r.Consumer = "-"
				}
				got += r.Consumer + " "
			}
			if strings.TrimSpace(got) != row.want {
				t.Errorf("%s (%d): %s, want %s", row.what, again, got, row.want)
			}
		}
	}
}

func TestAWeakKeyIsImportedWithANote(t *testing.T) {
	t.Parallel()
	results := imported(t, newEdit(t, ""), "Name,Key\nn,aaaaaaaaaabbbbbbbbbb\nm,"+awsKey(1)+"\n")
	if results[0].Action != ImportAdded || !strings.Contains(results[0].Note, "could be guessed") || results[1].Note != "" {
		t.Errorf("%+v", results)
	}
}

func TestLinesOfAKeyFileAreImported(t *testing.T) {
	t.Parallel()
	line := func(id, of string) string {
		return `{"id":"` + id + `","name":"n","hash":"` + DigestOf("key of "+of).String() + `","meta":{"n":1.0}}` + "\n"
	}
	for _, row := range []struct{ what, there, text, want, ids string }{
		{"new ones", "", line("a", "a") + line("b", "b"), "1:added 2:added", "ab"},
		{"blank lines, no newline at the end, lines of Windows", "", "\r\n" + strings.ReplaceAll(line("a", "a"), "\n", "\r\n") + strings.TrimSpace(line("b", "b")), "2:added 3:added", "ab"},
		{"a byte order mark", "", "\ufeff" + line("a", "a"), "1:added", "a"},
		{"the same again", line("a", "a"), line("a", "a"), "1:unchanged", "a"},
		{"another form of the same", keyLines("a"), `{"hash":"` + record("a").Hash.String() + `" , "id":"a"}`, "1:unchanged", "a"},
		{"changed", keyLines("a"), line("a", "a"), "1:updated", "a"},
		{"a bad line among good ones", "", line("a", "a") + "{}\n" + line("b", "b"), "1:added 2:skipped 3:added", "ab"},
		{"the key under another id", line("a", "a"), line("b", "a"), "1:skipped", "a"},
		{"another key under the id", line("a", "a"), line("a", "b"), "1:skipped", "a"},
		{"two keys of one id", "", line("a", "a") + line("a", "b"), "1:added 2:skipped", "a"},
		{"one key of two ids: the later one counts", "", line("a", "a") + line("b", "a"), "1:superseded 2:added", "b"},
	} {
		f := newEdit(t, row.there)
		if got := actions(imported(t, f, row.text)); got != row.want {
			t.Errorf("%s: %s, want %s", row.what, got, row.want)
		}
		ids := ""
		for _, r := range f.Records() {
			ids += r.ID
		}
		if ids != row.ids {
			t.Errorf("%s: the keys %s, want %s", row.what, ids, row.ids)
		}
	}
	f := newEdit(t, "")
	imported(t, f, line("a", "a"))
	r, _ := f.Find("a")
	if r.Consumer != "" || !r.Created.IsZero() || string(r.Meta.AppendJSON(nil)) != `{"n":1.0}` {
		t.Errorf("a record was changed: %+v", r)
	}
}

func TestTheNotesOfAnImport(t *testing.T) {
	t.Parallel()
	disabled := `{"id":"a","name":"n","hash":"` + DigestOf(awsKey(1)).String() + `","enabled":false}` + "\n"
	const stays = "it is disabled here and stays so; `caddy jwt api-key enable a` enables it"
	for _, row := range []struct{ what, there, text, want string }{
		{"enabled in the import", disabled, "Name,Key,Enabled\nn," + awsKey(1) + ",true", "unchanged: " + stays},
		{"enabled in a line", disabled, strings.Replace(disabled, "false", "true", 1), "unchanged: " + stays},
		{"enabled, with another name", disabled, "Name,Key,Enabled\nm," + awsKey(1) + ",true", "updated: changed: name; " + stays},
		{"not said", disabled, "Name,Key\nn," + awsKey(1), "unchanged: "},
		{"all", strings.Replace(disabled, "false", "true", 1), "Name,Key,Description,Enabled,UsagePlanIds\nm," + awsKey(1) + ",d,false,p", "updated: changed: name, description, scopes, disabled"},
		{"a line of another key's expiry", disabled, strings.Replace(disabled, "}", `,"expires":"2030-01-01T00:00:00Z","meta":{"a":1},"consumer":"c"}`, 1), "updated: changed: consumer, expires, meta"},
	} {
		f := newEdit(t, row.there)
		results := imported(t, f, row.text)
		if got := results[0].Action + ": " + results[0].Note; got != row.want {
			t.Errorf("%s: %s, want %s", row.what, got, row.want)
		}
	}
}

func TestARowThatIsTooLongIsRefusedAlone(t *testing.T) {
	t.Parallel()
	long := `{"id":"a","hash":"` + DigestOf("a").String() + `","scopes":["` + strings.Repeat("s", maxLine) + `"]}` + "\n"
	results := imported(t, newEdit(t, ""), long+keyLines("b"))
	if got := actions(results); got != "1:skipped 2:added" || !strings.Contains(results[0].Note, "longer than 64 KiB") {
		t.Errorf("%s: %.200s", got, results[0].Note)
	}
}

func TestTheNameOfARefusedLineIsCut(t *testing.T) {
	t.Parallel()
	results := imported(t, newEdit(t, ""), `{"id":"a","name":"`+strings.Repeat("n", 2000)+`"}`+"\n")
	if len(results) != 1 || len(results[0].Name) > 50 {
		t.Errorf("%+v", results)
	}
}

// Anyone who reads the report learns of each key whose consumer is not its name.
func TestWhyAConsumerIsNotTheName(t *testing.T) {
	t.Parallel()
	f := newEdit(t, "")
	results := imported(t, f, "Name,Key\n"+
		"shop,"+awsKey(1)+"\nshop,"+strings.Repeat("ab", 10)+"\n,"+awsKey(3)+"\n"+strings.Repeat("é", 1000)+","+awsKey(4)+"\npartner,"+awsKey(5)+"\n")
	for n, want := range []struct{ note, consumer string }{
		{"several keys have this name, so the consumer is the key's id", ""},
		{"the key has few different characters and could be guessed; give its holder a new one; several keys have this name, so the consumer is the key's id", ""},
		{"it has no name, so the consumer is the key's id", ""},
		{"the name is not a valid consumer, so the consumer is the key's id", ""},
		{"", "partner"},
	} {
		r, ok := f.Find(results[n].ID)
		if !ok || results[n].Action != ImportAdded || results[n].Note != want.note || r.Consumer != want.consumer {
			t.Errorf("line %d: %+v, consumer %q; want %+v", results[n].Line, results[n], r.Consumer, want)
		}
	}
}

// TestShortKeysAreImportedOnRequest: keys of 6 to 19 characters are taken over where the
// operator says so, and marked.
func TestShortKeysAreImportedOnRequest(t *testing.T) {
	t.Parallel()
	const text = "Name,Key\na,aB3xY\nb,aB3xY9\nc,aB3xY9dE2fG7hJ4kL5m\nd,aB3xY9dE2fG7hJ4kL5mN\n"
	for _, c := range []struct {
		allow       bool
		want, short string
	}{
		{false, "2:skipped 3:skipped 4:skipped 5:added", "false false false false"},
		{true, "2:skipped 3:added 4:added 5:added", "false true true false"},
	} {
		rows, err := ReadImport([]byte(text), ImportOptions{AllowShort: c.allow})
		if err != nil {
			t.Fatal(err)
		}
		results := newEdit(t, "").Import(rows, time.Now())
		if got := actions(results); got != c.want {
			t.Errorf("allowed %v: %s, want %s", c.allow, got, c.want)
		}
		var short []string
		for _, r := range results {
			short = append(short, fmt.Sprint(r.Short))
			if r.Short != strings.Contains(r.Note, "shorter than 20 characters") {
				t.Errorf("line %d: the note is %q", r.Line, r.Note)
			}
		}
		if got := strings.Join(short, " "); got != c.short {
			t.Errorf("allowed %v: short %s, want %s", c.allow, got, c.short)
		}
	}
}
