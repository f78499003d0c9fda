package caddyjwt

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-jwt/caddy-jwt/internal/metrics"
	"github.com/caddy-jwt/caddy-jwt/internal/rule"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
	"github.com/caddy-jwt/caddy-jwt/reason"
)

// docReference is the folder of the reference: an index and a page for each topic.
const (
	docReference = "docs/reference"
	docIndex     = docReference + "/README.md"
)

// docPages lists the pages of the reference, without the index.
func docPages(t *testing.T) []string {
	t.Helper()
	pages := slices.DeleteFunc(docFiles(t, docReference), func(name string) bool {
		return filepath.ToSlash(name) == docIndex
	})
	if len(pages) == 0 {
		t.Fatalf("%s has no pages", docReference)
	}
	return pages
}

// docSkip are folders of other people's documents.
var docSkip = []string{".git", "node_modules", "testdata"}

// docFiles lists all Markdown files below a folder, sorted.
func docFiles(t *testing.T, root string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(docSkip, d.Name()):
			return filepath.SkipDir
		case !d.IsDir() && filepath.Ext(name) == ".md":
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// docTaught are the files whose examples people copy.
func docTaught(t *testing.T) []string {
	t.Helper()
	files := docFiles(t, "docs")
	for _, name := range docFiles(t, "examples") {
		if filepath.Base(name) == "README.md" {
			files = append(files, name)
		}
	}
	if _, err := os.Stat("README.md"); err == nil {
		files = append(files, "README.md")
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return files
}

func docRead(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// docBlock is a fenced block.
type docBlock struct {
	place    string // file:line
	language string
	text     string
}

func docBlocks(t *testing.T, name string) []docBlock {
	t.Helper()
	var (
		blocks []docBlock
		open   *docBlock
		text   strings.Builder
	)
	for n, line := range strings.Split(docRead(t, name), "\n") {
		language, fence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case !fence && open != nil:
			text.WriteString(line + "\n")
		case !fence:
		case open != nil:
			open.text = text.String()
			blocks = append(blocks, *open)
			open = nil
		default:
			open = &docBlock{place: fmt.Sprintf("%s:%d", name, n+1), language: language}
			text.Reset()
		}
	}
	if open != nil {
		t.Errorf("%s: the block has no end", open.place)
	}
	return blocks
}

// docBlocksOf collects the blocks in a language. There must be at least min, so
// that this test fails where the documents are gone or have lost their marks.
func docBlocksOf(t *testing.T, language string, min int) []docBlock {
	t.Helper()
	var found []docBlock
	for _, name := range docTaught(t) {
		for _, b := range docBlocks(t, name) {
			if b.language == language {
				found = append(found, b)
			}
		}
	}
	if len(found) < min {
		t.Fatalf("there are %d blocks marked %s; there should be %d at least", len(found), language, min)
	}
	return found
}

func TestDocs_CaddyfilesAdapt(t *testing.T) {
	t.Parallel()
	for _, b := range docBlocksOf(t, "caddyfile", 30) {
		adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(b.text), map[string]any{"filename": "Caddyfile"})
		if err != nil {
			t.Errorf("%s: %v", b.place, err)
			continue
		}
		docDecode(t, b.place, adapted)
	}
}

// TestDocs_RateLimitIsTheExamples: a block with another plugin's directive can't be
// adapted here. It must be a part of the example's file.
func TestDocs_RateLimitIsTheExamples(t *testing.T) {
	t.Parallel()
	example := docRead(t, "examples/aws-api-gateway/ratelimit.Caddyfile")
	for _, b := range docBlocksOf(t, "caddyfile ratelimit", 1) {
		if !strings.Contains(example, b.text) {
			t.Errorf("%s: it is no part of the example", b.place)
		}
	}
}

// TestDocs_RedisIsTheExamples: the same for the storage of another plugin.
func TestDocs_RedisIsTheExamples(t *testing.T) {
	t.Parallel()
	example := docRead(t, "examples/cluster/Caddyfile")
	for _, b := range docBlocksOf(t, "caddyfile redis", 1) {
		if !strings.Contains(example, b.text) {
			t.Errorf("%s: it is no part of the example", b.place)
		}
	}
}

func TestDocs_JSONConfigsLoad(t *testing.T) {
	t.Parallel()
	configs := 0
	for _, b := range docBlocksOf(t, "json", 2) {
		if !json.Valid([]byte(b.text)) {
			t.Errorf("%s: it is no JSON", b.place)
			continue
		}
		configs += docDecode(t, b.place, []byte(b.text))
	}
	if configs == 0 {
		t.Error("no JSON example has a jwt handler")
	}
}

// docDecode decodes a config the strict way, as Caddy does, with all the jwt
// handlers in it, and returns how many these are.
func docDecode(t *testing.T, place string, config []byte) int {
	t.Helper()
	var members map[string]json.RawMessage
	if json.Unmarshal(config, &members) == nil && members["apps"] != nil {
		if err := caddy.StrictUnmarshalJSON(config, new(caddy.Config)); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	var tree any
	if err := json.Unmarshal(config, &tree); err != nil {
		t.Errorf("%s: %v", place, err)
		return 0
	}
	var declared struct {
		Apps struct {
			JWT App `json:"jwt"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &declared); err != nil {
		t.Errorf("%s: %v", place, err)
	} else if err := declared.Apps.JWT.check(setting.Unresolved); err != nil {
		t.Errorf("%s: %v", place, err)
	}
	handlers := 0
	docWalk(tree, func(object map[string]any) {
		if object["handler"] == "jwt_authorization_server" {
			handlers++
			docService(t, place, object, &declared.Apps.JWT)
			return
		}
		if object["handler"] != "jwt" {
			return
		}
		handlers++
		delete(object, "handler")
		raw, err := json.Marshal(object)
		if err != nil {
			t.Errorf("%s: %v", place, err)
			return
		}
		h := new(Handler)
		if err := caddy.StrictUnmarshalJSON(raw, h); err != nil {
			t.Errorf("%s: %v", place, err)
			return
		}
		if _, err := h.policies(&declared.Apps.JWT, setting.Unresolved); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		if _, err := writtenKeys(h.APIKey, digestShape); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		if _, _, err := keyFiles(h.APIKeys, declared.Apps.JWT.APIKeys); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		if err := h.checkTogether(); err != nil {
			t.Errorf("%s: %v", place, err)
		}
		docRules(t, place, h)
	})
	return handlers
}

// docService decodes a token service the strict way, and checks it.
func docService(t *testing.T, place string, object map[string]any, declared *App) {
	t.Helper()
	delete(object, "handler")
	raw, err := json.Marshal(object)
	if err != nil {
		t.Errorf("%s: %v", place, err)
		return
	}
	s := new(AuthorizationServer)
	if err := caddy.StrictUnmarshalJSON(raw, s); err != nil {
		t.Errorf("%s: %v", place, err)
		return
	}
	if _, err := s.check(declared, setting.Unresolved); err != nil {
		t.Errorf("%s: %v", place, err)
	}
}

// docRules checks the expressions of a handler as loading them does.
func docRules(t *testing.T, place string, h *Handler) {
	t.Helper()
	for _, r := range h.Require {
		if r != nil && r.Expression != "" {
			if err := rule.CheckExpression(r.Expression); err != nil {
				t.Errorf("%s: %v", place, err)
			}
		}
	}
}

func docWalk(tree any, visit func(map[string]any)) {
	switch v := tree.(type) {
	case map[string]any:
		visit(v)
		for _, member := range v {
			docWalk(member, visit)
		}
	case []any:
		for _, element := range v {
			docWalk(element, visit)
		}
	}
}

// docSection is a section of the reference: its page, and its text.
type docSection struct {
	page string
	text string
}

// docSections divides the pages of the reference: heading of level one or two,
// then of level three, then the text below it. A part may continue on another
// page; a section of it may not.
func docSections(t *testing.T) map[string]map[string]docSection {
	t.Helper()
	sections := map[string]map[string]docSection{}
	for _, page := range docPages(t) {
		part, section, fenced := "", "", false
		for line := range strings.Lines(docRead(t, page)) {
			if strings.HasPrefix(line, "```") {
				fenced = !fenced
			}
			title := strings.Trim(strings.TrimSpace(strings.TrimLeft(line, "#")), "`")
			switch {
			case fenced:
			case strings.HasPrefix(line, "# "), strings.HasPrefix(line, "## "):
				part, section = title, ""
			case strings.HasPrefix(line, "### "):
				section = title
				if found := sections[part][section]; found.text != "" {
					t.Errorf("%s: %q has a section %s, which is in %s too", page, part, section, found.page)
				}
			}
			if sections[part] == nil {
				sections[part] = map[string]docSection{}
			}
			sections[part][section] = docSection{page, sections[part][section].text + line}
		}
	}
	return sections
}

// docReferenceBlocks are the fenced blocks of the reference.
func docReferenceBlocks(t *testing.T) []docBlock {
	t.Helper()
	var blocks []docBlock
	for _, page := range docPages(t) {
		blocks = append(blocks, docBlocks(t, page)...)
	}
	return blocks
}

// docFunctions visits the functions of this package's files.
func docFunctions(t *testing.T, visit func(*ast.FuncDecl)) {
	t.Helper()
	for _, name := range docSources(t) {
		for _, d := range docParse(t, name).Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				visit(f)
			}
		}
	}
}

// docSources are the Go files of the module, without tests.
func docSources(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, pattern := range []string{"*.go", "*/*.go", "internal/*/*.go"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range found {
			if !strings.HasSuffix(name, "_test.go") && !strings.HasPrefix(name, "bench/") && !strings.HasPrefix(name, "integration/") {
				names = append(names, name)
			}
		}
	}
	return names
}

func docParse(t *testing.T, name string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(gotoken.NewFileSet(), name, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func docTypeName(e ast.Expr) string {
	if star, ok := e.(*ast.StarExpr); ok {
		e = star.X
	}
	if id, ok := e.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

func docText(e ast.Expr) (string, bool) {
	l, ok := e.(*ast.BasicLit)
	if !ok || l.Kind != gotoken.STRING {
		return "", false
	}
	s, err := strconv.Unquote(l.Value)
	return s, err == nil
}

// docFields are the JSON names of a config struct.
func docFields(v any) []string {
	var names []string
	for f := range reflect.TypeOf(v).Fields() {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			names = append(names, name)
		}
	}
	return names
}

func TestDocs_EveryOptionHasASection(t *testing.T) {
	t.Parallel()
	sections := docSections(t)
	grammar := sections["Grammar"][""].text
	for _, part := range []struct {
		title    string
		receiver string
		fields   []string
	}{
		{"Options of jwt", "Handler", docFields(Handler{})},
		{"Options of issuer", "Issuer", docFields(Issuer{})},
		{"Options of api_key", "APIKey", docFields(APIKey{})},
		{"Options of authorization_server", "AuthorizationServer", docFields(AuthorizationServer{})},
		{"Options of forward_jwt", "ForwardJWT", docFields(ForwardJWT{})},
		{"Options of resource", "Resource", docFields(Resource{})},
		{"Options of mcp", "MCP", docFields(MCP{})},
	} {
		options := OptionNames[part.receiver]
		for _, option := range options {
			section := sections[part.title][option].text
			if section == "" {
				t.Errorf("%s: %q has no section for %s", docReference, part.title, option)
			} else if !strings.Contains(section, "```caddyfile\n") || !strings.Contains(section, "\t"+option) {
				t.Errorf("%s: the section of %s has no example of it", docReference, option)
			}
			if !regexp.MustCompile(`(?m)^\t+` + regexp.QuoteMeta(option) + `\b`).MatchString(grammar) {
				t.Errorf("%s: the grammar has no %s", docReference, option)
			}
		}
		for section := range sections[part.title] {
			if section != "" && !slices.Contains(options, section) {
				t.Errorf("%s: %q has a section for %s, which the code does not read", docReference, part.title, section)
			}
		}
		// In JSON each field is named as its option, but for those that are
		// arguments.
		for _, field := range part.fields {
			if !slices.Contains([]string{"iss", "name", "id", "hash", "issuer", "header", "audience", "url"}, field) && !slices.Contains(options, field) {
				t.Errorf("the field %s is no option of the Caddyfile", field)
			}
		}
	}
}

// TestDocs_IndexListsEveryOption: each section of an option has a row in the index,
// under the title of its part, which links to it. That the anchor is right is for
// TestDocs_LinksLeadSomewhere.
func TestDocs_IndexListsEveryOption(t *testing.T) {
	t.Parallel()
	rows, part := map[string]string{}, ""
	for line := range strings.Lines(docRead(t, docIndex)) {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			part = strings.TrimSpace(title)
		} else if strings.HasPrefix(line, "| [") {
			rows[part] += line
		}
	}
	for title, sections := range docSections(t) {
		if !strings.HasPrefix(title, "Options of ") {
			continue
		}
		for option, section := range sections {
			row := fmt.Sprintf("| [`%s`](%s#%s", option, filepath.Base(section.page), option)
			if option != "" && strings.Count(rows[title], row) != 1 {
				t.Errorf("%s: under %q there should be one row %s…", docIndex, title, row)
			}
		}
	}
	for _, page := range docPages(t) {
		if !strings.Contains(rows[""], "]("+filepath.Base(page)+") |") {
			t.Errorf("%s: it has no row for %s", docIndex, page)
		}
	}
}

func TestDocs_EveryJSONFieldIsInTheExample(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, b := range docReferenceBlocks(t) {
		var tree any
		if b.language != "json" || json.Unmarshal([]byte(b.text), &tree) != nil {
			continue
		}
		docWalk(tree, func(object map[string]any) {
			for name := range object {
				seen[name] = true
			}
		})
	}
	for _, v := range []any{
		App{}, Handler{}, Issuer{}, Secret{}, CredentialSource{}, ClaimName{}, APIKey{}, APIKeySource{}, APIKeyStore{},
		Requirement{}, ClaimRequirement{}, Forward{}, ForwardJWT{}, ForwardedClaim{}, Resource{}, MCP{}, MCPRule{},
	} {
		for _, field := range docFields(v) {
			if !seen[field] {
				t.Errorf("%s: no JSON example has %s of %T", docReference, field, v)
			}
		}
	}
}

func TestDocs_EveryPlaceholderHasARow(t *testing.T) {
	t.Parallel()
	text := docSections(t)["Placeholders"][""].text
	for _, m := range regexp.MustCompile("(?m)^\\| `\\{([a-z_.]+)\\}` \\|").FindAllStringSubmatch(text, -1) {
		if _, ok := new(state).Placeholder(m[1]); !ok {
			t.Errorf("%s: it has a row for {%s}, which does not exist", docReference, m[1])
		}
	}
	// What the provider function knows by name is in its cases.
	names := 0
	docFunctions(t, func(f *ast.FuncDecl) {
		if !strings.EqualFold(f.Name.Name, "placeholder") || f.Recv == nil || docTypeName(f.Recv.List[0].Type) != "Holder" {
			return
		}
		ast.Inspect(f, func(n ast.Node) bool {
			c, ok := n.(*ast.CaseClause)
			if !ok {
				return true
			}
			for _, e := range c.List {
				if name, ok := docText(e); ok {
					names++
					if !strings.Contains(text, "| `{http.jwt."+name+"}` |") {
						t.Errorf("%s: {http.jwt.%s} has no row", docReference, name)
					}
				}
			}
			return true
		})
	})
	if names == 0 {
		t.Error("the provider of placeholders has no cases")
	}
}

// docMetrics are the names of the metrics that the code declares: the first
// argument of NewDesc, and Name in the options of the others.
func docMetrics(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, file := range docSources(t) {
		add := func(e ast.Expr) {
			if name, ok := docText(e); ok && strings.HasPrefix(name, "caddy_jwt_") {
				names = append(names, name)
			}
		}
		ast.Inspect(docParse(t, file), func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "NewDesc" {
					add(n.Args[0])
				}
			case *ast.KeyValueExpr:
				if docTypeName(n.Key) == "Name" {
					add(n.Value)
				}
			}
			return true
		})
	}
	if len(names) == 0 {
		t.Fatal("no metrics are declared")
	}
	return names
}

func TestDocs_EveryMetricHasARow(t *testing.T) {
	t.Parallel()
	text := docSections(t)["Metrics"][""].text
	names := docMetrics(t)
	for _, name := range names {
		if strings.Count(text, "\n| `"+name+"` | ") != 1 {
			t.Errorf("%s: there should be one row of %s", docReference, name)
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `(caddy_jwt_[a-z_]+)` ").FindAllStringSubmatch(text, -1) {
		if !slices.Contains(names, m[1]) {
			t.Errorf("%s: it has a row for %s, which is no metric", docReference, m[1])
		}
	}
	for _, file := range docTaught(t) {
		for _, name := range regexp.MustCompile(`\bcaddy_jwt_[a-z_]*[a-z]`).FindAllString(docRead(t, file), -1) {
			if !slices.Contains(names, name) {
				t.Errorf("%s: it names %s, which is no metric", file, name)
			}
		}
	}
}

// TestDocs_DashboardAsksForMetricsThatExist: a panel with a misspelled metric, or
// a label's value that nothing has, stays empty and looks as if all were well.
func TestDocs_DashboardAsksForMetricsThatExist(t *testing.T) {
	t.Parallel()
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
	}
	if err := json.Unmarshal([]byte(docRead(t, "docs/monitoring/grafana.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	if len(dashboard.Panels) == 0 {
		t.Fatal("the dashboard has no panels")
	}
	names := docMetrics(t)
	results := []string{metrics.ResultAllowed, metrics.ResultAnonymous, metrics.ResultRefused, metrics.ResultReported}
	metric, result := regexp.MustCompile(`caddy_[a-z_]+`), regexp.MustCompile(`result="([^"]*)"`)
	for _, p := range dashboard.Panels {
		if len(p.Targets) == 0 {
			t.Errorf("the panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			asked := metric.FindAllString(target.Expr, -1)
			if len(asked) == 0 {
				t.Errorf("the panel %q asks for no metric: %s", p.Title, target.Expr)
			}
			for _, name := range asked {
				// Of a histogram Prometheus has the series of its buckets.
				if !slices.Contains(names, strings.TrimSuffix(name, "_bucket")) {
					t.Errorf("the panel %q asks for %s, which is no metric", p.Title, name)
				}
			}
			for _, m := range result.FindAllStringSubmatch(target.Expr, -1) {
				if !slices.Contains(results, m[1]) {
					t.Errorf("the panel %q asks for the result %s, which no request has", p.Title, m[1])
				}
			}
		}
	}
}

// TestDocs_AlertsAskForMetricsThatExist: an alert on a misspelled metric or reason never
// fires.
func TestDocs_AlertsAskForMetricsThatExist(t *testing.T) {
	t.Parallel()
	rules, page := docRead(t, "docs/monitoring/alerts.yaml"), docRead(t, "docs/monitoring/README.md")
	names := docMetrics(t)
	asked := regexp.MustCompile(`caddy_[a-z_]+`).FindAllString(rules, -1)
	if len(asked) == 0 {
		t.Error("the alerts ask for no metric")
	}
	for _, name := range asked {
		if !slices.Contains(names, name) {
			t.Errorf("an alert asks for %s, which is no metric", name)
		}
	}
	for _, m := range regexp.MustCompile(`reason=~?"([^"]*)"`).FindAllStringSubmatch(rules, -1) {
		for code := range strings.SplitSeq(m[1], "|") {
			if !slices.Contains(reason.All, reason.Code(code)) {
				t.Errorf("an alert asks for the reason %s, which no refusal has", code)
			}
		}
	}
	for _, m := range regexp.MustCompile(`alert: (\w+)`).FindAllStringSubmatch(rules, -1) {
		if !strings.Contains(page, "\n| `"+m[1]+"` | ") {
			t.Errorf("docs/monitoring/README.md has no row for %s", m[1])
		}
	}
}

var (
	docLink    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	docHeading = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	docNoID    = regexp.MustCompile(`[^\p{L}\p{N}\- _]`)
)

func TestDocs_LinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	links := 0
	for _, name := range docFiles(t, ".") {
		text := docRead(t, name)
		for _, m := range docLink.FindAllStringSubmatch(text, -1) {
			u, err := url.Parse(m[1])
			if err != nil {
				t.Errorf("%s: %s is no link: %v", name, m[1], err)
				continue
			}
			if u.Scheme != "" {
				continue
			}
			links++
			target := name
			if u.Path != "" {
				target = path.Join(path.Dir(filepath.ToSlash(name)), u.Path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", name, m[1])
			} else if u.Fragment != "" && !docAnchors(t, target)[u.Fragment] {
				t.Errorf("%s: the link %s leads to no heading", name, m[1])
			}
		}
	}
	if links == 0 {
		t.Error("no document links to another")
	}
}

// docAnchors are the names that GitHub gives to a document's headings.
func docAnchors(t *testing.T, name string) map[string]bool {
	t.Helper()
	anchors := map[string]bool{}
	for _, m := range docHeading.FindAllStringSubmatch(docRead(t, name), -1) {
		id := strings.ReplaceAll(docNoID.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-")
		for n, unique := 0, id; ; n++ {
			if !anchors[unique] {
				anchors[unique] = true
				break
			}
			unique = fmt.Sprintf("%s-%d", id, n+1)
		}
	}
	return anchors
}

// TestDocs_AreThere names the documents that people look for by name.
func TestDocs_AreThere(t *testing.T) {
	t.Parallel()
	for name, mark := range map[string]string{
		"docs/monitoring/README.md": "grafana.json",
		docIndex:                    "directive.md", "docs/design.md": "# Design", "docs/security.md": "# Security",
		"CONTRIBUTING.md": "make test", "SECURITY.md": "vulnerability", "CHANGELOG.md": "## [Unreleased]",
		"LICENSE": "Apache License", "Makefile": "FUZZTIME",
	} {
		if text, err := os.ReadFile(name); err != nil || !bytes.Contains(text, []byte(mark)) {
			t.Errorf("%s is not there, or says nothing of %q", name, mark)
		}
	}
}
