package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// machine is what the figures were measured on.
type machine struct {
	Processor  string `json:"processor"`
	Processors int    `json:"processors"`
	MemoryGiB  int    `json:"memory_gib"`
	System     string `json:"system"`
	Go         string `json:"go"`
	Caddy      string `json:"caddy"`
	HAProxy    string `json:"haproxy,omitempty"`
	Pinned     bool   `json:"pinned"`
	Date       string `json:"date"`
}

func thisMachine(b *bench) machine {
	m := machine{
		Processors: runtime.NumCPU(), Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH,
		Pinned: b.pinned, Date: time.Now().Format(time.DateOnly),
	}
	read := func(file, pattern string) string {
		text, err := os.ReadFile(file)
		if err != nil {
			return "unknown"
		}
		if found := regexp.MustCompile(pattern).FindSubmatch(text); found != nil {
			return strings.TrimSpace(string(found[1]))
		}
		return "unknown"
	}
	m.Processor = read("/proc/cpuinfo", `model name\s*:(.*)`)
	if kib, err := strconv.Atoi(read("/proc/meminfo", `MemTotal:\s*(\d+)`)); err == nil {
		m.MemoryGiB = (kib + 1<<19) >> 20
	}
	m.System += ", Linux " + read("/proc/version", `Linux version (\d+\.\d+)`)
	list := exec.Command("go", "list", "-m", "-f", "{{.Version}}", "github.com/caddyserver/caddy/v2")
	list.Dir = b.root
	if out, err := list.Output(); err == nil {
		m.Caddy = strings.TrimSpace(string(out))
	}
	if out, err := exec.Command("haproxy", "-v").Output(); err == nil {
		if found := regexp.MustCompile(`version (\d+\.\d+\.\d+)`).FindSubmatch(out); found != nil {
			m.HAProxy = string(found[1])
		}
	}
	return m
}

func (m machine) String() string {
	s := fmt.Sprintf("%s, %d processors, %d GiB, %s; %s, Caddy %s", m.Processor, m.Processors, m.MemoryGiB, m.System, m.Go, m.Caddy)
	if m.HAProxy != "" {
		s += ", HAProxy " + m.HAProxy
	}
	return s
}
