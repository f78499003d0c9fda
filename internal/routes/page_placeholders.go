package routes

import "strings"

// every reports whether all placeholders in a text are of a kind. Escaped braces count
// as not: Caddy and this function could disagree about what remains.
func every(text string, kind func(name string) bool) bool {
	if strings.Contains(text, `\{`) || strings.Contains(text, `\}`) {
		return false
	}
	for {
		_, after, ok := strings.Cut(text, "{")
		if !ok {
			return true
		}
		name, rest, ok := strings.Cut(after, "}")
		if !ok || !kind(name) {
			return false
		}
		text = rest
	}
}

// isSetting reports whether a placeholder is the same for all requests.
func isSetting(name string) bool {
	return strings.HasPrefix(name, "env.") || strings.HasPrefix(name, "system.")
}

// isPage reports whether a placeholder may be in the name of a page: what it stands
// for is chosen by the site, by us, or is a status. {http.error.message} is not: an
// error may repeat what the client has sent.
func isPage(name string) bool {
	switch name {
	case "http.error.status_code", "http.error.status_text", "http.error.id", "http.jwt.error", "http.jwt.reason":
		return true
	case "http.reverse_proxy.status_code", "http.intercept.status_code": // numbers, in the routes of a handle_response
		return true
	}
	return isSetting(name)
}

// isOfNoRequest reports whether a placeholder is not about the request.
func isOfNoRequest(name string) bool {
	return isPage(name) || strings.HasPrefix(name, "time.") || strings.HasPrefix(name, "file.")
}

// isHost reports whether a placeholder is a setting or the request's host.
func isHost(name string) bool {
	return name == "http.request.host" || strings.HasPrefix(name, "http.request.host.labels.") || isSetting(name)
}

// mayBeSent reports whether a placeholder may be in a header of a request that is
// proxied. Frameworks take the path from headers such as X-Original-URL, and the
// method from X-HTTP-Method-Override. What the client could have sent itself is let
// through.
func (w *walk) mayBeSent(s state) func(name string) bool {
	return func(name string) bool {
		switch name {
		case "http.request.host", "http.request.hostport", "http.request.port", "http.request.scheme", "http.request.proto",
			"http.request.proto_name", "http.request.uuid", "http.request.duration", "http.request.duration_ms",
			"http.request.remote", "http.request.local":
			return true
		case "http.vars.client_ip":
			return w.everySet("client_ip", func(any) bool { return false }) // Caddy sets it
		}
		for _, prefix := range [...]string{
			"http.error.", "http.jwt.", "http.auth.user.", "http.reverse_proxy.", "time.",
			"http.request.host.labels.", "http.request.remote.", "http.request.local.", "http.request.tls.",
			"http.request.header.", "http.request.cookie.",
		} {
			if strings.HasPrefix(name, prefix) {
				return true
			}
		}
		if name == "http.request.uri" || strings.HasPrefix(name, "http.request.uri.") {
			return s.path && s.query
		}
		return isPage(name)
	}
}
