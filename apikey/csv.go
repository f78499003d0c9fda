package apikey

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

//lint:file-ignore ST1005 errors about a row begin with the name of its column

// awsColumns are the columns of AWS API Gateway's key file, folded. See
// https://docs.aws.amazon.com/apigateway/latest/developerguide/api-key-file-format.html
var awsColumns = []string{"name", "key", "description", "enabled", "usageplanids"}

func readCSV(content []byte, least int) ([]ImportRow, error) {
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
			row.Refused = row.read(fields, columns, least)
		}
		rows = append(rows, row)
	}
}

// csvError returns where the CSV is invalid, without its content, which may be a key.
func csvError(err error) error {
	if e, ok := errors.AsType[*csv.ParseError](err); ok {
		return fmt.Errorf("line %d: invalid CSV: %w", e.Line, e.Err)
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
		if meant := similarColumn(folded); meant != "" {
			return nil, 0, fmt.Errorf("unknown column %s: is %s meant? Write that, or remove the column, as it would be ignored", Quote(name), meant)
		}
		for _, known := range awsColumns {
			if known != folded {
				continue
			}
			if _, twice := columns[known]; twice {
				return nil, 0, fmt.Errorf("duplicate column %s; remove one", name)
			}
			columns[known] = n
		}
	}
	for _, needed := range []string{"Name", "Key"} {
		if _, ok := columns[strings.ToLower(needed)]; ok {
			continue
		}
		err := fmt.Errorf("column %s is missing; AWS API Gateway's key file has Name and Key and may have Description, Enabled and UsagePlanIds", needed)
		if len(header) == 1 && strings.ContainsAny(header[0], ";\t|") {
			return nil, 0, fmt.Errorf("%w; the fields are not separated by commas; save it with commas", err)
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

// similarColumn returns the optional column that a misspelled name may stand for. Ignoring
// it would enable a disabled key, or lose its plans.
func similarColumn(folded string) string {
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

// looksLikeKeys reports whether a header may be a row, whose key must not be shown.
func looksLikeKeys(header []string) bool {
	for _, field := range header {
		if len(strings.TrimSpace(field)) >= MinLength {
			return true
		}
	}
	return false
}

// joinPlans joins a list of usage plans in single quotes, which CSV has split at its
// commas.
func joinPlans(fields []string, columns map[string]int, width int) ([]string, error) {
	if at, ok := columns["usageplanids"]; ok && at < len(fields) && strings.HasPrefix(strings.TrimSpace(fields[at]), "'") {
		end := at
		for !closesPlans(fields[end], end == at) {
			if end++; end == len(fields) {
				return nil, errors.New("UsagePlanIds: the opening quote is not closed")
			}
		}
		joined := append([]string{}, fields[:at]...)
		joined = append(joined, strings.Join(fields[at:end+1], ","))
		fields = append(joined, fields[end+1:]...)
	}
	if len(fields) > width {
		return nil, fmt.Errorf("it has %d fields, and the header has %d; quote fields that contain commas", len(fields), width)
	}
	return fields, nil
}

// closesPlans reports whether the quote of a list ends in this field; first reports
// whether it also begins there.
func closesPlans(field string, first bool) bool {
	field = strings.TrimSpace(field)
	return strings.HasSuffix(field, "'") && (!first || len(field) > 1)
}

// read makes a record of a row. Its errors don't show the key.
func (row *ImportRow) read(fields []string, columns map[string]int, least int) error {
	field := func(name string) string {
		if at, ok := columns[name]; ok && at < len(fields) {
			return strings.TrimSpace(fields[at])
		}
		return ""
	}
	key, name := field("key"), strings.Clone(field("name"))
	if swapped(name, key, least) {
		return errors.New("Name and Key seem to be swapped: the Name looks like a key, and the Key does not; change the header or the row")
	}
	if key == "" {
		return errors.New("Key is empty") // and the Name may be the key
	}
	err := checkRecordText(name, maxName, "")
	row.Name = shownName(name, err)
	if err != nil {
		return fmt.Errorf("Name: %w", err)
	}
	switch {
	case len(key) > 128:
		return fmt.Errorf("Key has %d characters; AWS API Gateway's have 20 to 128", len(key))
	}
	if n := len(key); least == MinLength && n >= ShortLength && n < MinLength {
		return fmt.Errorf("Key has %d characters, and keys that are made here have at least %d; --allow-short takes it over", n, MinLength)
	}
	if err := checkText(key, least); err != nil {
		return fmt.Errorf("Key: %w", err)
	}
	row.short = len(key) < MinLength
	row.weak = Weak(key)
	row.Record = Record{Name: name, Description: strings.Clone(field("description")), Hash: DigestOf(key)}
	row.hasDescription = row.Record.Description != ""
	if err := checkRecordText(row.Record.Description, maxDescription, lineBreaks); err != nil {
		return fmt.Errorf("Description: %w", err)
	}
	if strings.Contains(row.Record.Description, key) || strings.Contains(name, key) {
		row.Name = ""
		return errors.New("Name or Description contains the key itself, which must not be stored; write another text")
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
	if len(row.Record.Scopes) > maxScopes {
		return fmt.Errorf("UsagePlanIds: there are %d plans; at most %d are allowed", len(row.Record.Scopes), maxScopes)
	}
	if CheckScopes(row.Record.Scopes) != nil {
		// Not shown: it may be what belongs into another column.
		return errors.New(`UsagePlanIds: a plan's id is one word of visible ASCII without " and \, such as abc123; separate them with commas`)
	}
	return nil
}

// swapped reports whether a row has the key where the name belongs.
func swapped(name, key string, least int) bool {
	if CheckText(name) != nil || Weak(name) || key == "" {
		return false
	}
	return len(key) < least || strings.Contains(key, " ") || looksRandom(name) && !looksRandom(key)
}

// looksRandom reports whether a text looks generated rather than chosen by a person: it
// has lower case, upper case and digits, and no separators.
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

// shownName returns a name for the list of imported keys, shortened if it was refused.
func shownName(name string, refused error) string {
	switch {
	case looksLikeKey(name) || IsDigest(name):
		return ""
	case refused != nil:
		return cut(name, 40)
	}
	return name
}
