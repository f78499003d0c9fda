package mcp

import (
	"bytes"
	"slices"
	"unicode"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// call is a call, and what headers are compared with.
type call struct {
	Call
	hasID   bool
	known   *known
	version string // that of _meta
}

// judge judges the message whose members have been found.
func (s *scanner) judge(h *headers, m *Message) {
	if version, ok := s.text(s.found[theVersion]); !ok || string(version) != "2.0" {
		s.wrong(reason.MessageType)
		return
	}
	c := call{Call: Call{ID: m.ID}}
	if v := s.found[theID]; v.there() {
		switch s.body[v.from] {
		case '{', '[', 't', 'f':
			s.wrong(reason.MessageID)
			return
		}
		c.hasID = s.body[v.from] != 'n'
	}
	if v := s.found[theParams]; v.there() && !s.isObject(v) {
		s.wrong(reason.ParamsType)
		return
	}
	responds := s.found[theResult].there() || s.found[theError].there()
	switch {
	case s.found[theMethod].there() && responds:
		s.wrong(reason.CallAndResponse)
	case s.found[theMethod].there():
		if s.readMethod(&c) && s.readMeta(&c) && s.readName(&c) {
			if err := s.compare(h, &c); err != nil {
				s.wrong(err)
				return
			}
			m.Calls = append(m.Calls, c.Call)
		}
	case !responds:
		s.wrong(reason.NeitherCallNorResponse)
	case h.method.there:
		s.wrong(h.method.differs)
	case h.name.there:
		s.wrong(h.name.differs)
	}
}

// readMethod reads the method.
func (s *scanner) readMethod(c *call) bool {
	text, ok := s.text(s.found[theMethod])
	if !ok || !isName(text) {
		s.wrong(reason.MessageMethod)
		return false
	}
	if c.known = knownMethods[string(text)]; c.known != nil {
		c.Method, c.folded = c.known.method, c.known.folded
		return true
	}
	c.Method = string(text)
	if knownLetters[letters(c.Method)] {
		s.wrong(reason.MethodFolded)
		return false
	}
	c.folded, c.known = fold(c.Method), &unknown
	return true
}

// isName reports whether a text can be a name: not empty nor of any length, and without control
// characters, at which C programs end a text and logs a line.
func isName(text []byte) bool {
	return len(text) > 0 && len(text) <= maxName && !bytes.ContainsFunc(text, unicode.IsControl)
}

// readMeta reads the version of the protocol in _meta.
func (s *scanner) readMeta(c *call) bool {
	if v := s.found[paramMeta]; v.there() && !s.isObject(v) {
		s.wrong(reason.MetaType)
		return false
	}
	if v := s.found[metaVersion]; v.there() {
		text, ok := s.text(v)
		if !ok {
			s.wrong(reason.MetaType)
			return false
		}
		c.version = string(text)
	}
	return true
}

// readName reads the name of what the call is about.
func (s *scanner) readName(c *call) bool {
	c.Kind = c.known.kind
	switch c.known.from {
	case fromName:
		return s.setName(c, s.found[paramName], paramNameType)
	case fromURI:
		return s.setName(c, s.found[paramURI], paramURIType)
	case fromRef:
		kind, ok := s.text(s.found[refType])
		prompt, resource := s.found[refName], s.found[refURI]
		switch {
		case ok && string(kind) == "ref/prompt" && !resource.there():
			c.Kind = Prompt
			return s.setName(c, prompt, refNameType)
		case ok && string(kind) == "ref/resource" && !prompt.there():
			c.Kind = Resource
			return s.setName(c, resource, refURIType)
		}
		s.wrong(reason.RefType)
		return false
	}
	return true
}

// What is wrong with a name, by the member that has it.
var (
	paramNameType = reason.NameType.With("params.name")
	paramURIType  = reason.NameType.With("params.uri")
	refNameType   = reason.NameType.With("ref.name")
	refURIType    = reason.NameType.With("ref.uri")
)

func (s *scanner) setName(c *call, v span, wrong *reason.Detailed) bool {
	text, ok := s.text(v)
	if !ok || !isName(text) {
		s.wrong(wrong)
		return false
	}
	c.Name = string(text)
	if c.Kind != Resource {
		c.folded = fold(c.Name)
		return true
	}
	u, err := foldURI(c.Name)
	if err != nil {
		s.wrong(err)
		return false
	}
	c.folded, c.local = u.text, u.local
	return true
}

// compare compares the headers with a call.
func (s *scanner) compare(h *headers, c *call) *reason.Detailed {
	version := h.version.value
	switch {
	case !h.version.there:
		version = c.version
	case c.version != "" && c.version != version:
		return reason.MetaVersion
	}
	if needsHeaders(version) {
		if err := h.missing(c); err != nil {
			return err
		}
	}
	if h.method.there && h.method.value != c.Method {
		return h.method.differs
	}
	if h.name.there && !s.isNamed(c, h.name.value) {
		return h.name.differs
	}
	return nil
}

// isNamed reports whether a call is about what Mcp-Name says.
func (s *scanner) isNamed(c *call, name string) bool {
	var about []span
	switch c.known.from {
	case fromNothing:
		return name == ""
	case fromTask:
		about = []span{s.found[paramTask]}
	case fromAny:
		about = []span{s.found[paramName], s.found[paramURI], s.found[paramTask]}
	default:
		return name == c.Name
	}
	return slices.ContainsFunc(about, func(v span) bool {
		text, ok := s.text(v)
		return ok && string(text) == name
	})
}
