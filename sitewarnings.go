package caddyjwt

import (
	"fmt"
	"strings"
	"sync"

	"go.uber.org/zap"
)

// siteWarnings are warnings that several sites may have in common. Each is logged once,
// with the sites, when the config starts.
type siteWarnings struct {
	mu    sync.Mutex
	texts []string
	sites map[string][]string // by text
}

func (w *siteWarnings) add(site, text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.sites == nil {
		w.sites = map[string][]string{}
	}
	known := w.sites[text]
	if known == nil {
		w.texts = append(w.texts, text)
	}
	for _, other := range known {
		if other == site {
			return
		}
	}
	w.sites[text] = append(known, site)
}

// log logs the warnings.
func (w *siteWarnings) log(logger *zap.Logger) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, text := range w.texts {
		sites := w.sites[text]
		const most = 3
		names := strings.Join(sites[:min(len(sites), most)], ", ")
		if len(sites) > most {
			names += fmt.Sprintf(" +%d", len(sites)-most)
		}
		logger.Warn("jwt at "+names+": "+text, zap.Strings("sites", sites))
	}
}
