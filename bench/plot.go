package main

import (
	"fmt"
	"math"
	"strings"
)

// plot is one diagram: lines over a logarithmic axis.
type plot struct {
	title, x, y string
	lines       []line
	logY        bool
}

type line struct {
	name string
	x, y []float64
}

// The size of a plot, and the room in it around the diagram.
const (
	plotWidth, plotHeight = 460, 300
	left, right           = 62, 18
	top, bottom           = 40, 46
)

var lineColors = []string{"#1f6feb", "#d1242f"}

// page is plots side by side, two in a row, as one SVG.
func page(plots []plot) string {
	var s strings.Builder
	rows := (len(plots) + 1) / 2
	fmt.Fprintf(&s, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", 2*plotWidth, rows*plotHeight)
	fmt.Fprintf(&s, `<rect width="%d" height="%d" fill="#ffffff"/>`+"\n", 2*plotWidth, rows*plotHeight)
	for i, p := range plots {
		fmt.Fprintf(&s, `<g transform="translate(%d %d)">`+"\n", i%2*plotWidth, i/2*plotHeight)
		p.draw(&s)
		s.WriteString("</g>\n")
	}
	s.WriteString("</svg>\n")
	return s.String()
}

func (p plot) draw(s *strings.Builder) {
	xMin, xMax := math.Inf(1), math.Inf(-1)
	yMin, yMax := math.Inf(1), 0.0
	for _, l := range p.lines {
		for i := range l.x {
			xMin, xMax = min(xMin, l.x[i]), max(xMax, l.x[i])
			yMin, yMax = min(yMin, l.y[i]), max(yMax, l.y[i])
		}
	}
	xAt := func(v float64) float64 {
		return left + (math.Log10(v)-math.Log10(xMin))/(math.Log10(xMax)-math.Log10(xMin))*(plotWidth-left-right)
	}
	yTicks := linearTicks(yMax)
	if p.logY {
		yTicks = logTicks(yMin, yMax)
	}
	low, high := yTicks[0], yTicks[len(yTicks)-1]
	yAt := func(v float64) float64 {
		share := (v - low) / (high - low)
		if p.logY {
			share = (math.Log10(v) - math.Log10(low)) / (math.Log10(high) - math.Log10(low))
		}
		return plotHeight - bottom - share*(plotHeight-top-bottom)
	}
	text := func(x, y float64, anchor, more, content string) {
		fmt.Fprintf(s, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="#1f2328"%s>%s</text>`+"\n", x, y, anchor, more, content)
	}
	text(plotWidth/2, 18, "middle", ` font-weight="bold"`, p.title)
	for _, v := range yTicks {
		y := yAt(v)
		fmt.Fprintf(s, `<path d="M%d %.1fH%d" stroke="#d1d9e0"/>`+"\n", left, y, plotWidth-right)
		text(left-6, y+4, "end", "", number(v))
	}
	for _, v := range p.lines[0].x {
		fmt.Fprintf(s, `<path d="M%.1f %dv4" stroke="#59636e"/>`+"\n", xAt(v), plotHeight-bottom)
	}
	for _, v := range labelled(p.lines[0].x, xAt) {
		text(xAt(v), plotHeight-bottom+17, "middle", "", number(v))
	}
	text((left+plotWidth-right)/2, plotHeight-8, "middle", "", p.x)
	text(12, 32, "start", ` font-size="11"`, p.y)
	for i, l := range p.lines {
		color := lineColors[i%len(lineColors)]
		var d strings.Builder
		for j := range l.x {
			fmt.Fprintf(&d, "%s%.1f %.1f", map[bool]string{true: "M", false: "L"}[j == 0], xAt(l.x[j]), yAt(l.y[j]))
			fmt.Fprintf(s, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>`+"\n", xAt(l.x[j]), yAt(l.y[j]), color)
		}
		fmt.Fprintf(s, `<path d="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", d.String(), color)
		if len(p.lines) > 1 {
			y := float64(32)
			x := float64(plotWidth-right) - float64(len(p.lines)-1-i)*110
			text(x, y, "end", fmt.Sprintf(` style="fill:%s"`, color), l.name)
		}
	}
}

// labelled are the values whose labels have room beside each other.
func labelled(values []float64, at func(float64) float64) (list []float64) {
	last := math.Inf(-1)
	for _, v := range values {
		if at(v)-last >= 44 {
			list, last = append(list, v), at(v)
		}
	}
	return list
}

func linearTicks(most float64) []float64 {
	if most <= 0 {
		return []float64{0, 1}
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for _, part := range []float64{0.2, 0.25, 0.5, 1} {
		if most/(step*part) <= 5 {
			step *= part
			break
		}
	}
	ticks := []float64{0}
	for v := step; ; v += step {
		ticks = append(ticks, v)
		if v >= most {
			return ticks
		}
	}
}

func logTicks(least, most float64) (ticks []float64) {
	if least <= 0 {
		panic("a logarithmic axis has no place for 0")
	}
	for v := math.Pow(10, math.Floor(math.Log10(least))); ; v *= 10 {
		ticks = append(ticks, v)
		if v >= most {
			return ticks
		}
	}
}

// number writes a figure as briefly as people read it.
func number(v float64) string {
	switch {
	case v >= 1e6:
		return trim(v/1e6) + "M"
	case v >= 1e3:
		return trim(v/1e3) + "k"
	}
	return trim(v)
}

func trim(v float64) string {
	s := fmt.Sprintf("%.2f", v)
	return strings.TrimRight(strings.TrimRight(s, "0"), ".")
}
