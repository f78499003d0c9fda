package mcp_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-jwt/caddy-jwt/internal/mcp"
)

func TestRulesMatchWhatACallNames(t *testing.T) {
	t.Parallel()
	rules, err := mcp.NewRules([]mcp.Rule{
		0: {mcp.Tool, []string{"delete_all", "drop_*"}},
		1: {mcp.Tool, []string{"delete_*", "delete_all", "*_all"}},
		2: {mcp.Prompt, []string{"delete_all"}},
		3: {mcp.Resource, []string{"file:///secret/*", "*/Passwd"}},
		4: {mcp.Method, []string{"tools/call"}},
		5: {mcp.Method, []string{"resources/*", "my/Method"}},
		6: {mcp.Tool, []string{"Café", "a*b*c"}},
		7: {mcp.Resource, []string{"db://orders/%2A/x y"}},
		8: {mcp.Tool, []string{"STRASSE"}},
		9: {mcp.Resource, []string{"https://Internal.example:443/*", "http://a.example./x", "https://b.example*", "file://localhost/var/*", "file://server/share/*"}},
	}, true)
	if err != nil {
		t.Fatal(err)
	}
	for c, want := range map[seen][]int{
		{"tools/call", mcp.Tool, "delete_all"}:                              {0, 1, 4},
		{"tools/call", mcp.Tool, "DELETE_ALL"}:                              {0, 1, 4},
		{"tools/call", mcp.Tool, " delete_all\u00a0"}:                       {0, 1, 4},
		{"tools/call", mcp.Tool, "delete\u200b_all"}:                        {0, 1, 4},
		{"tools/call", mcp.Tool, "delete_all\ufe0f\u2060"}:                  {0, 1, 4},
		{"tools/call", mcp.Tool, "delete_one"}:                              {1, 4},
		{"tools/call", mcp.Tool, "delete_"}:                                 {1, 4},
		{"tools/call", mcp.Tool, "list_all"}:                                {1, 4},
		{"tools/call", mcp.Tool, "delete all"}:                              {4},
		{"tools/call", mcp.Tool, "drop_"}:                                   {0, 4},
		{"tools/call", mcp.Tool, "drop"}:                                    {4},
		{"tools/call", mcp.Tool, "cafe\u0301"}:                              {4, 6},
		{"tools/call", mcp.Tool, "CAFÉ"}:                                    {4, 6},
		{"tools/call", mcp.Tool, "cafe"}:                                    {4},
		{"tools/call", mcp.Tool, "abc"}:                                     {4, 6},
		{"tools/call", mcp.Tool, "aXbXbXc"}:                                 {4, 6},
		{"tools/call", mcp.Tool, "acb"}:                                     {4},
		{"tools/call", mcp.Tool, "ac"}:                                      {4},
		{"tools/call", mcp.Tool, "straße"}:                                  {4, 8},
		{"tools/call", mcp.Tool, "\u017ftra\u017f\u017fe"}:                  {4, 8},
		{"prompts/get", mcp.Prompt, "delete_all"}:                           {2},
		{"prompts/get", mcp.Prompt, "delete_one"}:                           nil,
		{"completion/complete", mcp.Prompt, "Delete_All"}:                   {2},
		{"resources/read", mcp.Resource, "file:///secret/x"}:                {3, 5},
		{"resources/read", mcp.Resource, "FILE:///Secret/x"}:                {3, 5},
		{"resources/read", mcp.Resource, "file:///%73ecret/x"}:              {3, 5},
		{"resources/read", mcp.Resource, "file:////secret//x"}:              {3, 5},
		{"resources/read", mcp.Resource, "file:///secret%2Fx"}:              {3, 5},
		{"resources/read", mcp.Resource, `file:\\\secret\x`}:                {3, 5},
		{"resources/read", mcp.Resource, "file:///secret"}:                  {5},
		{"resources/read", mcp.Resource, "file:///etc/passwd"}:              {3, 5},
		{"resources/subscribe", mcp.Resource, "db://orders/*/x%20y"}:        {5, 7},
		{"resources/subscribe", mcp.Resource, "db://orders/1/x y"}:          {5},
		{"completion/complete", mcp.Resource, "file:///secret/{name}"}:      {3},
		{"tools/list", mcp.Method, ""}:                                      nil,
		{"MY/method", mcp.Method, ""}:                                       {5},
		{"resources/list", mcp.Method, ""}:                                  {5},
		{"tools/call", mcp.Tool, strings.Repeat("a", 1000) + "b"}:           {4},
		{"tools/call", mcp.Tool, "a" + strings.Repeat("b", 1000) + "c"}:     {4, 6},
		{"resources/read", mcp.Resource, "file:///a%ZZ%4"}:                  {5},
		{"resources/read", mcp.Resource, "file:///secret/100%"}:             {3, 5},
		{"resources/read", mcp.Resource, "file:///se\u200bcret/%E2%80%8Bx"}: {3, 5},

		// A host in its other spellings, and files whose host a server may not look at.
		{"resources/read", mcp.Resource, "file://localhost/secret/x"}:       {3, 5},
		{"resources/read", mcp.Resource, "FILE://LOCALHOST/secret/x"}:       {3, 5},
		{"resources/read", mcp.Resource, "file://%6cocalhost/secret/x"}:     {3, 5},
		{"resources/read", mcp.Resource, "file://me@localhost/secret/x"}:    {3, 5},
		{"resources/read", mcp.Resource, "file:/secret/x"}:                  {3, 5},
		{"resources/read", mcp.Resource, "file://127.0.0.1/secret/x"}:       {3, 5},
		{"resources/read", mcp.Resource, `file:\\elsewhere\secret\x`}:       {3, 5},
		{"resources/read", mcp.Resource, "file:////localhost/secret/x"}:     {5},
		{"resources/read", mcp.Resource, "file:///localhost/secret/x"}:      {5},
		{"resources/read", mcp.Resource, "file:///home/secret/x"}:           {5},
		{"resources/read", mcp.Resource, "file:///var/x"}:                   {5, 9},
		{"resources/read", mcp.Resource, "file://server/share/x"}:           {5, 9},
		{"resources/read", mcp.Resource, "file:///share/x"}:                 {5},
		{"resources/read", mcp.Resource, "https://internal.example/a"}:      {5, 9},
		{"resources/read", mcp.Resource, "https://internal.example:443/a"}:  {5, 9},
		{"resources/read", mcp.Resource, "https://internal.example:/a"}:     {5, 9},
		{"resources/read", mcp.Resource, "https://internal.example./a"}:     {5, 9},
		{"resources/read", mcp.Resource, "https://u:p@INTERNAL.example/a"}:  {5, 9},
		{"resources/read", mcp.Resource, "https://internal.example:8443/a"}: {5},
		{"resources/read", mcp.Resource, "https://internal.example@evil/a"}: {5},
		{"resources/read", mcp.Resource, "http://a.example:80/x"}:           {5, 9},
		{"resources/read", mcp.Resource, "https://b.example:443"}:           {5, 9},
		{"resources/read", mcp.Resource, "db://me@internal.example:443/a"}:  {5},
	} {
		got, denied := rules.Matching(mcp.Call{Method: c.method, Kind: c.kind, Name: c.name})
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) || denied != (len(want) == 0) {
			t.Errorf("%v: %v, denied %v; want %v", c, got, denied, want)
		}
		// The same as the call is read from a body.
		var params string
		switch {
		case c.method == "completion/complete" && c.kind == mcp.Prompt:
			params = fmt.Sprintf(`{"ref":{"type":"ref/prompt","name":%q}}`, c.name)
		case c.method == "completion/complete":
			params = fmt.Sprintf(`{"ref":{"type":"ref/resource","uri":%q}}`, c.name)
		case c.kind == mcp.Resource:
			params = fmt.Sprintf(`{"uri":%q}`, c.name)
		default:
			params = fmt.Sprintf(`{"name":%q}`, c.name)
		}
		m, f := mcp.Parse(post(), []byte(open+`"`+c.method+`","params":`+params+`}`))
		if f != nil {
			t.Errorf("%v: %v", c, f.Err)
			continue
		}
		if got, _ := rules.Matching(m.Calls[0]); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%v, parsed: %v, want %v", c, got, want)
		}
	}
	var none *mcp.Rules
	if got, denied := none.Matching(mcp.Call{Method: "ping"}); got != nil || denied {
		t.Error("no rules deny")
	}
	open, err := mcp.NewRules(nil, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, denied := open.Matching(mcp.Call{Method: "ping"}); denied {
		t.Error("what no rule names is denied")
	}
}

// Where what no rule names is denied, a rule for files opens none of another host.
func TestARuleForFilesOpensNoOtherHost(t *testing.T) {
	t.Parallel()
	rules, err := mcp.NewRules([]mcp.Rule{{mcp.Resource, []string{"file:///public/*"}}}, true)
	if err != nil {
		t.Fatal(err)
	}
	for uri, denies := range map[string]bool{"file:///public/a": false, "file://localhost/public/a": false, "file://server/public/a": true} {
		if got, denied := rules.Matching(mcp.Call{Method: "resources/read", Kind: mcp.Resource, Name: uri}); denied != denies || len(got) != 1 {
			t.Errorf("%s: %v, denied %v", uri, got, denied)
		}
	}
}

func TestRulesThatCanNotBeMeant(t *testing.T) {
	t.Parallel()
	for want, rule := range map[string]mcp.Rule{
		"tool has no name; write at least one, or * for all":                                                                            {Kind: mcp.Tool},
		"a name of prompt is empty; write * for all":                                                                                    {Kind: mcp.Prompt, Patterns: []string{"a", " "}},
		`tool "a\x00" has a control character, which no call may have; remove it`:                                                       {Kind: mcp.Tool, Patterns: []string{"a\x00"}},
		`resource "file:///a/../b" has dot segments or control characters, and calls with them are refused; write the URI without them`: {Kind: mcp.Resource, Patterns: []string{"file:///a/../b"}},
		"kind 9 is none of method, tool, prompt and resource":                                                                           {Kind: 9, Patterns: []string{"a"}},
	} {
		if _, err := mcp.NewRules([]mcp.Rule{rule}, false); err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
