package keystore

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
)

func zipped(t testing.TB, body io.Reader) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := io.Copy(w, body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// zeros is as many zero bytes as are read.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestCompressedAnswers checks that a compressed key set is read, and that it can't become
// larger than one that is not.
func TestCompressedAnswers(t *testing.T) {
	t.Parallel()
	good := zipped(t, bytes.NewReader(ec("a")))
	for name, c := range map[string]struct {
		encoding string
		body     []byte
		err      string
	}{
		"gzip":                   {"gzip", good, ""},
		"x-gzip, in capitals":    {"X-GZIP", good, ""},
		"identity":               {"identity", ec("a"), ""},
		"gzip that is not":       {"gzip", ec("a"), "can't be unpacked"},
		"gzip, cut off":          {"gzip", good[:len(good)-20], "cut off"},
		"gzip, unsaid":           {"", good, "its Content-Encoding does not say so"},
		"brotli":                 {"br", good, "was not asked for"},
		"gzip in gzip":           {"gzip, gzip", zipped(t, bytes.NewReader(good)), "was not asked for"},
		"a gigabyte of zeros":    {"gzip", zipped(t, io.LimitReader(zeros{}, 1<<30)), "larger than"},
		"a byte over the limit":  {"gzip", zipped(t, strings.NewReader(strings.Repeat(" ", maxDocumentBytes-len(ec("a"))+1)+string(ec("a")))), "larger than"},
		"as much as is possible": {"gzip", zipped(t, strings.NewReader(strings.Repeat(" ", maxDocumentBytes-len(ec("a")))+string(ec("a")))), ""},
	} {
		h := &host{}
		h.set(func(*http.Request) (*http.Response, error) {
			answer := response(200, c.body)
			answer.Header.Set("Content-Encoding", c.encoding)
			return answer, nil
		})
		err := remote(t, h, nil).Refresh(context.Background())
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v, want %q", name, err, c.err)
		}
	}
}
