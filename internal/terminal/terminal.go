// Package terminal makes text from outside safe to show on a terminal: the errors of
// other servers, key ids, what files contain. Control characters could move the cursor,
// overwrite what is shown, or make the terminal type an answer; characters that change
// the direction of text, or that can't be seen, could make one name look like another.
package terminal

import (
	"io"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns text in one line in which every character that is not visible, and is no
// space, is replaced by its escape as in JSON, such as \u001b. What is not UTF-8 becomes
// \ufffd.
func Text(text string) string {
	for _, c := range text {
		if !strconv.IsGraphic(c) || c == utf8.RuneError {
			return string(appendSafe(nil, []byte(text), ""))
		}
	}
	return text
}

// Writer writes text to a terminal like Text, but keeps tabs and the ends of lines. As the
// escapes are those of JSON, JSON stays what it is.
type Writer struct {
	out  io.Writer
	rest []byte // the beginning of a character whose end is still to come
}

// NewWriter returns a Writer to out.
func NewWriter(out io.Writer) *Writer { return &Writer{out: out} }

// Write implements io.Writer.
func (w *Writer) Write(text []byte) (int, error) {
	all := append(w.rest, text...)
	whole := len(all)
	for at := max(0, whole-utf8.UTFMax+1); at < whole; at++ {
		if utf8.RuneStart(all[at]) && !utf8.FullRune(all[at:]) {
			whole = at
		}
	}
	_, err := w.out.Write(appendSafe(nil, all[:whole], "\t\n"))
	w.rest = append([]byte(nil), all[whole:]...)
	if err != nil {
		return 0, err
	}
	return len(text), nil
}

// appendSafe appends text with escapes, except for the characters in keep.
func appendSafe(to, text []byte, keep string) []byte {
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		switch {
		case c == utf8.RuneError && size == 1:
			to = append(to, `\ufffd`...)
		case strconv.IsGraphic(c) || keeps(keep, c):
			to = append(to, text[:size]...)
		case c > 0xffff:
			high, low := utf16.EncodeRune(c)
			to = appendEscape(appendEscape(to, high), low)
		default:
			to = appendEscape(to, c)
		}
		text = text[size:]
	}
	return to
}

func keeps(keep string, c rune) bool {
	for _, k := range keep {
		if k == c {
			return true
		}
	}
	return false
}

func appendEscape(to []byte, c rune) []byte {
	const digits = "0123456789abcdef"
	return append(to, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}
