package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running server, alone on its processor.
type server struct {
	url     string
	admin   string // of Caddy
	command *exec.Cmd
	log     *bytes.Buffer
}

// caddyGlobal keeps a Caddy apart from the machine. It writes no access log, which
// would cost more than what is measured.
const caddyGlobal = `{
	admin 127.0.0.1:%d
	auto_https disable_redirects
	skip_install_trust
	default_bind 127.0.0.1
	persist_config off
	%s
	log default {
		output stderr
		level ERROR
	}
	%s
}
`

// startCaddy runs a Caddy with one site, made of directives, in which {PORT} is its port. Its
// storage is its own, unless the global options begin with one.
func (b *bench) startCaddy(name, scheme, global, directives string) (*server, error) {
	port, admin, err := freePorts()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if scheme == "https" {
		directives = "tls internal\n" + directives
	}
	storage := fmt.Sprintf("storage file_system %q", dir)
	if strings.HasPrefix(global, "storage ") {
		storage = "" // it has one that several share
	}
	directives = strings.ReplaceAll(directives, "{PORT}", strconv.Itoa(port))
	config := fmt.Sprintf(caddyGlobal, admin, storage, global) + fmt.Sprintf("%s://127.0.0.1:%d {\n%s\n}\n", scheme, port, directives)
	file := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	s, err := b.start(fmt.Sprintf("%s://127.0.0.1:%d/", scheme, port), b.caddy, "run", "--config", file, "--adapter", "caddyfile")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	s.admin = fmt.Sprintf("http://127.0.0.1:%d", admin)
	return s, nil
}

// startHAProxy runs an HAProxy that answers by itself, with these rules in front.
func (b *bench) startHAProxy(name, rules string) (*server, error) {
	port, _, err := freePorts()
	if err != nil {
		return nil, err
	}
	file := filepath.Join(b.dir, name+".cfg")
	config := fmt.Sprintf("global\n\tnbthread 1\ndefaults\n\tmode http\n\ttimeout client 30s\n\ttimeout server 30s\n\ttimeout connect 5s\nfrontend api\n\tbind 127.0.0.1:%d\n%s\thttp-request return status 200 content-type text/plain string ok\n", port, rules)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return b.start(fmt.Sprintf("http://127.0.0.1:%d/", port), "haproxy", "-f", file, "-db")
}

// client trusts the servers of this machine, whose certificates are their own.
var client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// start runs a server and returns when it answers.
func (b *bench) start(url string, command ...string) (*server, error) {
	args := b.onProcessor(serverProcessor, command...)
	s := &server{url: url, log: new(bytes.Buffer), command: exec.CommandContext(b.ctx, args[0], args[1:]...)}
	s.command.Stderr = s.log
	s.command.WaitDelay = 10 * time.Second
	s.command.Cancel = func() error { return s.command.Process.Signal(syscall.SIGTERM) }
	// One processor, one thread for Go code: on more, work moves between them.
	s.command.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(max(1, b.processors)), "HOME="+b.dir)
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	b.servers = append(b.servers, s)
	for range 600 {
		res, err := client.Get(url)
		if err == nil {
			return s, res.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, fmt.Errorf("it does not answer:\n%s", s.log)
}

func (s *server) stop() error {
	err := s.command.Cancel()
	if waitErr := s.command.Wait(); waitErr != nil {
		if _, exited := errors.AsType[*exec.ExitError](waitErr); !exited && !errors.Is(waitErr, context.Canceled) {
			err = errors.Join(err, waitErr)
		}
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

func (s *server) proc(name string) (string, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", s.command.Process.Pid, name))
	return string(text), err
}

// processorTime is how long the process has run, in user and kernel mode: the sum
// of its threads, which the kernel counts in nanoseconds.
func (s *server) processorTime() (time.Duration, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	var all time.Duration
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) {
			continue // it has just ended
		}
		if err != nil {
			return 0, err
		}
		ran, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.ParseInt(ran, 10, 64)
		if err != nil {
			return 0, err
		}
		all += time.Duration(n)
	}
	if all == 0 {
		return 0, errors.New("the kernel does not count the time of threads")
	}
	return all, nil
}

// memory is a figure of the process in MiB: VmRSS is what it has, VmHWM the most
// that it has had.
func (s *server) memory(figure string) (float64, error) {
	text, err := s.proc("status")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(figure + `:\s*(\d+) kB`).FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("there is no %s of the process", figure)
	}
	kib, err := strconv.ParseFloat(m[1], 64)
	return kib / 1024, err
}

// freePorts are two ports that nobody uses.
func freePorts() (int, int, error) {
	var ports [2]int
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, 0, err
		}
		defer l.Close()
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports[0], ports[1], nil
}
