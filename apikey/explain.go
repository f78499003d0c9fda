package apikey

import (
	"fmt"
	"strings"
	"time"

	"github.com/caddy-jwt/caddy-jwt/reason"
)

// Sighting is an API key in one of the places that a Lookup has.
type Sighting struct {
	// Place is where the key is: "the config", "the file …" or "the store …".
	Place string
	// Key is the key.
	Key Key
	// Reason is why it is not accepted there, empty if it is.
	Reason reason.Code
}

// Sightings returns where the key with this text is, accepted or not, in the order of Find.
// It waits for nothing and counts nothing: it is for people who ask why a key is refused.
func (l *Lookup) Sightings(text string, now time.Time) []Sighting {
	if len(text) > MaxLength {
		return nil
	}
	var list []Sighting
	digest := DigestOf(text)
	in := func(place string, s *Set) {
		if k, ok := s.Find(digest); ok {
			_, code := combine(k, true, now, Key{}, reason.UnknownAPIKey)
			list = append(list, Sighting{place, k, code})
		}
	}
	if l.Written != nil {
		in("the config", l.Written)
	}
	if l.Placed != nil {
		in("the config", l.Placed.Set())
	}
	for _, file := range l.Files {
		in("the file "+file.path, file.Set())
	}
	for _, s := range l.Stores {
		if k, code := s.Find(digest, now); code != reason.UnknownAPIKey {
			list = append(list, Sighting{"the store " + s.Name(), k, code})
		}
	}
	return list
}

// Describe says in words what is known of the key with this text at a time: its id, its
// consumer, and whether it is in force in each place. Of the text it has nothing but the id
// that is no secret.
func (l *Lookup) Describe(text string, now time.Time) string {
	var list []string
	for _, s := range l.Sightings(text, now) {
		words := fmt.Sprintf("the key %s of %s in %s", s.Key.ID(), s.Key.Consumer(), s.Place)
		switch expires := s.Key.Expires(); {
		case s.Reason == reason.APIKeyDisabled:
			words += ", which is disabled"
		case s.Reason == reason.APIKeyExpired:
			words += ", which expired at " + reason.When(expires, now)
		case !expires.IsZero():
			words += ", which expires at " + reason.When(expires, now)
		}
		list = append(list, words)
	}
	if list != nil {
		return strings.Join(list, "; ")
	}
	if id, ok := IDOf(text); ok {
		return "a key with the id " + id + " in its text, which none of the places has"
	}
	return "a text that is no key in any of the places"
}

// Places returns all places that the Lookup has, as Sighting.Place names them.
func (l *Lookup) Places() []string {
	var list []string
	if l.Written != nil || l.Placed != nil {
		list = append(list, "the config")
	}
	for _, file := range l.Files {
		list = append(list, "the file "+file.path)
	}
	for _, s := range l.Stores {
		list = append(list, "the store "+s.Name())
	}
	return list
}
