package command

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-jwt/caddy-jwt/apikey"
	"github.com/caddy-jwt/caddy-jwt/internal/terminal"
)

// switchKeyCommand returns the command `disable` or `enable`.
func switchKeyCommand(name string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   name + " <id | key | @file | @-> --file <file> | --store <store>",
		Short: map[string]string{"disable": "Makes the server refuse a key", "enable": "Makes the server accept a key again"}[name],
		Long: map[string]string{
			"disable": `
Marks a key as disabled in its file, by its id or by the key itself, and waits until
a running server that uses the file refuses it. enable undoes it.

    caddy jwt api-key disable NBEu81yBXx --file /etc/caddy/keys/keys.jsonl
    caddy jwt api-key disable @leaked.txt --file /etc/caddy/keys/keys.jsonl

With --store it is a key of a store, which all servers that share the store refuse; @file
and @- have an id or a key on each line.

    caddy jwt api-key disable NBEu81yBXx --store partners
`,
			"enable": `
Undoes disable, by the key's id or by the key itself, and waits until a running server
that uses the file accepts the key. An expired key stays expired.

    caddy jwt api-key enable NBEu81yBXx --file /etc/caddy/keys/keys.jsonl
    caddy jwt api-key enable NBEu81yBXx --store partners
`,
		}[name],
	}
	return changeKeyCommand(cmd, name+"d", func(f *apikey.Edit, r apikey.Record) error {
		r.Disabled = name == "disable"
		return f.Put(r)
	}, func(k storedKeys, arg string, asJSON bool) error {
		return k.switchKeys(cmd, arg, name == "enable", asJSON)
	})
}

// deleteKeyCommand returns the command `delete`.
func deleteKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "delete <id | key | @file | @-> --file <file> | --store <store>",
		Short: "Removes a key",
		Long: `
Removes the record of a key from a file, by its id or by the key itself, and waits
until a running server that uses the file refuses the key. It can't be undone;
disable can.

    caddy jwt api-key delete NBEu81yBXx --file /etc/caddy/keys/keys.jsonl
    caddy jwt api-key delete NBEu81yBXx --store partners
`,
	}
	return changeKeyCommand(cmd, "deleted", func(f *apikey.Edit, r apikey.Record) error {
		f.Delete(r.ID)
		return nil
	}, func(k storedKeys, arg string, asJSON bool) error {
		return k.deleteKeys(cmd, arg, asJSON)
	})
}

// changeKeyCommand makes cmd a command that changes one key of a file, or keys of a store.
// action is what was done, as it is printed.
func changeKeyCommand(cmd *cobra.Command, action string, inFile func(*apikey.Edit, apikey.Record) error, inStore func(k storedKeys, arg string, asJSON bool) error) *cobra.Command {
	file, store := fileFlag(cmd), storeFlag(cmd)
	server := serverFlags(cmd)
	asJSON := jsonFlag(cmd)
	return leaf(cmd, 1, 1, func(args []string) error {
		if err := errors.Join(checkPlace(cmd, *file, *store), server.find()); err != nil {
			return misuse(err)
		}
		if *file != "" {
			return changeRecord(cmd, server, *file, args[0], action, *asJSON, inFile)
		}
		k, done, err := server.openStore(cmd, *store)
		if err != nil {
			return err
		}
		defer done()
		return inStore(k, args[0], *asJSON)
	})
}

// changeRecord changes one key of a file, and waits until the server has applied that.
func changeRecord(cmd *cobra.Command, server *serverAddress, file, arg, action string, asJSON bool, change func(*apikey.Edit, apikey.Record) error) error {
	which, err := readArgument(cmd, arg)
	if err != nil {
		return err
	}
	which = strings.TrimSpace(which) // copied keys often have spaces around them
	var record apikey.Record
	changed, err := changeKeyFile(file, false, func(f *apikey.Edit) error {
		var ok bool
		if record, ok = f.Find(which); !ok {
			if record, ok = f.FindHash(apikey.DigestOf(which)); !ok {
				return unknownKey(f, file, which)
			}
		}
		return change(f, record)
	})
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), struct {
			ID     string `json:"id"`
			Action string `json:"action"`
		}{record.ID, action})
	} else {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s\n", terminal.Text(record.ID), action)
	}
	if err != nil {
		return err
	}
	return server.await(cmd, changed)
}

// unknownKey is the error for a key that a file does not have. It lists the ids of keys
// with this consumer or name, which people write instead of an id.
func unknownKey(f *apikey.Edit, file, which string) error {
	var ids []string
	for _, r := range f.Records() {
		if r.Consumer == which || r.Name == which {
			ids = append(ids, r.ID)
		}
	}
	if len(ids) == 0 {
		return withHint(fmt.Errorf("%s has no such key", file), "caddy jwt api-key list --file %s shows their ids", file)
	}
	const most = 10
	if more := len(ids) - most; more > 0 {
		ids = append(ids[:most], fmt.Sprintf("and %d more", more))
	}
	return withHint(fmt.Errorf("%s has no key with this id", file), "as a consumer or name it belongs to the key with the id: %s", strings.Join(ids, ", "))
}
