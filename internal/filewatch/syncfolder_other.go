//go:build !unix

package filewatch

// SyncFolder does nothing: folders can't be synced here.
func SyncFolder(string) error { return nil }
