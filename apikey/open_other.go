//go:build !unix

package apikey

// openNoWait is not needed here: pipes have no name in a folder.
const openNoWait = 0
