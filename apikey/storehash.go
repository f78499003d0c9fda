package apikey

// IDOf returns the id of the key with this digest, valid or not; false if there is none.
func (s *Store) IDOf(d Digest) (id string, ok bool) {
	k, ok := s.view.Load().find(&d)
	if !ok {
		return "", false
	}
	return k.ID(), true
}
