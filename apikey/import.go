package apikey

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ImportRow is a row or line of a file of keys that is being imported.
type ImportRow struct {
	// Line is its line, counted from 1.
	Line int
	// Name is the key's name in that file.
	Name string
	// Record is what it becomes, without an id where the file gives none.
	Record Record
	// Refused is why it can't be imported, nil if it can.
	Refused error

	// Which members the row replaces in an existing record of the same key.
	hasDescription, hasEnabled, hasPlans bool
	weak, short                          bool
}

// ImportOptions change what is imported.
type ImportOptions struct {
	// AllowShort takes over keys of 6 to 19 characters, too.
	AllowShort bool
}

// ReadImport reads keys to import: the CSV that AWS API Gateway exports, or the
// lines of a key file. A row that can't be imported has Refused set; the
// error is for a file that can't be read at all, such as the CSV of another program.
func ReadImport(content []byte, options ImportOptions) ([]ImportRow, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	switch {
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		return nil, errors.New("it is UTF-16; save it as UTF-8")
	case !utf8.Valid(content):
		return nil, errors.New("it is not UTF-8; save it as UTF-8")
	case len(bytes.TrimSpace(content)) == 0:
		return nil, errors.New("it is empty; export the keys once more")
	case bytes.TrimSpace(content)[0] == '[':
		return nil, errJSONExport
	case bytes.TrimSpace(content)[0] == '{':
		if isExport(content) {
			return nil, errJSONExport
		}
		return readLines(content), nil
	}
	least := MinLength
	if options.AllowShort {
		least = ShortLength
	}
	return readCSV(content, least)
}

// errJSONExport is the error for JSON that is not a key file, such as the answer of AWS's
// get-api-keys.
var errJSONExport = errors.New("it is a JSON array or a JSON export; convert it to CSV with the columns Name and Key, and optionally Description, Enabled and UsagePlanIds, as docs/guides/from-aws-api-gateway.md shows")

// isExport reports whether the content is the one object of an export rather than the
// lines of a key file.
func isExport(content []byte) bool {
	var export struct {
		Items []json.RawMessage `json:"items"`
	}
	return json.Unmarshal(content, &export) == nil && export.Items != nil
}

// readLines reads the lines of a key file.
func readLines(content []byte) []ImportRow {
	var rows []ImportRow
	for n, line := range bytes.Split(content, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		r, err := ParseRecord(line)
		rows = append(rows, ImportRow{Line: n + 1, Name: shownName(r.Name, err), Record: r, Refused: err})
	}
	return rows
}

// ImportResult is what was done with a row.
type ImportResult struct {
	// Line is where the row stands, from 1.
	Line int `json:"line"`
	// Name is the key's name in the imported file.
	Name string `json:"name,omitempty"`
	// ID is the key's id in the key file.
	ID string `json:"id,omitempty"`
	// Action is added, updated, unchanged, superseded (the same key comes
	// again further down) or skipped.
	Action string `json:"action"`
	// Note says why, or what to mind.
	Note string `json:"note,omitempty"`
	// Short reports whether the key has fewer than 20 characters.
	Short bool `json:"short,omitempty"`
}

// The actions of an import.
const (
	ImportAdded      = "added"
	ImportUpdated    = "updated"
	ImportUnchanged  = "unchanged"
	ImportSuperseded = "superseded"
	ImportSkipped    = "skipped"
)

// Import adds rows to the file and returns the result of each. Of two rows with the same
// key the later one is used. now is the creation time of new keys.
func (f *Edit) Import(rows []ImportRow, now time.Time) []ImportResult {
	last := map[Digest]int{}
	for n, row := range rows {
		if row.Refused == nil {
			last[row.Record.Hash] = n
		}
	}
	// How many keys have a name, be it that of another's consumer.
	names := map[string]int{}
	for _, r := range f.Records() {
		names[r.Name]++
		if r.Consumer == "" {
			r.Consumer = r.ID
		}
		if r.Consumer != r.Name {
			names[r.Consumer]++
		}
	}
	for d, n := range last {
		if _, have := f.FindHash(d); !have {
			names[rows[n].Record.Name]++
		}
	}
	results := make([]ImportResult, len(rows))
	for n, row := range rows {
		r := ImportResult{Line: row.Line, Name: row.Name}
		switch {
		case row.Refused != nil:
			r.Action, r.Note = ImportSkipped, row.Refused.Error()
		case last[row.Record.Hash] != n:
			r.Action, r.Note = ImportSuperseded, fmt.Sprintf("line %d has the same key", rows[last[row.Record.Hash]].Line)
		default:
			f.importRow(&row, &r, names[row.Record.Name] > 1, now)
		}
		results[n] = r
	}
	return results
}

// importRow imports one row. shared reports whether several keys have its name.
func (f *Edit) importRow(row *ImportRow, result *ImportResult, shared bool, now time.Time) {
	record := row.Record
	if row.weak {
		result.Note = "the key has few different characters and could be guessed; give its holder a new one"
	}
	result.Short = row.short
	if row.short {
		result.Note = joinNotes(result.Note, fmt.Sprintf("the key is shorter than %d characters and could be guessed; give its holder a new one", MinLength))
	}
	old, have := f.FindHash(record.Hash)
	if have && (record.ID == old.ID || record.ID == "") && old.Disabled && !record.Disabled {
		// It was disabled for a reason that an export, which may be older,
		// does not know.
		record.Disabled = true
		if row.hasEnabled || record.ID != "" {
			result.Note = joinNotes(result.Note, fmt.Sprintf("it is disabled here and stays so; `caddy jwt api-key enable %s` enables it", old.ID))
		}
	}
	switch {
	case have && record.ID == "":
		record = old.updatedBy(row)
	case have && record.ID != old.ID:
		result.Action, result.Note = ImportSkipped, "the file already has this key, as "+old.ID
		return
	case record.ID == "":
		record.ID, record.Created = f.newID(), now.UTC().Truncate(time.Second)
		switch {
		case record.Name == "":
			result.Note = joinNotes(result.Note, "it has no name, so the consumer is the key's id")
		case CheckConsumer(record.Name) != nil:
			result.Note = joinNotes(result.Note, "the name is not a valid consumer, so the consumer is the key's id")
		case shared:
			// Two of one name may be two customers. They must not become one
			// user for anyone who asks who is calling.
			result.Note = joinNotes(result.Note, "several keys have this name, so the consumer is the key's id")
		default:
			record.Consumer = record.Name
		}
	default:
		if other, taken := f.Find(record.ID); taken && other.Hash != record.Hash {
			result.Action, result.Note = ImportSkipped, "the file has another key with this id"
			return
		}
	}
	result.ID = record.ID
	result.Action = ImportAdded
	if have {
		if result.Action = ImportUpdated; old.equal(record) {
			result.Action = ImportUnchanged
			return
		}
		result.Note = joinNotes("changed: "+strings.Join(old.changes(record), ", "), result.Note)
	}
	if err := f.Put(record); err != nil {
		result.Action, result.Note = ImportSkipped, err.Error()
	}
}

// updatedBy is an older record of a key with what a row says of it.
func (r Record) updatedBy(row *ImportRow) Record {
	if row.Name != "" {
		r.Name = row.Name
	}
	if row.hasDescription {
		r.Description = row.Record.Description
	}
	r.Disabled = r.Disabled || row.Record.Disabled
	if row.hasPlans {
		r.Scopes = row.Record.Scopes
	}
	return r
}

// changes names the members in which another record of the key differs.
func (r Record) changes(other Record) []string {
	var names []string
	for _, m := range []struct {
		name string
		same bool
	}{
		{"name", r.Name == other.Name}, {"description", r.Description == other.Description},
		{"consumer", r.Consumer == other.Consumer}, {"scopes", slices.Equal(r.Scopes, other.Scopes)},
		{map[bool]string{true: "disabled", false: "enabled"}[other.Disabled], r.Disabled == other.Disabled},
		{"created", r.Created.Equal(other.Created)}, {"expires", r.Expires.Equal(other.Expires)},
		{"meta", bytes.Equal(r.Meta.AppendJSON(nil), other.Meta.AppendJSON(nil))},
	} {
		if !m.same {
			names = append(names, m.name)
		}
	}
	return names
}

// note joins two notes, of which each may be empty.
func joinNotes(first, second string) string {
	if first != "" && second != "" {
		return first + "; " + second
	}
	return first + second
}

func (r Record) equal(other Record) bool {
	a, errA := r.MarshalJSON()
	b, errB := other.MarshalJSON()
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// newID makes an id that the file does not have.
func (f *Edit) newID() string {
	for {
		id := newID()
		if _, taken := f.Find(id); !taken {
			return id
		}
	}
}
