package tokenservice

import "net/http"

func (s *Service) serveMetadata(w http.ResponseWriter, r *http.Request, from Request)        {}
func (s *Service) serveForwardMetadata(w http.ResponseWriter, r *http.Request, from Request) {}
func (s *Service) serveKeySet(w http.ResponseWriter, r *http.Request, from Request)          {}
func (s *Service) serveForwardKeySet(w http.ResponseWriter, r *http.Request, from Request)   {}
