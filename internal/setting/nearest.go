package setting

import "strings"

// Nearest finds the option that a wrong one was meant to be: the first that it
// begins, else the one that is the fewest letters away, a third of them at
// most. It is empty if there is none.
func Nearest(wrong string, options []string) string {
	const short = 3
	best, distance := "", len(wrong)/3+1
	for _, o := range options {
		if len(wrong) >= short && strings.HasPrefix(o, wrong) {
			return o
		}
		if d := editDistance(wrong, o); d < distance {
			best, distance = o, d
		}
	}
	return best
}

// editDistance counts the letters to put in, take out or change (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
