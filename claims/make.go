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
	v := Value{kind: Object, parts: make([]member, len(members))}
	for i, m := range members {
		v.parts[i] = member{m.Name, m.Value}
	}
	return v
}

// TextList makes an Array of Strings.
func TextList(texts []string) Value {
	v := Value{kind: Array, parts: make([]member, len(texts))}
	for i, text := range texts {
		v.parts[i].value = TextValue(text)
	}
	return v
}
