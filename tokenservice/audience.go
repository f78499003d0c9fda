package tokenservice

// Audience returns the resources that the service issues tokens for.
func (s *Service) Audience() []string { return s.config.Audience }
