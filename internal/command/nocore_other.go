//go:build !unix

package command

// noCoreFiles has nothing to do here: such systems leave no core files by themselves.
func noCoreFiles() {}
