package keystore

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

//lint:file-ignore ST1005 errors about a row begin with the name of its column

// ImportRow is a row or line of a file of keys that is being imported.
type ImportRow struct {
	// Line is where it stands, from 1.
	Line int
	// Name is the key's name in that file.
	Name string
	// Record is what it becomes, without an id where the file gives none.
	Record APIKeyRecord
	// Refused says why it can't be taken, nil if it can.
	Refused error

	// What an older record of the same key loses to the row; the rest of it
	// stays.
	hasDescription, hasEnabled, hasPlans bool
	weak                                 bool
}

// ReadImport reads keys to import: the CSV that AWS API Gateway exports, or the
// lines of a key file. A row that can't be taken says so itself; the error is for
// a file that can't be read at all, such as the CSV of another program.
func ReadImport(content []byte) ([]ImportRow, error) {
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	switch {
	case bytes.HasPrefix(content, []byte{0xff, 0xfe}) || bytes.HasPrefix(content, []byte{0xfe, 0xff}):
		return nil, errors.New("it is UTF-16; save it as UTF-8")
	case !utf8.Valid(content):
		return nil, errors.New("it is no UTF-8; save it as UTF-8")
	case len(bytes.TrimSpace(content)) == 0:
		return nil, errors.New("it is empty; export the keys once more")
	case bytes.TrimSpace(content)[0] == '[':
		return nil, errNoTable
	case bytes.TrimSpace(content)[0] == '{':
		if isExport(content) {
			return nil, errNoTable
		}
		return readLines(content), nil
	}
	return readCSV(content)
}

// errNoTable tells of JSON that is no key file, such as the answer of AWS's
// get-api-keys.
var errNoTable = errors.New("it is a JSON array or an export in JSON; make a CSV of it with the columns Name and Key, and Description, Enabled and UsagePlanIds if they are known")

// isExport tells the one object of an export from the lines of a key file.
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
		r, err := ParseAPIKeyRecord(line)
		rows = append(rows, ImportRow{Line: n + 1, Name: shownName(r.Name, err), Record: r, Refused: err})
	}
	return rows
}

// awsColumns are the columns of AWS API Gateway's key file, folded. See
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html
var awsColumns = []string{"name", "key", "description", "enabled", "usageplanids"}

func readCSV(content []byte) ([]ImportRow, error) {
	reader := csv.NewReader(bytes.NewReader(content))
	reader.FieldsPerRecord = -1
	reader.ReuseRecord = true
	header, err := reader.Read()
	if err != nil {
		return nil, csvError(err)
	}
	columns, width, err := awsHeader(header)
	if err != nil {
		return nil, err
	}
	var rows []ImportRow
	for {
		fields, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, csvError(err)
		}
		line, _ := reader.FieldPos(0)
		row := ImportRow{Line: line}
		if fields, row.Refused = joinPlans(fields, columns, width); row.Refused == nil {
			row.Refused = row.read(fields, columns)
		}
		rows = append(rows, row)
	}
}

// csvError says where the form of the CSV is broken, and not what stands there.
func csvError(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d: it is no CSV there: %w", e.Line, e.Err)
	}
	return err
}

// awsHeader finds the columns, in any order and case.
func awsHeader(header []string) (columns map[string]int, width int, err error) {
	columns = map[string]int{}
	var names []string
	for n, name := range header {
		name = strings.TrimSpace(name)
		names = append(names, strconv.Quote(cut(name, 40)))
		folded := strings.ToLower(name)
		if meant := nearColumn(folded); meant != "" {
			return nil, 0, fmt.Errorf("there is no column %s: is %s meant? Write that, or take the column out, as it would be passed over", Quote(name), meant)
		}
		for _, known := range awsColumns {
			if known != folded {
				continue
			}
			if _, twice := columns[known]; twice {
				return nil, 0, fmt.Errorf("the column %s is there twice; remove one", name)
			}
			columns[known] = n
		}
	}
	for _, needed := range []string{"Name", "Key"} {
		if _, ok := columns[strings.ToLower(needed)]; ok {
			continue
		}
		err := fmt.Errorf("there is no column %s; AWS API Gateway's key file has Name and Key and may have Description, Enabled and UsagePlanIds", needed)
		if len(header) == 1 && strings.ContainsAny(header[0], ";\t|") {
			return nil, 0, fmt.Errorf("%w; the fields are divided by another character than a comma: save it with commas", err)
		}
		if len(names) > 12 {
			names = append(names[:12], "…")
		}
		if looksLikeKeys(header) {
			return nil, 0, fmt.Errorf("%w; the first line must name the columns", err)
		}
		return nil, 0, fmt.Errorf("%w; this one has %s", err, strings.Join(names, ", "))
	}
	return columns, len(header), nil
}

// nearColumn finds the optional column that a misspelled one may be meant to be. To
// pass it over would enable a key that is not, or lose its plans.
func nearColumn(folded string) string {
	letters := strings.Map(func(c rune) rune {
		if c < 'a' || c > 'z' {
			return -1
		}
		return c
	}, folded)
	switch {
	case slices.Contains(awsColumns, folded):
		return ""
	case strings.HasPrefix(letters, "enabl"), strings.HasPrefix(letters, "isenabl"), strings.HasPrefix(letters, "disabl"), strings.HasPrefix(letters, "isdisabl"):
		return "Enabled"
	case strings.HasPrefix(letters, "usageplan"), strings.HasPrefix(letters, "plan"):
		return "UsagePlanIds"
	}
	return ""
}

// looksLikeKeys tells whether a header may be a row, whose key must not be shown.
func looksLikeKeys(header []string) bool {
	for _, field := range header {
		if len(strings.TrimSpace(field)) >= MinAPIKeyLength {
			return true
		}
	}
	return false
}

// joinPlans puts a list of usage plans together again that stands in single
// quotes, which CSV does not know: its commas have divided it.
func joinPlans(fields []string, columns map[string]int, width int) ([]string, error) {
	if at, ok := columns["usageplanids"]; ok && at < len(fields) && strings.HasPrefix(strings.TrimSpace(fields[at]), "'") {
		end := at
		for !closesPlans(fields[end], end == at) {
			if end++; end == len(fields) {
				return nil, errors.New("UsagePlanIds: the quote at its beginning has none at its end")
			}
		}
		joined := append([]string{}, fields[:at]...)
		joined = append(joined, strings.Join(fields[at:end+1], ","))
		fields = append(joined, fields[end+1:]...)
	}
	if len(fields) > width {
		return nil, fmt.Errorf("it has %d fields, and the header %d; put quotes around a field that holds commas", len(fields), width)
	}
	return fields, nil
}

// closesPlans tells whether the quote of a list ends in this field; first tells
// that it begins there.
func closesPlans(field string, first bool) bool {
	field = strings.TrimSpace(field)
	return strings.HasSuffix(field, "'") && (!first || len(field) > 1)
}

// read makes a record of a row. Its errors don't show the key.
func (row *ImportRow) read(fields []string, columns map[string]int) error {
	field := func(name string) string {
		if at, ok := columns[name]; ok && at < len(fields) {
			return strings.TrimSpace(fields[at])
		}
		return ""
	}
	key, name := field("key"), strings.Clone(field("name"))
	if swapped(name, key) {
		return errors.New("Name and Key seem to be swapped: the Name looks like a key, and the Key does not; change the header or the row")
	}
	if key == "" {
		return errors.New("Key is empty") // and the Name may be the key
	}
	err := checkRecordText(name, maxAPIKeyName, "")
	row.Name = shownName(name, err)
	if err != nil {
		return fmt.Errorf("Name: %w", err)
	}
	switch {
	case len(key) > 128:
		return fmt.Errorf("Key has %d characters; AWS API Gateway's have 20 to 128", len(key))
	}
	if err := CheckAPIKey(key); err != nil {
		return fmt.Errorf("Key: %w", err)
	}
	row.weak = WeakAPIKey(key)
	row.Record = APIKeyRecord{Name: name, Description: strings.Clone(field("description")), Hash: DigestOf(key)}
	row.hasDescription = row.Record.Description != ""
	if err := checkRecordText(row.Record.Description, maxAPIKeyDescription, lineBreaks); err != nil {
		return fmt.Errorf("Description: %w", err)
	}
	if strings.Contains(row.Record.Description, key) || strings.Contains(name, key) {
		row.Name = ""
		return errors.New("Name or Description holds the key itself, which must not be kept; write another text")
	}
	switch enabled := field("enabled"); {
	case enabled == "": // AWS counts it as true
	case strings.EqualFold(enabled, "true"):
		row.hasEnabled = true
	case strings.EqualFold(enabled, "false"):
		row.hasEnabled, row.Record.Disabled = true, true
	default:
		return errors.New("Enabled is neither true nor false; write TRUE or FALSE")
	}
	_, row.hasPlans = columns["usageplanids"]
	for plan := range strings.SplitSeq(strings.Trim(field("usageplanids"), `'"`), ",") {
		if plan = strings.TrimSpace(plan); plan != "" {
			row.Record.Scopes = append(row.Record.Scopes, strings.Clone(plan))
		}
	}
	if len(row.Record.Scopes) > maxAPIKeyScopes {
		return fmt.Errorf("UsagePlanIds: there are %d plans; %d are the most", len(row.Record.Scopes), maxAPIKeyScopes)
	}
	if CheckScopes(row.Record.Scopes) != nil {
		// Not shown: it may be what belongs into another column.
		return errors.New(`UsagePlanIds: a plan's id is one word of visible ASCII without " and \, such as abc123; divide them with commas`)
	}
	return nil
}

// swapped tells whether a row has the key where the name belongs.
func swapped(name, key string) bool {
	if CheckAPIKey(name) != nil || WeakAPIKey(name) || key == "" {
		return false
	}
	return len(key) < MinAPIKeyLength || strings.Contains(key, " ") || looksRandom(name) && !looksRandom(key)
}

// looksRandom tells a text as services make keys of from one that somebody has
// thought of: it has small letters, capitals and digits, and is not divided.
func looksRandom(text string) bool {
	var small, capital, digit bool
	for _, c := range []byte(text) {
		switch {
		case c >= 'a' && c <= 'z':
			small = true
		case c >= 'A' && c <= 'Z':
			capital = true
		case c >= '0' && c <= '9':
			digit = true
		case c == '-' || c == '.' || c == ' ':
			return false
		}
	}
	return small && capital && digit
}

// shownName is a name for a list of what was imported, cut if it was refused.
func shownName(name string, refused error) string {
	switch {
	case looksLikeAPIKey(name) || IsDigest(name):
		return ""
	case refused != nil:
		return cut(name, 40)
	}
	return name
}

// ImportResult says what became of a row.
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
}

// The actions of an import.
const (
	ImportAdded      = "added"
	ImportUpdated    = "updated"
	ImportUnchanged  = "unchanged"
	ImportSuperseded = "superseded"
	ImportSkipped    = "skipped"
)

// Import takes rows over into the file, the later of two with the same key, and
// says of each what became of it. now is when new keys are said to have been
// made.
func (f *KeyFile) Import(rows []ImportRow, now time.Time) []ImportResult {
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

// importRow takes one row over. shared tells that several keys have its name.
func (f *KeyFile) importRow(row *ImportRow, result *ImportResult, shared bool, now time.Time) {
	record := row.Record
	if row.weak {
		result.Note = "the key has few different characters and could be guessed; give its holder a new one"
	}
	old, have := f.FindHash(record.Hash)
	if have && (record.ID == old.ID || record.ID == "") && old.Disabled && !record.Disabled {
		// It was disabled for a reason that an export, which may be older,
		// does not know.
		record.Disabled = true
		if row.hasEnabled || record.ID != "" {
			result.Note = note(result.Note, fmt.Sprintf("it is disabled here and stays so; `caddy jwt api-key enable %s` enables it", old.ID))
		}
	}
	switch {
	case have && record.ID == "":
		record = old.updatedBy(row)
	case have && record.ID != old.ID:
		result.Action, result.Note = ImportSkipped, "the file has this key already, as "+old.ID
		return
	case record.ID == "":
		record.ID, record.Created = f.newID(), now.UTC().Truncate(time.Second)
		switch {
		case CheckConsumer(record.Name) != nil:
		case shared:
			// Two of one name may be two customers. They must not become one
			// user for whoever asks who is calling.
			result.Note = "several keys have this name, so the consumer is the key's id"
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
		result.Note = note("changed: "+strings.Join(old.changes(record), ", "), result.Note)
	}
	if err := f.Put(record); err != nil {
		result.Action, result.Note = ImportSkipped, err.Error()
	}
}

// updatedBy is an older record of a key with what a row says of it.
func (r APIKeyRecord) updatedBy(row *ImportRow) APIKeyRecord {
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
func (r APIKeyRecord) changes(other APIKeyRecord) []string {
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
func note(first, second string) string {
	if first != "" && second != "" {
		return first + "; " + second
	}
	return first + second
}

func (r APIKeyRecord) equal(other APIKeyRecord) bool {
	a, errA := r.MarshalJSON()
	b, errB := other.MarshalJSON()
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// newID makes an id that the file does not have.
func (f *KeyFile) newID() string {
	for {
		id := NewAPIKeyID()
		if _, taken := f.Find(id); !taken {
			return id
		}
	}
}
