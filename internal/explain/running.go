package explain

import (
	"context"
	"errors"
	"time"
)

// ErrAt is the error for a question about another time than now that a running server gets.
var ErrAt = errors.New("a running server can be asked for now alone; name its config to ask for another time")

// ErrBusy is the error for a question that could not be answered in time.
var ErrBusy = errors.New("other questions are being answered; try again")

// Limits are the limits on the questions that a process answers for others.
type Limits struct{ places chan struct{} }

// Running are those of this process: explaining must not be a way to keep a server busy.
var Running = Limits{make(chan struct{}, 4)}

// answerTime is how long an answer may take. Keys may have to be waited for.
const answerTime = 10 * time.Second

// Begin waits for a place among those that are answered, and returns a context that ends when
// an answer has taken too long, and what gives the place back.
func (l Limits) Begin(ctx context.Context) (context.Context, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	select {
	case l.places <- struct{}{}:
		return ctx, func() { cancel(); <-l.places }, nil
	case <-ctx.Done():
		cancel()
		return nil, nil, ErrBusy
	}
}
