//go:build !linux && !dragonfly && !openbsd && !solaris && !illumos && !darwin && !freebsd && !netbsd

package filewatch

import (
	"os"
	"time"
)

// changeTime returns the zero time: the change time is not known on these systems.
func changeTime(os.FileInfo) time.Time { return time.Time{} }
