package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/admin"
)

// The limits of one request: that of the server, with room for the rest of the body.
const (
	importBatchKeys  = 200
	importBatchBytes = 96 << 10
)

// keyBatch is the keys of one request.
type keyBatch struct {
	ids   []string
	lines []json.RawMessage
	size  int
}

// importBatches puts records into batches.
func importBatches(records []apikey.Record) ([]keyBatch, error) {
	var batches []keyBatch
	for _, r := range records {
		line, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		last := len(batches) - 1
		if last < 0 || len(batches[last].ids) == importBatchKeys || batches[last].size+len(line) > importBatchBytes {
			batches, last = append(batches, keyBatch{}), last+1
		}
		b := &batches[last]
		b.ids, b.lines, b.size = append(b.ids, r.ID), append(b.lines, line), b.size+len(line)
	}
	return batches, nil
}

// join joins two notes, of which each may be empty.
func join(first, second string) string {
	if first != "" && second != "" {
		return first + "; " + second
	}
	return first + second
}

// importStore takes keys over into a store. Only hashes are sent. A dry run sends nothing, so
// it does not know which keys the store has already.
func importStore(cmd *cobra.Command, server *serverAddress, store string, rows []apikey.ImportRow, strict, dryRun, asJSON bool) error {
	edit := apikey.NewEdit()
	results := edit.Import(rows, time.Now())
	refusedRows := len(newImportReport(results, false).Keys)
	nothing := errNothingImported
	if strict && refusedRows > 0 {
		nothing = errSkipped
	}
	if strict && refusedRows > 0 || refusedRows == len(results) {
		if err := newImportReport(results, false).print(cmd, asJSON); err != nil {
			return err
		}
		return nothing
	}
	if dryRun {
		return printDryRun(cmd, results, asJSON)
	}
	k, done, err := server.openStore(cmd, store)
	if err != nil {
		return err
	}
	defer done()
	byID := map[string]int{} // the row that became the record of an id
	for n := range results {
		if results[n].Action == apikey.ImportAdded {
			byID[results[n].ID] = n
		}
	}
	batches, err := importBatches(edit.Records())
	if err != nil {
		return err
	}
	stored, written := true, false
	for _, batch := range batches {
		var answer admin.KeyImportAnswer
		if err == nil {
			answer, err = k.ImportKeys(cmd.Context(), admin.KeyImport{Store: store, Import: batch.lines})
		}
		if err == nil && len(answer.Keys) != len(batch.ids) {
			err = errors.New("the server does not say what it did with each key")
		}
		if err == nil {
			stored, written = stored && answer.Stored, true
		}
		for i, id := range batch.ids {
			r := &results[byID[id]]
			if err != nil {
				r.ID, r.Action, r.Note = "", apikey.ImportSkipped, "the import ended before it"
				continue
			}
			r.ID, r.Action, r.Note = answer.Keys[i].ID, answer.Keys[i].Action, join(r.Note, answer.Keys[i].Note)
		}
	}
	if !written {
		return refused(err)
	}
	skipped := newImportReport(results, false).Counts[apikey.ImportSkipped]
	if printErr := newImportReport(results, skipped < len(results)).print(cmd, asJSON); printErr != nil {
		return printErr
	}
	if err == nil && skipped == len(results) {
		return errNothingImported
	}
	if err == nil {
		err = k.await(cmd.Context(), stored)
	}
	if err == nil && strict && skipped > 0 {
		err = withHint(fmt.Errorf("%s not imported", counted(skipped, "key")), "the report says why")
	}
	return err
}
