package claims

// Member is a member of an object that is made instead of parsed.
type Member struct {
	Name  string
	Value Value
}

// TextValue returns a String.
func TextValue(text string) Value { return Value{kind: String, text: text} }

// ObjectValue returns an Object. The names must be distinct.
func ObjectValue(members ...Member) Value {
	return makeValue(Object, append([]Member(nil), members...))
}

// TextList returns an Array of Strings.
func TextList(texts []string) Value {
	elements := make([]Member, len(texts))
	for i, text := range texts {
		elements[i].Value = TextValue(text)
	}
	return makeValue(Array, elements)
}

func makeValue(kind Kind, members []Member) Value {
	v := Value{kind: kind, n: uint32(len(members))}
	if v.n > 0 {
		v.doc = &document{made: members}
	}
	return v
}
