//go:build !unix

package filewatch

// noWait is not needed here: pipes have no name in a folder.
const noWait = 0
