//go:build linux || dragonfly || openbsd || solaris || illumos

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
		return time.Unix(s.Ctim.Unix())
	}
	return time.Time{}
}
