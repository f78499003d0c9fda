package command

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/examples"
	"github.com/caddy-jwt/caddy-jwt/internal/setting"
)

// quickstartDir makes the folder. A temporary one is removed when the process ends, as
// it holds an API key.
func quickstartDir(dir string) (string, error) {
	if dir == "" {
		dir, err := os.MkdirTemp("", "caddy-jwt-quickstart-")
		if err != nil {
			return "", err
		}
		caddy.OnExit(func(context.Context) { _ = os.RemoveAll(dir) })
		return dir, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return filepath.Abs(dir)
}

// writeNew writes a file that must not exist yet.
func writeNew(name string, content []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}

// sameFile reports whether a file exists and has this content.
func sameFile(name string, content []byte) bool {
	there, err := setting.ReadFile(name)
	return err == nil && bytes.Equal(there, content)
}

// checkNoneExists returns an error that names all files that exist already.
func checkNoneExists(dir string, names []string) error {
	var there []string
	for _, name := range names {
		if _, err := os.Lstat(name); err == nil {
			there = append(there, name)
		}
	}
	if len(there) == 0 {
		return nil
	}
	return withHint(fmt.Errorf("%s already has %s, which must not be overwritten", dir, strings.Join(there, ", ")), "name another folder with --dir, or remove them")
}

// quickstartFiles makes an API key, and returns its id.
func quickstartFiles(dir string) (id string, err error) {
	text, id := apikey.New("cj")
	record, err := json.Marshal(apikey.Record{
		ID: id, Consumer: "quickstart", Hash: apikey.DigestOf(text), Scopes: []string{"read", "write"}, Created: time.Now().UTC().Truncate(time.Second),
	})
	if err != nil {
		return "", err
	}
	files := []quickstartFile{
		{"keys.jsonl", append(record, '\n')},
		{"api-key.txt", []byte(text + "\n")},
		{"api-key.header", []byte("X-API-Key: " + text + "\n")},
	}
	// The example's own folder has this very Caddyfile.
	if !sameFile("Caddyfile", examples.Quickstart) {
		files = append(files, quickstartFile{"Caddyfile", examples.Quickstart})
	}
	var names []string
	for _, f := range files {
		names = append(names, f.name)
	}
	if err := checkNoneExists(dir, names); err != nil {
		return "", err
	}
	for _, f := range files {
		if err := writeNew(f.name, f.content); err != nil {
			return "", err
		}
	}
	return id, nil
}

type quickstartFile struct {
	name    string
	content []byte
}

// choosePorts finds free ports on loopback for the site and the upstream, and sets the
// environment variables that the Caddyfile reads. If a port was asked for and is not
// free, it returns an error.
func choosePorts(asked int) (site int, err error) {
	const (
		usualSite, usualUpstream = 8080, 8481
		last                     = 65535
		namePort                 = "name another with --port, or none"
	)
	if asked < 0 || asked > last {
		return 0, withHint(fmt.Errorf("invalid port %d", asked), "name one from 1 to 65535 with --port, or none")
	}
	candidates := []int{usualSite, 0}
	if asked != 0 {
		candidates = []int{asked}
	}
	first, err := freePort(candidates)
	if err != nil {
		return 0, withHint(fmt.Errorf("the port is not available: %w", err), namePort)
	}
	defer first.Close() // kept until the other port is found, so that the two differ
	second, err := freePort([]int{usualUpstream, 0})
	if err != nil {
		return 0, fmt.Errorf("no port is available for the upstream: %w", err)
	}
	defer second.Close()
	site = first.Addr().(*net.TCPAddr).Port
	upstream := second.Addr().(*net.TCPAddr).Port
	return site, errors.Join(os.Setenv("HTTP_PORT", strconv.Itoa(site)), os.Setenv("UPSTREAM_PORT", strconv.Itoa(upstream)))
}

// freePort listens on the first port that is free.
func freePort(candidates []int) (l net.Listener, err error) {
	for _, port := range candidates {
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return nil, err
}
