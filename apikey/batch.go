package apikey

import (
	"errors"
	"io"
	"runtime"
	"sync"
)

// batchLines is the number of lines that are passed on at a time: some 300 µs of work.
const batchLines = 128

// parserCount returns the number of goroutines that parse. A file is read while a
// server answers requests, so half of the processors are left for those. Three parsers
// keep up with the one goroutine that builds the set.
func parserCount() int { return max(1, min(runtime.GOMAXPROCS(0)/2, 3)) }

// batch holds consecutive lines, and then their records.
type batch struct {
	text    []byte // of the lines; the records share its memory
	lines   []lineStart
	records []Record
	err     error         // behind the records
	parsed  chan struct{} // receives one element when the batch is parsed
}

// lineStart is where a line begins in the text, and its number.
type lineStart struct{ at, lineNumber int }

func newBatch() *batch { return &batch{parsed: make(chan struct{}, 1)} }

func (b *batch) line(i int) []byte {
	end := len(b.text)
	if i+1 < len(b.lines) {
		end = b.lines[i+1].at
	}
	return b.text[b.lines[i].at:end:end]
}

// parse parses the lines up to the first error.
func (b *batch) parse(path string) {
	b.records = b.records[:0]
	for i := range b.lines {
		r, err := ParseRecord(b.line(i))
		if err != nil {
			b.err = &LineError{path, b.lines[i].lineNumber, err}
			break
		}
		b.records = append(b.records, r)
	}
	b.parsed <- struct{}{}
}

var errStopped = errors.New("nobody takes the records")

// eachRecord visits the records of a key file in their order. So many
// goroutines parse them while another visits them, as parsing a million keys takes three
// seconds. A record is valid until visit returns.
func eachRecord(in io.Reader, path string, parsers int, visit func(r *Record, length, lineNumber int) error) error {
	// The first channel limits what is read and not yet visited.
	inOrder, toParse := make(chan *batch, 2*parsers), make(chan *batch, 2*parsers)
	used, stop := make(chan *batch, 2*parsers), make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer close(inOrder)
		defer close(toParse)
		readBatches(in, path, used, func(b *batch) error {
			select {
			case inOrder <- b:
				toParse <- b // which parsers always come to
				return nil
			case <-stop:
				return errStopped
			}
		})
	})
	for range parsers {
		running.Go(func() {
			for b := range toParse {
				b.parse(path)
			}
		})
	}
	// The caller may close the reader when this returns.
	defer running.Wait()
	defer close(stop)
	for b := range inOrder {
		<-b.parsed
		for i := range b.records {
			if err := visit(&b.records[i], len(b.line(i)), b.lines[i].lineNumber); err != nil {
				return &LineError{path, b.lines[i].lineNumber, err}
			}
		}
		if b.err != nil {
			return b.err
		}
		select {
		case used <- b:
		default:
		}
	}
	return nil
}

// readBatches reads the lines of a key file and hands them on, the last with
// the fault that ends them.
func readBatches(in io.Reader, path string, used <-chan *batch, send func(*batch) error) {
	b := newBatch()
	err := eachLine(in, path, func(line []byte, lineNumber int) error {
		b.lines = append(b.lines, lineStart{len(b.text), lineNumber})
		b.text = append(b.text, line...)
		if len(b.lines) < batchLines {
			return nil
		}
		if err := send(b); err != nil {
			return err
		}
		select {
		case b = <-used:
			b.text, b.lines = b.text[:0], b.lines[:0]
		default:
			b = newBatch()
		}
		return nil
	})
	b.err = err
	_ = send(b) // nobody takes it if somebody has a fault already
}
