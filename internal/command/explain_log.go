package command

import (
	"errors"

	"github.com/spf13/cobra"
)

func explainLog(cmd *cobra.Command, arg string, server *serverAddress, asJSON bool) error {
	return errors.New("not yet")
}
