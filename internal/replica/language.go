package replica

import "errors"

// Language is what the facts of a set are. The facts are a set: their order, repetition
// and age don't matter.
type Language[F any] interface {
	// Parse reads the line of a fact, without its newline. ErrUnknownKind is the error
	// for a well-formed fact of a kind that this version does not know: it is kept as
	// it is, and not applied. Any other error means that the object is damaged. F may
	// not share the memory of the line.
	Parse(line []byte) (F, error)
	// Append appends the line of a fact, without a newline. Equal facts have equal
	// lines.
	Append(line []byte, f F) []byte
	// End returns the time from which a fact no longer matters, in seconds since
	// 1970, or 0 for never.
	End(f F) int64
	// Merge returns what still matters of the union of some objects. What it leaves
	// out must be implied by what it returns, whatever other facts there are: a rule
	// whose removal is among them, say. It may reorder facts, and there may be
	// duplicates among them.
	Merge(facts []F) []F
}

// ErrUnknownKind is the error of Language.Parse for a kind of fact of a newer version.
var ErrUnknownKind = errors.New("unknown kind of fact")
