package admin

import "net/http"

// accept serves POST /jwt/state/accept, whose body is {}.
func accept(c *change) (int, any, error) {
	if err := (members{}).read(c.body); err != nil {
		return 0, nil, err
	}
	if _, err := parameters(c.request); err != nil {
		return 0, nil, err
	}
	n, err := c.state.Accept(c.ctx)
	if err != nil {
		return 0, nil, storageError(err, http.StatusServiceUnavailable)
	}
	return http.StatusOK, AcceptAnswer{Signed: n}, nil
}
