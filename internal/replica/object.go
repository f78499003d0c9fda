package replica

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// The bounds of an object. What is read is bounded because anyone who can write to the
// storage can store a small file that unpacks to a very large one.
const (
	maxStored   = 256 << 10 // bytes of a stored object: the smallest limit of common storages is not far above
	reserve     = 1 << 10   // of these, left free by who fills an object, so that it can be signed later
	compressed  = 4 << 10   // plain bytes above which an object is compressed
	maxPlain    = 64 << 20  // bytes of an object when unpacked
	maxLines    = 100_000   // facts of an object that is read
	maxFacts    = 50_000    // facts of an object that is written
	maxFact     = 128 << 10 // bytes of a fact's line
	maxReplaces = 1_024     // objects that one can replace
)

// version is the version of the objects' format that this code writes and reads.
const version = 1

// Why an object can't be used.
var (
	// ErrDamaged: the content is not what the name says, or no object at all.
	ErrDamaged = errors.New("the object is damaged")
	// ErrUnknownVersion: a newer version of this program wrote the object.
	ErrUnknownVersion = errors.New("the object has a format that this version does not know; update this node")
	// ErrUnsigned: there is a key, but the object has no signature, or one of another
	// key.
	ErrUnsigned = errors.New("the object is not signed with a key of the config; `caddy jwt state accept` signs it if it is genuine")
)

// header is the first line of an object.
type header struct {
	Version  int      `json:"jwt"`
	N        int      `json:"n"`                  // how many facts follow
	T        int64    `json:"t"`                  // when it was written, or the newest of what it replaces
	Last     int64    `json:"last"`               // when its last fact ends, 0 for never
	Replaces []string `json:"replaces,omitempty"` // what it holds all facts of
}

// distinct sorts lines, so that the same facts always give the same object, and leaves out
// what is listed twice.
func distinct(lines [][]byte) [][]byte {
	slices.SortFunc(lines, bytes.Compare)
	return slices.CompactFunc(lines, bytes.Equal)
}

// seal makes an object of lines that are distinct.
func seal(h header, lines [][]byte, set string, keys [][]byte) (name string, stored []byte) {
	h.Version, h.N = version, len(lines)
	plain, err := json.Marshal(h)
	if err != nil {
		panic(err) // numbers and names
	}
	plain = append(plain, '\n')
	for _, line := range lines {
		plain = append(append(plain, line...), '\n')
	}
	if len(keys) > 0 {
		plain = appendMAC(plain, set, keys[0])
	}
	stored = plain
	if len(plain) > compressed {
		var b bytes.Buffer
		z := gzip.NewWriter(&b) // without a time or a name: the same bytes everywhere
		_, _ = z.Write(plain)   // a bytes.Buffer takes everything
		_ = z.Close()
		stored = b.Bytes()
	}
	return nameOf(h.T, stored), stored
}

// nameOf returns the name of an object.
func nameOf(t int64, stored []byte) string {
	sum := sha256.Sum256(stored)
	return fmt.Sprintf("%010d-%s", max(t, 0), hex.EncodeToString(sum[:16]))
}

// isName reports whether a name is one of an object: ten digits, a hyphen, 32 hexadecimal
// digits.
func isName(name string) bool {
	if len(name) != 43 || name[10] != '-' {
		return false
	}
	return strings.Trim(name[:10], "0123456789") == "" && strings.Trim(name[11:], "0123456789abcdef") == ""
}

// timeOf returns the seconds in a name.
func timeOf(name string) int64 {
	t, _ := strconv.ParseInt(name[:10], 10, 64)
	return t
}

// opened is an object whose content is what its name says.
type opened struct {
	header
	lines  [][]byte // of its facts, in the memory of the unpacked object
	signed bool     // it has a signature, which is valid if there are keys
	first  bool     // by the first of the keys
}

// open checks an object and unpacks it. With keys, the error of one that is not signed by
// one of them is ErrUnsigned, but it is returned all the same.
func open(name string, stored []byte, set string, keys [][]byte) (*opened, error) {
	if len(stored) > maxStored {
		return nil, fmt.Errorf("%w: it has more than %d bytes", ErrDamaged, maxStored)
	}
	if !isName(name) || nameOf(timeOf(name), stored) != name {
		return nil, fmt.Errorf("%w: its content is not what its name says", ErrDamaged)
	}
	plain, err := unpack(stored)
	if err != nil {
		return nil, err
	}
	if len(plain) == 0 || plain[len(plain)-1] != '\n' {
		return nil, fmt.Errorf("%w: its last line has no end", ErrDamaged)
	}
	first, rest, _ := bytes.Cut(plain, []byte{'\n'})
	var o opened
	if err := json.Unmarshal(first, &o.header); err != nil {
		return nil, fmt.Errorf("%w: its first line is no header", ErrDamaged)
	}
	if o.Version != version {
		if o.Version > version {
			return nil, ErrUnknownVersion
		}
		return nil, fmt.Errorf("%w: its first line is no header", ErrDamaged)
	}
	if o.T != timeOf(name) || o.N < 0 || o.N > maxLines || len(o.Replaces) > maxReplaces || !allNames(o.Replaces) {
		return nil, fmt.Errorf("%w: its header is invalid", ErrDamaged)
	}
	if n := bytes.Count(rest, []byte{'\n'}); n != o.N && n != o.N+1 {
		return nil, fmt.Errorf("%w: it has %d lines and should have %d", ErrDamaged, n, o.N)
	}
	o.lines = make([][]byte, 0, o.N)
	for len(o.lines) < o.N {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte{'\n'})
		if len(line) == 0 || len(line) > maxFact {
			return nil, fmt.Errorf("%w: a line is empty or too long", ErrDamaged)
		}
		o.lines = append(o.lines, line)
	}
	if len(rest) > 0 && !isMAC(rest) {
		return nil, fmt.Errorf("%w: it has more lines than it says", ErrDamaged)
	}
	o.signed = len(rest) > 0
	if len(keys) > 0 {
		n := verifyMAC(plain, set, keys)
		o.signed, o.first = n >= 0, n == 0
		if n < 0 {
			return &o, ErrUnsigned
		}
	}
	return &o, nil
}

func allNames(names []string) bool {
	for _, name := range names {
		if !isName(name) {
			return false
		}
	}
	return true
}

// unpack returns the plain content of an object.
func unpack(stored []byte) ([]byte, error) {
	if !bytes.HasPrefix(stored, []byte{0x1f, 0x8b}) {
		return stored, nil
	}
	z, err := gzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	var b bytes.Buffer
	b.Grow(4 * len(stored))
	n, err := io.Copy(&b, io.LimitReader(z, maxPlain+1))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if n > maxPlain {
		return nil, fmt.Errorf("%w: it unpacks to more than %d bytes", ErrDamaged, maxPlain)
	}
	return b.Bytes(), nil
}
