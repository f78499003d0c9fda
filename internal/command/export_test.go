package command

import "time"

// In tests nobody waits as long as in earnest.
func init() { storedWait = time.Second }
