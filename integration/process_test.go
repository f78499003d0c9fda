package integration

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"testing"
	"time"
)

// needProc skips a test that looks into a process where that is not possible.
func needProc(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "linux" {
		return
	}
	const reason = "there is no /proc to measure a process by"
	if os.Getenv("CI") == "true" {
		t.Fatal(reason)
	}
	t.Skip(reason)
}

// residentMiB is how much memory the process has (VmRSS).
func (c *caddy) residentMiB(t *testing.T) float64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return number(t, text, `VmRSS:\s*(\d+) kB`) / 1024
}

// openFiles is how many file descriptors the process has.
func (c *caddy) openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", c.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// goroutines is how many the process has.
func (c *caddy) goroutines(t *testing.T) int {
	t.Helper()
	return int(number(t, c.profile(t, "goroutine?debug=1"), `goroutine profile: total (\d+)`))
}

// heapMiB is the size of the live heap, after a collection.
func (c *caddy) heapMiB(t *testing.T) float64 {
	t.Helper()
	return number(t, c.profile(t, "heap?gc=1&debug=1"), `# HeapAlloc = (\d+)`) / (1 << 20)
}

func (c *caddy) profile(t *testing.T, name string) []byte {
	t.Helper()
	a, err := c.adminDo("GET", "/debug/pprof/"+name, 20*time.Second)
	if err != nil || a.status != 200 {
		t.Fatalf("the profile %s: status %d, %v", name, a.status, err)
	}
	return []byte(a.body)
}

func number(t *testing.T, text []byte, pattern string) float64 {
	t.Helper()
	match := regexp.MustCompile(pattern).FindSubmatch(text)
	if match == nil {
		t.Fatalf("no %s", pattern)
	}
	n, err := strconv.ParseFloat(string(match[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
