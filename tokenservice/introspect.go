package tokenservice

import "net/http"

func (s *Service) serveIntrospect(w http.ResponseWriter, r *http.Request, from Request) {}
