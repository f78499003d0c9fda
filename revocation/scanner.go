package revocation

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// scanner reads a line from the left to the right.
type scanner struct {
	text string
	at   int
}

func (s *scanner) error(want string) error {
	return fmt.Errorf("%s is missing at byte %d", want, s.at)
}

func (s *scanner) space() {
	for s.at < len(s.text) && (s.text[s.at] == ' ' || s.text[s.at] == '\t' || s.text[s.at] == '\r' || s.text[s.at] == '\n') {
		s.at++
	}
}

// take takes white space and the byte c, if it comes next.
func (s *scanner) take(c byte) bool {
	if s.space(); s.at == len(s.text) || s.text[s.at] != c {
		return false
	}
	s.at++
	return true
}

// name reads the name of a member and the colon behind it.
func (s *scanner) name() (string, error) {
	name, err := s.string()
	if err == nil && !s.take(':') {
		err = s.error("a colon")
	}
	return name, err
}

// string reads a string.
func (s *scanner) string() (string, error) {
	if !s.take('"') {
		return "", s.error("a string")
	}
	for i := s.at; i < len(s.text); i++ {
		switch c := s.text[i]; {
		case c == '"':
			text := s.text[s.at:i]
			if s.at = i + 1; !utf8.ValidString(text) {
				return "", errors.New("it is not valid UTF-8")
			}
			return text, nil
		case c == '\\':
			return s.escaped()
		case c < ' ':
			return "", errors.New("there is a control character in a string")
		}
	}
	return "", s.error("an end of a string")
}

// escaped reads a string with escapes, whose first quotation mark is read.
func (s *scanner) escaped() (string, error) {
	for i := s.at; i < len(s.text); i++ {
		switch s.text[i] {
		case '\\':
			i++
		case '"':
			quoted := s.text[s.at-1 : i+1]
			if !utf8.ValidString(quoted) {
				return "", errors.New("it is not valid UTF-8")
			}
			var text string
			if err := json.Unmarshal([]byte(quoted), &text); err != nil {
				return "", err
			}
			// Half of a surrogate pair becomes U+FFFD, and so two texts one.
			if replaced := string(utf8.RuneError); strings.Count(text, replaced) != strings.Count(quoted, replaced) {
				return "", errors.New("there is half of a surrogate pair in a string")
			}
			s.at = i + 1
			return text, nil
		}
	}
	return "", s.error("an end of a string")
}

// number reads a whole number from 0 to most.
func (s *scanner) number(most int64) (int64, error) {
	s.space()
	from := s.at
	var n int64
	for ; s.at < len(s.text) && '0' <= s.text[s.at] && s.text[s.at] <= '9'; s.at++ {
		if n = 10*n + int64(s.text[s.at]-'0'); n > most {
			return 0, fmt.Errorf("the number at byte %d is more than %d", from, most)
		}
	}
	if s.at == from || s.text[from] == '0' && s.at > from+1 {
		return 0, s.error("a whole number")
	}
	return n, nil
}

// latest is the last second of the year 9999, up to which times can be written in RFC 3339.
const latest = 253402300799

// time reads a time in seconds since 1970.
func (s *scanner) time() (time.Time, error) {
	n, err := s.number(latest)
	if err == nil && n == 0 {
		err = errors.New("a time must be after 1970")
	}
	return time.Unix(n, 0).UTC(), err
}

func (s *scanner) bool() (bool, error) {
	s.space()
	for _, text := range [...]string{"true", "false"} {
		if strings.HasPrefix(s.text[s.at:], text) {
			s.at += len(text)
			return text == "true", nil
		}
	}
	return false, s.error("true or false")
}
