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
		if len(strings.TrimSpace(field)) >= MinLength {
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
	err := checkRecordText(name, maxName, "")
	row.Name = shownName(name, err)
	if err != nil {
		return fmt.Errorf("Name: %w", err)
	}
	switch {
	case len(key) > 128:
		return fmt.Errorf("Key has %d characters; AWS API Gateway's have 20 to 128", len(key))
	}
	if err := CheckText(key); err != nil {
		return fmt.Errorf("Key: %w", err)
	}
	row.weak = Weak(key)
	row.Record = Record{Name: name, Description: strings.Clone(field("description")), Hash: DigestOf(key)}
	row.hasDescription = row.Record.Description != ""
	if err := checkRecordText(row.Record.Description, maxDescription, lineBreaks); err != nil {
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
	if len(row.Record.Scopes) > maxScopes {
		return fmt.Errorf("UsagePlanIds: there are %d plans; %d are the most", len(row.Record.Scopes), maxScopes)
	}
	if CheckScopes(row.Record.Scopes) != nil {
		// Not shown: it may be what belongs into another column.
		return errors.New(`UsagePlanIds: a plan's id is one word of visible ASCII without " and \, such as abc123; divide them with commas`)
	}
	return nil
}

// swapped tells whether a row has the key where the name belongs.
func swapped(name, key string) bool {
	if CheckText(name) != nil || Weak(name) || key == "" {
		return false
	}
	return len(key) < MinLength || strings.Contains(key, " ") || looksRandom(name) && !looksRandom(key)
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
	case looksLikeKey(name) || IsDigest(name):
		return ""
	case refused != nil:
		return cut(name, 40)
	}
	return name
}
