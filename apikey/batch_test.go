package apikey

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Lines are parsed in batches by several goroutines, and come in their order all the
// same. The first fault in the file is the one that is told of, no matter which sees it first.
func TestRecordsComeInTheirOrder(t *testing.T) { // not parallel: it counts goroutines
	const n = 10*batchLines + 17
	before := runtime.NumGoroutine()
	for _, parsers := range []int{1, 2, 3, 8} {
		for _, row := range []struct {
			broken, refused int // line, 0 for none
			want            int
		}{
			{0, 0, 0}, {1, 0, 1}, {batchLines, 0, batchLines}, {batchLines + 1, 0, batchLines + 1}, {n, 0, n},
			{0, 1, 1}, {0, batchLines, batchLines}, {0, n, n}, {700, 699, 699}, {700, 701, 700}, {n, 3, 3},
		} {
			var text bytes.Buffer
			for i := 1; i <= n; i++ {
				if i == row.broken {
					text.WriteString("oops\n")
				} else {
					text.WriteString(keyLines(fmt.Sprint(i)))
				}
			}
			next := 1
			refused := errors.New("refused")
			err := eachRecord(bytes.NewReader(text.Bytes()), "keys.jsonl", parsers, func(r *Record, length, place int) error {
				if place != next || r.ID != fmt.Sprint(place) || length != len(keyLines(r.ID))-1 {
					t.Fatalf("%d parsers: line %d has the key %s and %d bytes; want line %d", parsers, place, r.ID, length, next)
				}
				if next++; place == row.refused {
					return refused
				}
				return nil
			})
			if row.want == 0 {
				if err != nil || next != n+1 {
					t.Errorf("%d parsers: %v in line %d", parsers, err, next)
				}
				continue
			}
			fault, ok := errors.AsType[*LineError](err)
			if !ok || fault.Line != row.want || errors.Is(err, refused) != (row.want == row.refused) {
				t.Errorf("%d parsers, %+v: %v", parsers, row, err)
			}
		}
	}
	// What a fault leaves behind ends by itself before the function returns.
	for deadline := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}

// What is wrong with the reading comes behind the records that were read.
func TestAFaultOfTheDiskComesLast(t *testing.T) {
	t.Parallel()
	for _, parsers := range []int{1, 3} {
		text := strings.Repeat("\n", 3) + strings.Repeat(keyLines("a"), 5*batchLines)
		seen := 0
		err := eachRecord(&failsBehind{strings.NewReader(text)}, "keys.jsonl", parsers, func(*Record, int, int) error {
			seen++
			return nil
		})
		if !errors.Is(err, errReset) || seen != 5*batchLines {
			t.Errorf("%d parsers: %v behind %d records", parsers, err, seen)
		}
	}
}

// failsBehind is a text behind which the disk fails.
type failsBehind struct{ text *strings.Reader }

func (f *failsBehind) Read(p []byte) (int, error) {
	if f.text.Len() == 0 {
		return 0, errReset
	}
	return f.text.Read(p)
}
