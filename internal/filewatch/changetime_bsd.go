//go:build darwin || freebsd || netbsd

package filewatch

import (
	"os"
	"syscall"
	"time"
)

// changeTime returns when the content or metadata of a file last changed, or the zero
// time if that is not known.
func changeTime(info os.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctimespec.Unix())
	}
	return time.Time{}
}
