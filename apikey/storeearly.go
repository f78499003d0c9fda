package apikey

import "context"

// AwaitNews is called for a key that is refused, and reports whether it is worth to look
// again. If the text has the form of a key, it may have been made or enabled on another node
// a moment ago: then one sync is brought forward, within limits, and awaited for a second
// at most. It does not depend on whether the key is known, so that nobody can tell a
// disabled key from an unknown one by the time.
func (s *Store) AwaitNews(ctx context.Context, text string) bool {
	if _, ok := IDOf(text); !ok {
		return false
	}
	_, ended := s.early.Await(ctx)
	return ended
}
