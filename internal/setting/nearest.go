package setting

import "strings"

// Nearest returns the option that a misspelled one probably means: the first that begins
// with it, else the one with the smallest edit distance, at most a third of its letters.
// It returns an empty string if there is none.
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

// Near reports whether two words differ by one letter.
func Near(wrong, option string) bool { return editDistance(wrong, option) <= 1 }

// editDistance returns the Levenshtein distance: how many letters to insert, delete or
// change.
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
