package routes

import (
	"strings"
	"testing"
)

// TestJudgeOfCaddyfiles judges the error routes of sites. A row is what stands in
// handle_errors, or a whole Caddyfile if it begins with a site, a snippet or a named
// route. The request is POST http://a.test/guarded/x?y=1, refused with 401.
func TestJudgeOfCaddyfiles(t *testing.T) {
	t.Parallel()
	const (
		safe     = ""
		byPath   = "reverse_proxy by the request's own path"
		byMethod = "reverse_proxy with the request's own method"
		byQuery  = "reverse_proxy with the request's own query"
		byHeader = "reverse_proxy with a header that may hold the request's own path"
		byHost   = "reverse_proxy to an upstream that the request chooses"
		file     = "file_server by the request's own path"
		root     = "file_server with a root that the request chooses"
	)
	page := func(more string) string { return "rewrite * /{err.status_code}.html\n" + more }
	proxied := func(block string) string {
		return "method GET\nrewrite * /{err.status_code}.html?\nreverse_proxy pages:80 {\n" + block + "\n}"
	}
	for name, c := range map[string]struct{ text, unsafe string }{
		// Answers of the site's own.
		"respond":                        {"respond \"{err.status_code}\"", safe},
		"respond with what was sent":     {"respond \"no {uri}\"", safe},
		"redir":                          {"redir https://login.a.test/?to={uri}", safe},
		"abort":                          {"abort", safe},
		"error":                          {"error 404", safe},
		"nothing that answers":           {"header X-A b", safe},
		"respond in front of what isn't": {"route {\nrespond 401\nreverse_proxy pages:80\n}", safe},
		"respond 103 goes on":            {"route {\nrespond 103\nreverse_proxy pages:80\n}", byPath},
		"respond with a status to come":  {"route {\nrespond x {vars.a}\nreverse_proxy pages:80\n}", byPath},

		// Files.
		"file_server":                      {"file_server", file},
		"file_server by a page":            {"root * /srv\n" + page("file_server"), safe},
		"file_server by a placeholder":     {"rewrite * /{http.jwt.reason}.html\nfile_server", safe},
		"file_server by an env":            {"rewrite * {$NONE:/}{env.PAGE}.html\nfile_server", safe},
		"file_server by the query":         {"rewrite * /{query.a}\nfile_server", file},
		"file_server by a header":          {"rewrite * /{header.A}\nfile_server", file},
		"file_server by the message":       {"rewrite * /{err.message}\nfile_server", file},
		"file_server by a variable":        {"rewrite * {vars.p}\nfile_server", file},
		"file_server by the original path": {"rewrite * {http.request.orig_uri.path}\nfile_server", file},
		"file_server by a query alone":     {"rewrite * ?x\nfile_server", file},
		"file_server by the time":          {"rewrite * /{time.now.year}\nfile_server", file},
		"a path with a query":              {"rewrite * /a.html?{query}\nfile_server", file},
		"a rewrite that may not match":     {"@x path /a*\nrewrite @x /401.html\nfile_server", file},
		"a rewrite for all statuses":       {"@x expression {err.status_code} in [401, 403]\nrewrite @x /401.html\nfile_server", safe},
		"a rewrite for other statuses":     {"@x expression {err.status_code} == 404\nrewrite @x /404.html\nfile_server", file},
		"opened again":                     {"route {\n" + page("uri replace html {query.a}\nfile_server\n}"), file},
		"cut after it":                     {"route {\n" + page("uri strip_suffix .html\nfile_server\n}"), safe},
		"a regular expression after":       {"route {\n" + page("uri path_regexp [0-9]+ page\nfile_server\n}"), safe},
		"and one with a placeholder":       {"route {\n" + page("uri path_regexp [0-9]+ {path}\nfile_server\n}"), file},
		"a root from the host":             {"root * /srv/{host}\n" + page("file_server"), safe},
		"a root from a label":              {"root * /srv/{labels.1}\n" + page("file_server"), safe},
		"a root from the path":             {"root * /srv{path}\n" + page("file_server"), root},
		"a root from the original URI":     {"root * /srv{http.request.orig_uri.path}\n" + page("file_server"), root},
		"a root of file_server":            {page("file_server {\nroot /srv/{query.a}\n}"), root},
		"a root of the site":               {"http://a.test {\nroot * /srv{path}\nfile_server\nhandle_errors {\n" + page("file_server\n}\n}"), root},
		"a root of a nested route":         {"http://a.test {\nhandle /x* {\nvars root /srv{path}\n}\nhandle_errors {\n" + page("file_server\n}\n}"), root},
		"a good root of the site":          {"http://a.test {\nroot * /srv/{env.A}\nfile_server\nhandle_errors {\n" + page("file_server\n}\n}"), safe},
		"a variable of any name":           {"vars {query.a} {path}\n" + page("file_server"), root},
		"a file system of the request":     {page("file_server {\nfs {query.a}\n}"), "file_server with a file system that the request chooses"},
		"an index of the request":          {page("file_server {\nindex {query.a}\n}"), "file_server with an index that the request chooses"},
		"browse":                           {page("file_server browse"), "file_server browse"},
		"pass_thru":                        {"route {\n" + page("file_server {\npass_thru\n}\nreverse_proxy pages:80\n}"), byMethod},
		"pass_thru to the end":             {page("file_server {\npass_thru\n}"), safe},
		"templates":                        {"templates\n" + page("file_server"), safe},
		"templates of a request":           {"templates\nrespond \"{query.a}\"", "respond by templates with text of the request's own"},
		"templates of the status":          {"templates\nrespond \"{err.status_code}\"", safe},
		"encode and headers":               {"encode\nheader X-A b\n" + page("file_server"), safe},

		// Files that are looked for.
		"try_files by the path":    {"try_files {path} /error.html\nfile_server", file},
		"try_files may not match":  {"try_files /{err.status_code}.html /error.html\nfile_server", file},
		"a found page":             {"@f file /{err.status_code}.html /error.html\nhandle @f {\nrewrite * {file_match.relative}\nfile_server\n}\nrespond {err.status_code}", safe},
		"a found page by the path": {"@f file {path}\nhandle @f {\nrewrite * {file_match.relative}\nfile_server\n}", file},
		"a page found elsewhere":   {"@f file /401.html\nhandle @f {\nrewrite * {file_match.relative}\n}\nfile_server", file},
		"found again by the path":  {"@f file /401.html\n@g file {path}\nroute @f {\nheader @g X-A b\nrewrite * {file_match.relative}\nfile_server\n}", file},
		"found again in not":       {"@f file /401.html\n@g not file {path}\nroute @f {\nheader @g X-A b\nrewrite * {file_match.relative}\nfile_server\n}", file},
		"found by an expression":   {"@f file /401.html\n@g `file({path})`\nroute @f {\nheader @g X-A b\nrewrite * {file_match.relative}\nfile_server\n}", file},
		"found in a root":          {"@f {\nfile {\nroot /srv{path}\ntry_files /401.html\n}\n}\nroute @f {\nrewrite * {file_match.relative}\nfile_server\n}", file},
		"found by a pattern":       {"@f file /*.html\nroute @f {\nrewrite * {file_match.relative}\nfile_server\n}", file},
		"=404":                     {"@f file /401.html =404\nroute @f {\nrewrite * {file_match.relative}\nfile_server\n}", safe},

		// Proxies.
		"reverse_proxy":                      {"reverse_proxy pages:80", byPath},
		"reverse_proxy by a page":            {page("reverse_proxy pages:80"), byMethod},
		"and GET":                            {"method GET\n" + page("reverse_proxy pages:80"), byQuery},
		"and a query":                        {proxied(""), safe},
		"and get":                            {"method get\nrewrite * /a?b=c\nreverse_proxy pages:80", safe},
		"and POST":                           {"method POST\nrewrite * /a?\nreverse_proxy pages:80", byMethod},
		"and its own method":                 {"rewrite * /a?\nreverse_proxy pages:80 {\nmethod GET\n}", safe},
		"its own rewrite":                    {"reverse_proxy pages:80 {\nmethod GET\nrewrite /{err.status_code}?\n}", safe},
		"its own rewrite without a query":    {"reverse_proxy pages:80 {\nmethod GET\nrewrite /{err.status_code}\n}", byQuery},
		"its own rewrite opens":              {proxied("rewrite {http.request.orig_uri}"), byPath},
		"its own method":                     {proxied("method {http.request.method}"), byMethod},
		"the query opens":                    {"route {\nmethod GET\nrewrite * /a?\nuri query a {query.a}\nreverse_proxy pages:80\n}", byQuery},
		"the query of a constant":            {"route {\nmethod GET\nrewrite * /a?\nuri query a b\nreverse_proxy pages:80\n}", safe},
		"a header with the original URI":     {proxied("header_up X-Original-URL {http.request.orig_uri}"), byHeader},
		"a header with a variable":           {proxied("header_up X-A {vars.a}"), byHeader},
		"a header with the original method":  {proxied("header_up X-HTTP-Method-Override {http.request.orig_method}"), byHeader},
		"a header with the URI by then":      {proxied("header_up X-Forwarded-Uri {uri}"), safe},
		"the URI in a header, not for it":    {"reverse_proxy pages:80 {\nmethod GET\nrewrite /a?\nheader_up X-Forwarded-Uri {uri}\n}", byHeader},
		"headers as people set them":         {proxied("header_up Host {upstream_hostport}\nheader_up X-Real-IP {client_ip}\nheader_up X-Request-ID {http.request.uuid}"), safe},
		"request_header in front":            {"request_header X-Original-URL {http.request.orig_uri}\n" + proxied(""), byHeader},
		"request_header of a constant":       {"request_header X-A b\n" + proxied(""), safe},
		"an upstream of the request":         {"method GET\nrewrite * /a?\nreverse_proxy {header.X-Up}:80", byHost},
		"an upstream of the environment":     {"method GET\nrewrite * /a?\nreverse_proxy {env.UP}", safe},
		"dynamic by the request":             {proxied("dynamic a {\nname {host}\nport 80\n}"), byHost},
		"dynamic":                            {proxied("dynamic a pages 80"), safe},
		"FastCGI":                            {"rewrite * /401.php?\nmethod GET\nreverse_proxy unix//run/php.sock {\ntransport fastcgi\n}", "php_fastcgi"},
		"php_fastcgi":                        {"php_fastcgi unix//run/php.sock", "php_fastcgi"},
		"php_fastcgi by index.php":           {"rewrite * /index.php\nphp_fastcgi unix//run/php.sock", "php_fastcgi"},
		"forward_auth":                       {"forward_auth auth:80 {\nuri /verify\n}\nrespond x", byQuery},
		"handle_response by a page":          {proxied("@e status 5xx\nhandle_response @e {\nrespond x\n}"), safe},
		"handle_response falls through":      {"route {\n" + proxied("@e status 5xx\nhandle_response @e {\nheader X-A b\n}") + "\nuri replace a {path}\nfile_server\n}", file},
		"handle_response by another path":    {proxied("handle_response {\nrewrite * {rp.header.X-Accel-Redirect}\nfile_server\n}"), file},
		"copy_response":                      {"route {\n" + proxied("handle_response {\ncopy_response_headers\ncopy_response\n}") + "\nuri replace a {path}\nfile_server\n}", safe},
		"replace_status":                     {proxied("replace_status 401"), safe},
		"a proxy for another host's request": {"reverse_proxy @x pages:80\n@x host b.test", safe},

		// Nesting.
		"handle":                          {"handle {\n" + page("file_server\n}"), safe},
		"handle_path":                     {"handle_path /guarded/* {\nfile_server\n}", file},
		"handle_path by a page":           {"handle_path /guarded/* {\n" + page("file_server\n}"), safe},
		"alternatives, one not":           {"handle /api/* {\nrespond x\n}\nhandle {\nreverse_proxy pages:80\n}", byPath},
		"alternatives that are pages":     {"route {\nhandle /api/* {\nrewrite * /a.html\n}\nhandle {\nrewrite * /b.html\n}\nfile_server\n}", safe},
		"alternatives without the last":   {"route {\nhandle /api/* {\nrewrite * /a.html\n}\nhandle /b/* {\nrewrite * /b.html\n}\nfile_server\n}", file},
		"rewrites are alternatives":       {"@a path /a*\nrewrite @a /a.html\nrewrite * /b.html\nfile_server", safe},
		"handle inside of handle":         {"handle {\nhandle /a* {\nrespond a\n}\nhandle {\n" + page("file_server\n}\n}"), safe},
		"4xx":                             {"http://a.test {\nhandle_errors 4xx {\nreverse_proxy pages:80\n}\n}", byPath},
		"5xx alone":                       {"http://a.test {\nhandle_errors 5xx {\nreverse_proxy pages:80\n}\n}", safe},
		"4xx by a page, then the rest":    {"http://a.test {\nhandle_errors 401 {\n" + page("file_server\n}\nhandle_errors {\nreverse_proxy pages:80\n}\n}"), safe},
		"another site":                    {"http://a.test {\nhandle_errors {\nrespond x\n}\n}\nhttp://b.test {\nhandle_errors {\nreverse_proxy pages:80\n}\n}", safe},
		"this site":                       {"http://b.test {\nhandle_errors {\nrespond x\n}\n}\nhttp://a.test {\nhandle_errors {\nreverse_proxy pages:80\n}\n}", byPath},
		"a wildcard site":                 {"http://*.test {\nhandle_errors {\nfile_server\n}\n}", file},
		"a host that was changed":         {"route {\nrequest_header Host b.test\n@b host b.test\nreverse_proxy @b pages:80\n}", byPath},
		"no handle_errors":                {"http://a.test {\nreverse_proxy pages:80\n}", safe},
		"a snippet":                       {"(page) {\nrewrite * /{err.status_code}.html\nfile_server\n}\nhttp://a.test {\nhandle_errors {\nimport page\n}\n}", safe},
		"a snippet that is not":           {"(app) {\nreverse_proxy app:80\n}\nhttp://a.test {\nimport app\nhandle_errors {\nimport app\n}\n}", byPath},
		"a named route":                   {"&(page) {\nrewrite * /{err.status_code}.html\nfile_server\n}\nhttp://a.test {\nhandle_errors {\ninvoke page\n}\n}", safe},
		"a named route that was invoked":  {"&(page) {\nrewrite * /{err.status_code}.html\nfile_server\n}\nhttp://a.test {\ninvoke page\nhandle_errors {\ninvoke page\n}\n}", file},
		"a named route that is not":       {"&(app) {\nreverse_proxy app:80\n}\nhttp://a.test {\ninvoke app\nhandle_errors {\ninvoke app\n}\n}", byPath},
		"a named route of alternatives":   {"&(r) {\nroute {\nhandle /a* {\nrewrite * /a.html\n}\nhandle {\nrewrite * /b.html\n}\n}\n}\nhttp://a.test {\ninvoke r\nhandle_errors {\nroute {\ninvoke r\nfile_server\n}\n}\n}", file},
		"an expression about the path":    {"@x expression {err.status_code} == 404 || path('/a*')\nreverse_proxy @x pages:80", byPath},
		"an expression that is false":     {"@x expression `{err.status_code} == 404 && {err.status_text} != 'a'`\nreverse_proxy @x pages:80", safe},
		"an expression about the request": {"@x expression {method} == 'NO'\nreverse_proxy @x pages:80", byPath},

		// Other handlers.
		"intercept by a page":              {"intercept {\nhandle_response {\nrewrite * /{resp.status_code}.html\nfile_server\n}\n}\nrespond x", safe},
		"intercept by the path":            {"intercept {\nhandle_response {\nfile_server\n}\n}\nrespond x", file},
		"intercept, opened behind":         {"route {\nrewrite * /a.html\nintercept {\nhandle_response {\nfile_server\n}\n}\nuri replace a {path}\nrespond x\n}", file},
		"intercept, opened in front":       {"route {\nrewrite * /a.html\nintercept {\nhandle_response {\nfile_server\n}\n}\nrespond x\n}", safe},
		"intercept, found behind":          {"@f file /401.html\n@g file {path}\nroute @f {\nintercept {\nhandle_response {\nrewrite * {file_match.relative}\nfile_server\n}\n}\nheader @g X-A b\nrespond x\n}", file},
		"intercept, found in front":        {"@f file /401.html\nroute @f {\nintercept {\nhandle_response {\nrewrite * {file_match.relative}\nfile_server\n}\n}\nrespond x\n}", safe},
		"map to a page's name":             {"map {path} {http.jwt.reason} {\ndefault {path}\n}\n" + page("file_server"), "map to {http.jwt.reason}"},
		"map":                              {"map {path} {a} {\ndefault b\n}\n" + page("file_server"), safe},
		"a path from a map":                {"map {path} {a} {\ndefault b\n}\nrewrite * /{a}\nfile_server", file},
		"basic_auth guards nothing":        {"basic_auth {\na $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}\nreverse_proxy pages:80", byPath},
		"metrics":                          {"metrics", "metrics"},
		"acme_server":                      {"acme_server", "acme_server"},
		"an unknown handler":               {"test_unknown\nrespond x", "the handler http.handlers.test_unknown, which is not known"},
		"behind an answer":                 {"route {\nrespond x\ntest_unknown\n}", safe},
		"jwt":                              {"route {\ntest_guard\nreverse_proxy pages:80\n}", safe},
		"jwt that clears":                  {"route {\ntest_guard clear\nreverse_proxy pages:80\n}", byPath},
		"jwt for some paths":               {"route {\ntest_guard /a*\nreverse_proxy pages:80\n}", byPath},
		"jwt for all statuses":             {"@x expression {err.status_code} == 401\nroute {\ntest_guard @x\nreverse_proxy pages:80\n}", safe},
		"tracing, logging and all of that": {"log_append a {path}\ntracing\nrequest_body {\nmax_size 1MB\n}\npush /a.css\ntimeouts {\nread_timeout 1s\n}\n" + page("file_server"), safe},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := c.text
			if !strings.HasPrefix(text, "http:") && text[0] != '(' && text[0] != '&' {
				text = "http://a.test {\nrespond ok\nhandle_errors {\n" + text + "\n}\n}"
			}
			got := judge(t, serverOfCaddyfile(t, text), "a.test", 401)
			if got.Safe != (c.unsafe == "") || got.Unsafe != c.unsafe {
				t.Errorf("%+v, want %q\n%s", got, c.unsafe, text)
			}
		})
	}
}
