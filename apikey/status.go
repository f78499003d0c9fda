package apikey

import "time"

// Status is the state of a key file, for an admin page. It holds no hash.
type Status struct {
	// State is "fresh", or "stale" if the last reading failed and the previous keys
	// are in use.
	State string `json:"state"`
	// File is the path of the file.
	File string `json:"file"`
	// Keys is the number of keys in use.
	Keys int `json:"keys"`
	// LoadedAt is when they were read.
	LoadedAt time.Time `json:"loaded_at"`
	// Modified and Size are those of the file that they were read from.
	Modified time.Time `json:"modified"`
	Size     int64     `json:"size"`
	// LastError is why the latest reading failed, empty if it did not.
	LastError string `json:"last_error,omitempty"`
	// LastErrorAt is when it occurred.
	LastErrorAt time.Time `json:"last_error_at,omitzero"`
	// Failures is the number of errors since the last success.
	Failures int `json:"failures"`
}

// Status returns the state of the file.
func (f *File) Status() Status {
	w := f.watched.Status()
	file := w.Current.State[0]
	s := Status{
		State: "fresh", File: f.path, Keys: w.Current.Value.Len(), LoadedAt: w.Current.At,
		Modified: file.ModTime(), Size: file.Size(), Failures: w.Failures,
	}
	if w.Err != nil {
		s.State, s.LastError, s.LastErrorAt = "stale", cut(w.Err.Error(), 500), w.ErrAt
	}
	return s
}
