package shared

import (
	"strings"
	"testing"
)

func TestAudiencesOfUpstreamsAreTheirOwn(t *testing.T) {
	t.Parallel()
	minted := map[string][]string{"https://auth.example.com": {"https://api.example.com", "https://reports.example.com"}}
	for audience, want := range map[string]string{
		"https://orders.internal":      "",
		"https://api.example.com/":     "", // compared byte for byte, as verifiers do
		"https://shop.example.com":     "jwt at api.example.com: forward_jwt: the audience https://shop.example.com is one that jwt at shop.example.com takes",
		"https://reports.example.com":  "the audience https://reports.example.com is one that authorization_server https://auth.example.com issues tokens for",
		"https://api.example.com":      "issues tokens for",
		"https://other-2.example.com":  "jwt at other.example.com takes",
		"https://other-22.example.com": "",
	} {
		v := new(Services)
		v.ForwardTo("a.example.com", "https://nobodys.internal")
		v.ForwardTo("api.example.com", audience)
		v.TakeAudiences("shop.example.com", []string{"https://shop.example.com"})
		v.TakeAudiences("other.example.com", []string{"https://other-1.example.com", "https://other-2.example.com"})
		v.TakeAudiences("any.example.com", nil)
		err := v.audiences.check(minted)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", audience, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "; write ") {
			t.Errorf("%s: %v", audience, err)
		}
	}
}
