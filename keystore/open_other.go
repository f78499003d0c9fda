//go:build !unix

package keystore

// openNoWait is not needed here: pipes have no name in a folder.
const openNoWait = 0
