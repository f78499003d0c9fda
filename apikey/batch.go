package apikey

import (
	"errors"
	"io"
	"runtime"
	"sync"
)

// batchLines is how many lines are read before somebody parses them, and parsed
// before somebody takes them over: some 300 µs of work.
const batchLines = 128

// parserCount is how many goroutines parse. A file is taken over while a server
// answers requests, which are only seen at once while a processor has nothing else to
// do: so half of them are left. Three parse as fast as one takes over.
func parserCount() int { return max(1, min(runtime.GOMAXPROCS(0)/2, 3)) }

// batch is some lines in a row, then their records.
type batch struct {
	text    []byte // of the lines, which the records' texts are parts of
	lines   []placedLine
	records []Record
	err     error         // behind the records
	parsed  chan struct{} // holds one element when it is
}

// placedLine is where a line begins in the text, and its number.
type placedLine struct{ at, place int }

func newBatch() *batch { return &batch{parsed: make(chan struct{}, 1)} }

func (b *batch) line(i int) []byte {
	end := len(b.text)
	if i+1 < len(b.lines) {
		end = b.lines[i+1].at
	}
	return b.text[b.lines[i].at:end:end]
}

// parse makes the records of the lines, as far as there is no fault.
func (b *batch) parse(path string) {
	b.records = b.records[:0]
	for i := range b.lines {
		r, err := ParseRecord(b.line(i))
		if err != nil {
			b.err = &LineError{path, b.lines[i].place, err}
			break
		}
		b.records = append(b.records, r)
	}
	b.parsed <- struct{}{}
}

var errStopped = errors.New("nobody takes the records")

// eachRecord visits the records of a key file in their order. So many
// goroutines parse them, while another visits, as parsing takes three seconds for a
// million keys. A record is good until the function returns.
func eachRecord(in io.Reader, path string, parsers int, visit func(r *Record, length, place int) error) error {
	// What is read and not yet visited is bounded by the first channel.
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
	// The reader is the caller's, who may close it when this returns.
	defer running.Wait()
	defer close(stop)
	for b := range inOrder {
		<-b.parsed
		for i := range b.records {
			if err := visit(&b.records[i], len(b.line(i)), b.lines[i].place); err != nil {
				return &LineError{path, b.lines[i].place, err}
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
func readBatches(in io.Reader, path string, used <-chan *batch, hand func(*batch) error) {
	b := newBatch()
	err := eachLine(in, path, func(line []byte, place int) error {
		b.lines = append(b.lines, placedLine{len(b.text), place})
		b.text = append(b.text, line...)
		if len(b.lines) < batchLines {
			return nil
		}
		if err := hand(b); err != nil {
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
	_ = hand(b) // nobody takes it if somebody has a fault already
}
