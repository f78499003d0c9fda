package main

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

//go:embed wrk.lua
var wrkScript []byte

// credential is what a load sends: each line of a file behind a prefix in a
// header, and with a form a POST of that, or with body one of the JSON in that file.
type credential struct {
	file, header, prefix, form, body string
}

// traffic is what came of a load.
type traffic struct {
	requests int
	took     time.Duration
	p50, p99 time.Duration
	refused  int // answers that are no 2xx or 3xx
}

var wrkResult = regexp.MustCompile(`(?m)^RESULT (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)$`)

// send has wrk send one request after the other over 16 connections, until the
// time is over or all lines of a file of several are sent.
func (b *bench) send(url string, c credential, atMost time.Duration) (traffic, error) {
	load, err := b.load(url, c, atMost)
	if err != nil {
		return traffic{}, err
	}
	out, err := load.CombinedOutput()
	return cameOf(out, err)
}

// load is the command behind send.
func (b *bench) load(url string, c credential, atMost time.Duration) (*exec.Cmd, error) {
	script := filepath.Join(b.dir, "wrk.lua")
	if err := os.WriteFile(script, wrkScript, 0o600); err != nil {
		return nil, err
	}
	args := b.onProcessor(loadProcessor, "wrk", "-t1", "-c16", "-d"+strconv.Itoa(int(atMost.Seconds()))+"s", "--timeout", "10s",
		"-s", script, url, "--", c.file, c.header, c.prefix, c.form, c.body)
	return exec.Command(args[0], args[1:]...), nil
}

// turn is how long one of two loads is under way while the other pauses: so short
// that whatever else the machine does disturbs both alike, and so long that what the
// other server has left in the processor's caches does not count.
const turn = 100 * time.Millisecond

// inTurns has two loads take turns, for as long as either lasts. Both are told to
// last for twice the time that each has.
func inTurns(loads [2]*exec.Cmd) (came [2]traffic, err error) {
	var out [2]bytes.Buffer
	var ended [2]chan error
	var errs []error
	for i, load := range loads {
		load.Stdout, load.Stderr = &out[i], &out[i]
		if err := load.Start(); err != nil {
			errs = append(errs, err)
			continue
		}
		ended[i] = make(chan error, 1)
		go func() { ended[i] <- load.Wait() }()
	}
	tick := time.NewTicker(turn)
	defer tick.Stop()
	for n := 0; ended[0] != nil || ended[1] != nil; n++ {
		for i, load := range loads {
			signal := syscall.SIGSTOP
			// One that is alone goes on to its end.
			if i == n%2 || ended[1-i] == nil {
				signal = syscall.SIGCONT
			}
			if ended[i] != nil {
				_ = load.Process.Signal(signal) // it may have ended
			}
		}
		select {
		case err := <-ended[0]:
			ended[0] = nil
			came[0], err = cameOf(out[0].Bytes(), err)
			errs = append(errs, err)
		case err := <-ended[1]:
			ended[1] = nil
			came[1], err = cameOf(out[1].Bytes(), err)
			errs = append(errs, err)
		case <-tick.C:
		}
	}
	return came, errors.Join(errs...)
}

// cameOf reads what wrk says at its end.
func cameOf(out []byte, err error) (traffic, error) {
	if err != nil {
		return traffic{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	m := wrkResult.FindSubmatch(out)
	if m == nil {
		return traffic{}, fmt.Errorf("wrk does not say how it went:\n%s", out)
	}
	var n [6]int
	for i := range n {
		if n[i], err = strconv.Atoi(string(m[i+1])); err != nil {
			return traffic{}, err
		}
	}
	if n[5] > 0 {
		return traffic{}, fmt.Errorf("%d requests failed:\n%s", n[5], out)
	}
	if n[0] == 0 {
		return traffic{}, fmt.Errorf("no request was answered:\n%s", out)
	}
	return traffic{
		requests: n[0], took: time.Duration(n[1]) * time.Microsecond,
		p50: time.Duration(n[2]) * time.Microsecond, p99: time.Duration(n[3]) * time.Microsecond, refused: n[4],
	}, nil
}

// The server under test and what sends to it have a processor each, where there
// are two: they must not take each other's time.
const (
	serverProcessor = 0
	loadProcessor   = 1
)

// onProcessor is the command bound to a processor, or as it is where that can't
// be done.
func (b *bench) onProcessor(n int, command ...string) []string {
	if !b.pinned {
		return command
	}
	return append([]string{"taskset", "-c", strconv.Itoa(n)}, command...)
}
