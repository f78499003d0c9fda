package tokenservice

import "net/http"

func (s *Service) serveRevoke(w http.ResponseWriter, r *http.Request, from Request) {}
