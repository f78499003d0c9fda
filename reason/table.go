package reason

import "slices"

// Entry is what the table says of a reason, or of a detail of one.
type Entry struct {
	// ID names the detail, such as alg_missing. It is stable. It is empty for the reason
	// itself.
	ID string
	// Code is the reason.
	Code Code
	// Text is the detail as logs have it, with the name of a parameter in braces. It is
	// empty for the reason itself.
	Text string
	// Meaning says what it means, in a sentence without a period.
	Meaning string
	// Remedy says what to do, for the operator, in one or two sentences. It is plain text
	// with options and commands in backticks.
	Remedy string
	// See are sections of the reference to read, such as directive.md#max_token_size.
	See []string
}

// Describe returns the entry of a detail; without a detail, or with one that is not in the
// table, as that of another version may not be, that of the reason. ok is false if there is
// no such reason.
func Describe(code Code, detail string) (e Entry, ok bool) {
	if detail != "" {
		for _, e := range details {
			if e.Code == code && e.matches(detail) {
				return *e, true
			}
		}
	}
	e, ok = codes[code]
	e.Code = code
	return e, ok
}

// Remedy says what to do about a refusal, for the operator: what the table says of the
// detail, or else of the reason. It is empty if there is no such reason.
func Remedy(code Code, detail string) string {
	e, _ := Describe(code, detail)
	return e.Remedy
}

// Details returns the entries of all details: by reason, in the order of All.
func Details() []Entry {
	list := make([]Entry, 0, len(details))
	for _, code := range All {
		for _, e := range details {
			if e.Code == code {
				list = append(list, *e)
			}
		}
	}
	return slices.Clip(list)
}

// details are the entries of details.go and detailsmessages.go, in their order.
var details []*Entry

// fixed adds a detail to the table.
func fixed(e Entry) *Detailed {
	details = append(details, &e)
	return &Detailed{&e, e.Text}
}

// template adds a detail with a parameter to the table.
func template(e Entry) Template {
	details = append(details, &e)
	return Template{&e}
}
