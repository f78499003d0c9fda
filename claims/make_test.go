package claims

import "testing"

func TestAMadeObjectReadsAsAParsedOne(t *testing.T) {
	t.Parallel()
	made := ObjectValue(
		Member{"sub", TextValue(`a "quoted" näme`)},
		Member{"meta", parse(t, `{"n":1.50,"list":[1,null,true]}`)},
		Member{"empty", ObjectValue()},
	)
	const text = `{"sub":"a \"quoted\" näme","meta":{"n":1.50,"list":[1,null,true]},"empty":{}}`
	if got := string(made.AppendJSON(nil)); got != text {
		t.Errorf("%s, want %s", got, text)
	}
	if made.Kind() != Object || made.Len() != 3 || made.NameAt(0) != "sub" {
		t.Errorf("%v with %d members", made.Kind(), made.Len())
	}
	sub, ok := made.Member("sub")
	if text, isText := sub.Text(); !ok || !isText || text != `a "quoted" näme` {
		t.Errorf("sub: %q %v %v", text, ok, isText)
	}
	if _, ok := made.Member("SUB"); ok {
		t.Error("another case of a name is found")
	}
	n, ok := made.Lookup("meta.n")
	if digits, isNumber := n.Digits(); !ok || !isNumber || digits != "1.50" {
		t.Errorf("meta.n: %s %v", digits, ok)
	}
}

func TestAMadeObjectDoesNotChangeWithItsMembers(t *testing.T) {
	t.Parallel()
	members := []Member{{"a", TextValue("1")}}
	v := ObjectValue(members...)
	members[0] = Member{"b", TextValue("2")}
	if got := string(v.AppendJSON(nil)); got != `{"a":"1"}` {
		t.Error(got)
	}
}
