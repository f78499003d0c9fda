package offline

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

type object = map[string]any

// quiet returns a config of which nothing acts when it is provisioned: `caddy validate`
// opens log files, makes certificate authorities in the storage, and has proxies ask their
// upstreams whether they are well. What is left are the storage, the app jwt, and the routes of
// the app http, each at its place, so that pointers into the config stay right.
func quiet(config json.RawMessage, id string) (*caddy.Config, error) {
	var all object
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber()
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("reading the config: %w", err)
	}
	apps, _ := all["apps"].(object)
	kept := object{looking: object{"id": id}}
	if jwt, ok := apps["jwt"]; ok {
		kept["jwt"] = jwt
	}
	if http, ok := apps["http"].(object); ok {
		kept["http"] = quietHTTP(http)
	}
	text, err := json.Marshal(object{
		// One that is discarded says that on the log before it. Caddy prints the errors of
		// commands by this log too, so it may not be silent.
		"logging": object{"logs": object{"default": object{"level": "ERROR"}}},
		"storage": object{"module": looking, "id": id, "storage": all["storage"]},
		"apps":    kept,
	})
	if err != nil {
		return nil, err
	}
	c := new(caddy.Config)
	return c, caddy.StrictUnmarshalJSON(text, c)
}

func quietHTTP(http object) object {
	servers, ok := http["servers"].(object)
	if !ok {
		return http
	}
	for _, server := range servers {
		server, ok := server.(object)
		if !ok {
			continue
		}
		for _, name := range []string{"listener_wrappers", "packet_conn_wrappers", "metrics"} {
			delete(server, name)
		}
		// Ranges may come from plugins that fetch them.
		if proxies, ok := server["trusted_proxies"].(object); ok && proxies["source"] != "static" {
			delete(server, "trusted_proxies")
		}
		if policies, ok := server["tls_connection_policies"].([]any); ok && len(policies) > 0 {
			server["tls_connection_policies"] = []any{object{}}
		}
		// Otherwise certificates are looked for, and routes come to those of the config.
		server["automatic_https"] = object{"disable": true}
		quietHandlers(server["routes"])
		quietHandlers(server["errors"])
		quietHandlers(server["named_routes"])
	}
	return object{"servers": servers}
}

// quietHandlers makes the handlers quiet that are anywhere in a value.
func quietHandlers(v any) {
	switch v := v.(type) {
	case []any:
		for _, element := range v {
			quietHandlers(element)
		}
	case object:
		for name, member := range v {
			if list, ok := member.([]any); ok && name == "handle" {
				for i := range list {
					list[i] = quietHandler(list[i])
				}
			}
			quietHandlers(member)
		}
	}
}

// quietHandler returns a handler that does nothing before it serves. One of a plugin could do
// anything: a stand-in takes its place, as requests are not served here.
func quietHandler(v any) any {
	h, ok := v.(object)
	if !ok {
		return v
	}
	name, _ := h["handler"].(string)
	info, err := caddy.GetModule(handlers + name)
	if err != nil {
		return v // the error comes when it is provisioned
	}
	switch {
	case name == "acme_server", name == "tracing", !known(info):
		return object{"handler": standIn, "for": name}
	case name == "reverse_proxy":
		for _, acts := range []string{"health_checks", "dynamic_upstreams", "load_balancing", "circuit_breaker"} {
			delete(h, acts)
		}
		if transport, ok := h["transport"].(object); ok {
			if p := transport["protocol"]; p == "http" || p == "fastcgi" {
				h["transport"] = object{"protocol": p}
			} else {
				delete(h, "transport")
			}
		}
	case name == "authentication":
		if providers, ok := h["providers"].(object); ok {
			for provider := range providers {
				if provider != "http_basic" {
					delete(providers, provider)
				}
			}
		}
	}
	return h
}

// handlers is the namespace of handlers.
const handlers = "http.handlers."

// known reports whether a module is one of Caddy's own, or ours, by the Go package that it is
// in: anybody can register a module under any name that is free.
func known(info caddy.ModuleInfo) bool {
	t := reflect.TypeOf(info.New())
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	ours, _, _ := strings.Cut(reflect.TypeFor[answer]().PkgPath(), "/internal/")
	path := t.PkgPath()
	return path == ours || strings.HasPrefix(path, ours+"/") || strings.HasPrefix(path, "github.com/caddyserver/caddy/v2/modules/")
}
