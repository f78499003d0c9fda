package offline

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/caddy-jwt/caddy-jwt/internal/explain"
)

// adapting is held while a config is adapted, as the lines of one alone are noted at a time.
var adapting sync.Mutex

// read returns the JSON config of a question, and the lines of its Caddyfile, if it is one.
// It finds and adapts a file as Caddy's own commands do, but logs nothing.
func read(o *explain.Offline) (json.RawMessage, *Lines, error) {
	if o.Config != nil {
		return o.Config, new(Lines), nil
	}
	path := o.Path
	if path == "" {
		if o.Adapter != "" {
			return nil, nil, errors.New("an adapter needs a config file; write --config too")
		}
		path = "Caddyfile"
	}
	text, err := readFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the config: %w", err)
	}
	name := adapterOf(path, o.Adapter)
	if name == "" {
		if !json.Valid(text) {
			return nil, nil, errors.New("reading the config: it is not valid JSON; if it is in another format, name its adapter: --adapter caddyfile")
		}
		return text, new(Lines), nil
	}
	adapter := caddyconfig.GetAdapter(name)
	if adapter == nil {
		return nil, nil, fmt.Errorf("there is no config adapter %q in this Caddy", name)
	}
	adapting.Lock()
	defer adapting.Unlock()
	lines := new(Lines)
	noting.Store(lines)
	defer noting.Store(nil)
	config, _, err := adapter.Adapt(text, map[string]any{"filename": path})
	if err != nil {
		return nil, nil, fmt.Errorf("adapting the config with %s: %w", name, err)
	}
	return config, lines, nil
}

// maxConfig is how much of a config is read, in bytes.
const maxConfig = 64 << 20

func readFile(path string) ([]byte, error) {
	file := os.Stdin
	if path != "-" {
		var err error
		if file, err = os.Open(path); err != nil {
			return nil, err
		}
		defer file.Close()
	}
	text, err := io.ReadAll(io.LimitReader(file, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = errors.New("it is larger than 64 MiB")
	}
	return text, err
}

// adapterOf returns the adapter of a file, by the rules of Caddy's commands.
func adapterOf(path, adapter string) string {
	base := strings.ToLower(filepath.Base(path))
	switch {
	case adapter != "" || filepath.Ext(base) == ".json":
		return adapter
	case strings.HasPrefix(base, "caddyfile"), strings.HasSuffix(base, ".caddyfile"):
		return "caddyfile"
	}
	return ""
}
