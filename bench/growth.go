package main

import "fmt"

// leastMicros is the least that a plot shows: less can't be told from nothing.
const leastMicros = 0.01

// growth is how the handler's cost grows with what a site has.
func (g *goBenches) growth() []plot {
	of := func(name string, format string, sizes ...int) line {
		l := line{name: name}
		for _, n := range sizes {
			l.x = append(l.x, float64(n))
			micros, _ := g.net(fmt.Sprintf(format, n))
			l.y = append(l.y, max(micros, leastMicros))
		}
		return l
	}
	const y = "µs a request, in the handler"
	claims := []int{200, 500, 1000, 2000, 4000, 8000}
	return []plot{
		{title: "Issuers of a site (token seen before)", x: "issuers", y: y, lines: []line{
			of("", "GrowthIssuers/%d", 1, 10, 100, 1000)}},
		{title: "API keys", x: "keys", y: y, lines: []line{
			of("", "GrowthAPIKeys/%d", 10, 100, 1000, 10_000, 100_000, 1_000_000)}},
		{title: "Different tokens in use (cache of 64 MiB)", x: "tokens, each as often as any other", y: y + " (logarithmic)", logY: true, lines: []line{
			of("", "GrowthTokens/%d", 1, 10, 100, 1000, 5000, 10_000, 20_000, 100_000, 1_000_000)}},
		{title: "Size of the claims", x: "bytes of claims", y: y + " (logarithmic)", logY: true, lines: []line{
			of("seen before", "GrowthClaims/%d/seen", claims...), of("never seen", "GrowthClaims/%d/never_seen", claims...)}},
	}
}
