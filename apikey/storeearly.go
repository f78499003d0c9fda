package apikey

import "context"

// AwaitNews is called for a key that is refused, and reports whether it is worth to look
// again. If the text has the form of a key, it may have been made or enabled on another node
// a moment ago: then one sync is brought forward, within limits, and awaited for a second
// at most. It does not depend on whether the key is known, so that nobody can tell a
// disabled key from an unknown one by the time.
func (s *Store) AwaitNews(ctx context.Context, text string) bool {
	_, ok := IDOf(text)
	return ok && s.awaitSync(ctx)
}

// AwaitID is AwaitNews for the id of a key that is unknown, which may have been made on
// another node a moment ago. Of what is asked for by a text and by an id, no more syncs are
// brought forward than of one of them.
func (s *Store) AwaitID(ctx context.Context, id string) bool {
	return CheckID(id) == nil && s.awaitSync(ctx)
}

// awaitSync brings a sync forward, and reports whether it ended soon.
func (s *Store) awaitSync(ctx context.Context) bool {
	_, ended := s.early.Await(ctx)
	return ended
}
