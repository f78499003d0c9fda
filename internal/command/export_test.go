package command

import "time"

// In tests nobody waits as long as in earnest.
func init() { storedWait = time.Second }

// Completes reports whether it is known what may be the value of a flag, or that nobody can
// know.
func Completes(command, flag string) bool {
	return flagCompleters[command+" --"+flag] != nil || flagCompleters[flag] != nil || isFreeText(command, flag)
}
