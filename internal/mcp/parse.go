package mcp

import (
	"bytes"
	"encoding/json"
	"math"
	"net/http"
	"unicode/utf8"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// maxID is the length of an id that is repeated in an answer, in bytes; others are answered
// like none.
const maxID = 256

// Parse reads the message in the body of a POST that Check has passed, and compares it with the
// headers. What it returns shares no memory with the body but for the ids.
//
// It refuses every body that another reader may understand in another way: JSON that is not
// strict, members that are duplicate at any level or that look like others, a method beside a
// result. A batch is refused if one of its messages is.
func Parse(r *http.Request, body []byte) (*Message, *Fault) {
	h, err := readHeaders(r.Header)
	if err != nil {
		return nil, &Fault{Err: err, ID: idOf(body)}
	}
	switch {
	case len(body) > math.MaxUint32:
		return nil, &Fault{Err: reason.MessageBounds}
	case !utf8.Valid(body) || bytes.HasPrefix(body, []byte("\uFEFF")):
		return nil, &Fault{Err: reason.MessageEncoding, notJSON: true}
	}
	s := newScanner(body)
	defer s.free()
	m := new(Message)
	switch s.space(); s.peek() {
	case '{':
		if f := s.message(&h, m, 1); f != nil {
			return nil, f
		}
	case '[':
		if f := s.batch(&h, m); f != nil {
			return nil, f
		}
	default:
		if s.value(1) {
			s.wrong(reason.MessageType)
		}
		return nil, s.faulty(nil)
	}
	if s.space(); s.at < len(body) {
		s.syntax()
		return nil, s.faulty(m.ID)
	}
	return m, nil
}

// idOf returns the id of a message whose headers are refused before it is read.
func idOf(body []byte) json.RawMessage {
	if len(body) > math.MaxUint32 || !utf8.Valid(body) {
		return nil
	}
	s := newScanner(body)
	defer s.free()
	if s.space(); s.peek() != '{' {
		return nil
	}
	s.found = [fields]span{}
	if !s.object(1, messageObject) || s.fault != nil {
		return nil
	}
	return s.id()
}

func (s *scanner) faulty(id json.RawMessage) *Fault {
	if s.notJSON {
		id = nil
	}
	return &Fault{Err: s.fault, ID: id, notJSON: s.notJSON}
}

// batch reads several messages.
func (s *scanner) batch(h *headers, m *Message) *Fault {
	m.Batch = true
	if s.enter(1); s.peek() == ']' {
		s.at++
		s.wrong(reason.EmptyBatch)
		return s.faulty(nil)
	}
	for n := 1; ; n++ {
		switch {
		case n > maxMessages:
			s.wrong(reason.MessageBounds)
		case h.version.there && needsHeaders(h.version.value):
			s.wrong(reason.BatchVersion)
		case s.peek() != '{':
			if s.value(2) {
				s.wrong(reason.MessageType)
			}
		}
		if s.fault != nil {
			return s.faulty(nil)
		}
		if f := s.message(h, m, 2); f != nil {
			f.ID = nil
			return f
		}
		s.space()
		switch s.peek() {
		case ',':
			s.at++
			s.space()
		case ']':
			s.at++
			m.ID = nil
			return nil
		default:
			s.syntax()
			return s.faulty(nil)
		}
	}
}

// message reads one message, and adds it to m if it is a call.
func (s *scanner) message(h *headers, m *Message, depth int) *Fault {
	s.found = [fields]span{}
	if !s.object(depth, messageObject) {
		return s.faulty(nil)
	}
	m.ID = s.id()
	if s.fault == nil {
		s.judge(h, m)
	}
	if s.fault != nil {
		return s.faulty(m.ID)
	}
	return nil
}

// id returns the id of the message as it is written.
func (s *scanner) id() json.RawMessage {
	v := s.found[theID]
	if !v.there() || v.to-v.from > maxID {
		return nil
	}
	switch c := s.body[v.from]; {
	case c == '"':
		// A client that gets an unpaired surrogate back may not know it again.
		if _, ok := s.text(v); !ok {
			return nil
		}
	case c != '-' && (c < '0' || c > '9'):
		return nil
	}
	return s.body[v.from:v.to:v.to]
}
