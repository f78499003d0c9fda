//go:build darwin || freebsd || netbsd

package filewatch

import (
	"os"
	"syscall"
	"time"
)

// changeTime is when anything of a file changed, its times included; zero where
// it is not known.
func changeTime(info os.FileInfo) time.Time {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(s.Ctimespec.Unix())
	}
	return time.Time{}
}
