package header

import (
	"strings"
	"testing"
)

// TestHeaderNames lists the names that a claim must not fill, and some that it may.
func TestHeaderNames(t *testing.T) {
	t.Parallel()
	of := func(forward, payload, clear string) error {
		var values []*Forward
		var clears []string
		if forward != "" {
			values = []*Forward{{What: "user", Header: forward}}
		}
		if clear != "" {
			clears = []string{clear}
		}
		_, err := New(Config{Values: values, Payload: payload, Clears: clears})
		return err
	}
	refused := func(err error, option string) bool { return err != nil && strings.HasPrefix(err.Error(), option+": ") }
	for _, name := range []string{"Host", "Connection", "Content-Length", "Transfer-Encoding", "Trailer", "TE", "Upgrade", "Keep-Alive", "Expect", "X_User", "X.User", "X User", "", "X-User\r\n", "X:User", "Ü"} {
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if err := of("", "", "X-User"); err != nil {
				t.Fatal(err)
			}
			if n != "" && !refused(of("", "", n), "clear") {
				t.Errorf("clear %q is accepted", n)
			}
			if n != "" && (!refused(of(n, "", ""), "forward") || !refused(of("", n, ""), "forward_payload")) {
				t.Errorf("forward to %q is accepted", n)
			}
		}
	}
	if !refused(forwardError(&Forward{What: "user"}), "forward") || !refused(forwardError(nil), "forward") || !refused(forwardError(&Forward{Header: "X-User"}), "forward") {
		t.Error("half an entry is accepted")
	}
	for _, name := range []string{
		"Authorization", "Cookie", "Set-Cookie", "Forwarded", "Via", "Origin", "Referer", "Range", "Date", "X-Real-IP", "X-Client-IP", "True-Client-IP",
		"CF-Connecting-IP", "X-Original-URL", "X-Rewrite-URL", "X-HTTP-Method-Override", "Content-Type", "Content-Encoding", "Content-Disposition",
		"Proxy-Authorization", "Proxy-Connection", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Prefix", "Sec-Fetch-Site", "Sec-WebSocket-Key",
		"Accept", "Accept-Encoding", "If-Match", "If-Modified-Since", "Access-Control-Request-Method",
	} {
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if !refused(of(n, "", ""), "forward") || !refused(of("", n, ""), "forward_payload") {
				t.Errorf("forward to %q is accepted", n)
			}
			if err := of("", "", n); err != nil {
				t.Errorf("clear %q: %v", n, err)
			}
		}
	}
	for _, name := range []string{"X-User", "x-user", "Remote-User", "X-Auth-Request-Email", "X-Accept", "Tenant", "X-Content-Type", "X-Authorization", "Authorization-Info"} {
		if of(name, "", "") != nil || of("", name, "") != nil || of("", "", name) != nil {
			t.Errorf("%s is not accepted: %v", name, of(name, "", ""))
		}
	}
}

func forwardError(f *Forward) error {
	_, err := New(Config{Values: []*Forward{f}})
	return err
}
