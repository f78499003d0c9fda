// Package claims parses the JSON of a token's header and claims strictly, keeping
// each number digit for digit, and looks up and renders single values of it.
//
// It imports no other package of this project.
package claims

// Kind is the JSON type of a Value (RFC 8259 section 3).
type Kind uint8

// The kinds of value. The zero Value is null.
const (
	Null Kind = iota
	Bool
	Number
	String
	Array
	Object
)

// Value is a JSON value. It is immutable and shares memory with the text that it
// was parsed from.
type Value struct {
	doc      *document // of an Array or Object; nil for an empty one from TextList or ObjectValue
	text     string    // the text of a String, the digits of a Number
	first, n uint32    // the elements or members of an Array or Object in the document
	kind     Kind
	truth    bool
}

// Kind returns the value's JSON type.
func (v Value) Kind() Kind { return v.kind }

// Text returns the text of a String, unescaped; false for every other kind.
func (v Value) Text() (string, bool) { return v.text, v.kind == String }

// Digits returns a Number as it was written; false for every other kind.
func (v Value) Digits() (string, bool) { return v.text, v.kind == Number }

// True returns the truth of a Bool; ok is false for every other kind.
func (v Value) True() (truth, ok bool) { return v.truth, v.kind == Bool }

// Len returns the number of elements of an Array or of members of an Object, else
// 0.
func (v Value) Len() int { return int(v.n) }

// At returns the element of an Array, or the value of the member of an
// Object, at index i, which must be less than Len.
func (v Value) At(i int) Value {
	if v.doc != nil && v.doc.made != nil {
		return v.doc.made[i].Value
	}
	return v.doc.value(&v.nodes()[i])
}

// NameAt returns the name of the member of an Object at index i, which must
// be less than Len.
func (v Value) NameAt(i int) string {
	if v.doc != nil && v.doc.made != nil {
		return v.doc.made[i].Name
	}
	return v.doc.nameOf(&v.nodes()[i])
}

// Member returns the member of an Object. Names are compared byte for byte:
// "EXP" is not "exp". There is at most one, as the parser refuses duplicates.
func (v Value) Member(name string) (Value, bool) {
	if v.kind != Object {
		return Value{}, false
	}
	for i := range v.Len() {
		if v.NameAt(i) == name {
			return v.At(i), true
		}
	}
	return Value{}, false
}

// Footprint returns how many bytes of memory the document of a parsed value takes,
// not counting the text that it was parsed from.
func (v Value) Footprint() int {
	if v.doc == nil {
		return 0
	}
	return documentBytes + nodeBytes*cap(v.doc.nodes) + len(v.doc.decoded)
}

// nodes returns the elements or members.
func (v Value) nodes() []node {
	if v.doc == nil {
		return nil
	}
	return v.doc.nodes[v.first : v.first+v.n]
}
