package caddyjwt_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	caddyjwt "github.com/caddy-jwt/caddy-jwt"
)

// configTypes are what a user's config is read into.
var configTypes = []reflect.Type{
	reflect.TypeFor[caddyjwt.Handler](),
	reflect.TypeFor[caddyjwt.Issuer](),
	reflect.TypeFor[caddyjwt.CredentialSource](),
	reflect.TypeFor[caddyjwt.ClaimName](),
	reflect.TypeFor[caddyjwt.Secret](),
	reflect.TypeFor[caddyjwt.APIKey](),
	reflect.TypeFor[caddyjwt.APIKeySource](),
	reflect.TypeFor[caddyjwt.APIKeyStore](),
	reflect.TypeFor[caddyjwt.Requirement](),
	reflect.TypeFor[caddyjwt.ClaimRequirement](),
	reflect.TypeFor[caddyjwt.Forward](),
	reflect.TypeFor[caddyjwt.App](),
}

// TestConfigFieldsAreDocumented: Caddy's module documentation is generated from these
// comments, so each must state the default of its field.
func TestConfigFieldsAreDocumented(t *testing.T) {
	t.Parallel()
	types := map[string]*ast.StructType{}
	for _, file := range parsePackage(t) {
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if s, ok := spec.Type.(*ast.StructType); ok {
					types[spec.Name.Name] = s
				}
			}
			return true
		})
	}
	snakeCase := regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
	states := regexp.MustCompile(`Default[:,] .*\.$`)
	for _, typ := range configTypes {
		for _, field := range types[typ.Name()].Fields.List {
			name := field.Names[0].Name
			if !ast.IsExported(name) {
				continue
			}
			where := typ.Name() + "." + name
			reflected, _ := typ.FieldByName(name)
			tag, rest, _ := strings.Cut(reflected.Tag.Get("json"), ",")
			if !snakeCase.MatchString(tag) {
				t.Errorf("%s: the JSON name %q is not in snake case", where, tag)
			}
			if got := strings.ReplaceAll(strings.ToLower(name), "_", ""); got != strings.ReplaceAll(tag, "_", "") {
				t.Errorf("%s: the JSON name %s differs", where, tag)
			}
			doc := strings.Join(strings.Fields(field.Doc.Text()), " ")
			// Where the JSON has no omitempty there is no default either.
			required := rest == "" || strings.Contains(doc, "At least one.") || strings.Contains(doc, "Required")
			switch {
			case doc == "":
				t.Errorf("%s has no comment", where)
			case !required && !states.MatchString(doc):
				t.Errorf("%s: the comment does not say what the default is: %s", where, doc)
			case strings.HasPrefix(doc, name+" "):
				t.Errorf("%s: the comment is for users, who don't know the field's name in Go: %s", where, doc)
			}
		}
	}
}

// TestJSONMirrorsCaddyfile: JSON fields and Caddyfile options have the same names.
func TestJSONMirrorsCaddyfile(t *testing.T) {
	t.Parallel()
	for typ, arguments := range map[reflect.Type][]string{
		reflect.TypeFor[caddyjwt.Handler](): nil,
		reflect.TypeFor[caddyjwt.Issuer]():  {"iss", "name"}, // one argument for both
		reflect.TypeFor[caddyjwt.APIKey]():  {"id", "hash"},

		reflect.TypeFor[caddyjwt.AuthorizationServer](): {"issuer"},
		reflect.TypeFor[caddyjwt.KeyClients]():          {"file", "name"}, // one argument for both
		reflect.TypeFor[caddyjwt.ServiceClient]():       {"id"},
		reflect.TypeFor[caddyjwt.Federate]():            {"name"},
	} {
		var names []string
		for field := range typ.Fields() {
			if name, _, _ := strings.Cut(field.Tag.Get("json"), ","); field.IsExported() && !slices.Contains(arguments, name) {
				names = append(names, name)
			}
		}
		if options := caddyjwt.OptionNames[typ.Name()]; !equalSets(names, options) {
			t.Errorf("%s has the JSON fields\n%s\nand the Caddyfile the options\n%s", typ.Name(), names, options)
		}
	}
}

// TestGrammarIsWrittenDown compares the grammar in the comments and the reference
// with the options that are read.
func TestGrammarIsWrittenDown(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("docs/reference/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var reference []byte
	for _, page := range pages {
		// The index only lists the options.
		if filepath.Base(page) == "README.md" {
			continue
		}
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		reference = append(reference, text...)
	}
	const service = "AuthorizationServer.UnmarshalCaddyfile"
	for typ, grammar := range map[string][]string{ // the function with the comment, and the block in it
		"Handler": {"Handler.UnmarshalCaddyfile", ""}, "Issuer": {"readIssuer", ""}, "APIKey": {"readAPIKey", ""}, "ForwardJWT": {"readForwardJWT", ""},
		"AuthorizationServer": {service, ""}, "KeyClients": {service, "api_keys"}, "ServiceClient": {service, "client"}, "Federate": {service, "federate"},
	} {
		options := caddyjwt.OptionNames[typ]
		if got := commentOptions(t, grammar[0], grammar[1]); !slices.Equal(got, options) {
			t.Errorf("the comment of %s has\n%s\nand these are read, in this order:\n%s", grammar, got, options)
		}
		for _, option := range options {
			if reference != nil && !regexp.MustCompile(`\b`+option+`\b`).Match(reference) {
				t.Errorf("docs/reference does not mention %s", option)
			}
		}
	}
}

// FuzzCaddyfile puts any text after jwt. Whatever is accepted must adapt to JSON
// that the handler reads, without a secret in it.
func FuzzCaddyfile(f *testing.F) {
	for _, file := range goldens(f) {
		input, _ := readGolden(f, file)
		_, behind, _ := strings.Cut(input, "jwt")
		f.Add(strings.TrimSuffix(strings.TrimSpace(behind), "}"))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "import") {
			return // it reads files of this machine
		}
		config, _, err := adapt("example.com {\n\tjwt " + text + "\n}\n")
		if err != nil {
			if err.Error() == "" {
				t.Error("the error is empty")
			}
			return
		}
		for _, h := range readBack(t, config) {
			if len(h.Issuer)+len(h.APIKey)+len(h.APIKeys)+len(h.Clear)+len(h.Forward)+len(h.ForwardJWT) == 0 {
				t.Error("it is accepted without an issuer, without an API key and without a header to clear")
			}
			for _, k := range h.APIKey {
				if !strings.HasPrefix(strings.ToLower(k.Hash), "sha256:") && !strings.HasPrefix(k.Hash, "{env.") && !strings.HasPrefix(k.Hash, "{file.") {
					t.Errorf("a plain key is accepted: %s", k.Hash)
				}
			}
			for _, i := range h.Issuer {
				if len(i.Audience)+len(h.Audience) == 0 && h.Resource == nil {
					t.Error("it is accepted without an audience")
				}
				for _, s := range i.Secret {
					if !strings.HasPrefix(s.Value, "{env.") && !strings.HasPrefix(s.Value, "{file.") {
						t.Errorf("a plain secret is accepted: %s", s.Value)
					}
				}
			}
			again, err := json.Marshal(h)
			if err != nil {
				t.Error(err)
			}
			if err := json.Unmarshal(again, new(caddyjwt.Handler)); err != nil {
				t.Errorf("%v\n%s", err, again)
			}
		}
	})
}

func equalSets(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// parsePackage returns the package's own files.
func parsePackage(t *testing.T) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return files
}

// commentOptions returns the options in the grammar above a function, or those in the block
// of one of them: the first words of the indented lines, without those of deeper blocks.
func commentOptions(t *testing.T, name, block string) (options []string) {
	t.Helper()
	indent, inside := "\t    ", block == ""
	if block != "" {
		indent += "    "
	}
	for _, line := range strings.Split(function(t, name).Doc.Text(), "\n") {
		if outer, ok := strings.CutPrefix(line, "\t    "); ok && block != "" && !strings.HasPrefix(outer, " ") {
			inside = strings.HasPrefix(outer, block+" ") && strings.HasSuffix(outer, "{")
		}
		line, ok := strings.CutPrefix(line, indent)
		if !ok || !inside || line == "" || strings.ContainsAny(line[:1], " }") {
			continue
		}
		// token_from has a line for each place.
		if word := strings.Fields(line)[0]; !slices.Contains(options, word) {
			options = append(options, word)
		}
	}
	return options
}

// function returns a function, or a method by <type>.<name>.
func function(t *testing.T, name string) *ast.FuncDecl {
	t.Helper()
	receiver, method, isMethod := strings.Cut(name, ".")
	if !isMethod {
		receiver, method = "", name
	}
	for _, file := range parsePackage(t) {
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Name.Name != method || (f.Recv != nil) != isMethod {
				continue
			}
			if f.Recv == nil {
				return f
			}
			if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok && star.X.(*ast.Ident).Name == receiver {
				return f
			}
		}
	}
	t.Fatalf("there is no %s", name)
	return nil
}
