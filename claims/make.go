package claims

// Member is a member of an object that is made rather than parsed.
type Member struct {
	Name  string
	Value Value
}

// TextValue makes a String.
func TextValue(text string) Value { return Value{kind: String, text: text} }

// ObjectValue makes an Object. The names must differ.
func ObjectValue(members ...Member) Value {
	return made(Object, append([]Member(nil), members...))
}

// TextList makes an Array of Strings.
func TextList(texts []string) Value {
	elements := make([]Member, len(texts))
	for i, text := range texts {
		elements[i].Value = TextValue(text)
	}
	return made(Array, elements)
}

func made(kind Kind, members []Member) Value {
	v := Value{kind: kind, n: uint32(len(members))}
	if v.n > 0 {
		v.doc = &document{made: members}
	}
	return v
}
