package apikey

import "context"

// Disable makes the nodes refuse a key, at once on this one.
func (s *Store) Disable(ctx context.Context, id string, by Actor) (stored bool, err error) {
	off := s.fact(factOff, id, by)
	off.id = randomID()
	s.mu.Lock()
	_, err = s.key(id)
	s.mu.Unlock()
	if err != nil {
		return false, err
	}
	// Also if it is disabled: that may be removed at this moment on another node.
	return s.tighten(ctx, off)
}

// Enable makes them accept it again, once that is stored. A disabling that this node has not
// seen stays.
func (s *Store) Enable(ctx context.Context, id string, by Actor) error {
	on := s.fact(factOn, id, by)
	var facts []fact
	s.mu.Lock()
	k, err := s.key(id)
	if err == nil {
		for _, off := range k.offs {
			if !off.gone {
				on.id = off.id
				facts = append(facts, on)
			}
		}
	}
	s.mu.Unlock()
	if err != nil || len(facts) == 0 {
		return err
	}
	return s.loosen(ctx, facts...)
}

// Delete removes a key for ever, at once on this node.
func (s *Store) Delete(ctx context.Context, id string, by Actor) (stored bool, err error) {
	dead := s.fact(factDead, id, by)
	s.mu.Lock()
	_, err = s.key(id)
	s.mu.Unlock()
	if err != nil {
		return false, err
	}
	return s.tighten(ctx, dead)
}
