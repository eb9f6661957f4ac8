package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong, and where. Line and Column count from 1, Column in characters; a Line of 0 is the file as a
// whole. Text is the line itself, with secrets replaced.
type Problem struct {
	File         string
	Line, Column int
	Message      string
	Suggestion   string // a name that was probably meant
	Text         string
}

// String is `file:line:column: message`, the line, and a caret below the place with the suggestion behind it.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	hint := ""
	if p.Suggestion != "" {
		hint = "did you mean `" + p.Suggestion + "`?"
	}
	if strings.TrimSpace(p.Text) == "" {
		if hint != "" {
			b.WriteString("; " + hint)
		}
		return b.String()
	}
	text, column := p.excerpt()
	fmt.Fprintf(&b, "\n    %s\n    %s^", text, blank(text, column-1))
	if hint != "" {
		b.WriteString(" " + hint)
	}
	return b.String()
}

// excerpt is the line and the column in it; of a long line, what stands around the column.
func (p Problem) excerpt() (text string, column int) {
	const before, after = 80, 60
	row, column := []rune(p.Text), p.Column
	if len(row) <= before+after {
		return p.Text, column
	}
	if len(row) > column+after {
		row = append(slices.Clone(row[:column+after]), '…')
	}
	if column > before {
		cut := min(column-before, len(row)-1)
		row, column = append([]rune{'…'}, row[cut:]...), column-cut+1
	}
	return string(row), column
}

// blank is as wide as the first n characters of a line: tabs stay, everything else is a space.
func blank(line string, n int) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' {
			return '\t'
		}
		return ' '
	}, string(firstRunes(line, n)))
}

func firstRunes(s string, n int) []rune {
	runes := []rune(s)
	return runes[:max(0, min(n, len(runes)))]
}

// Problems are all that was found, in the order of files and lines. As an error it prints them all.
type Problems []Problem

// Error is every problem, a blank line between them.
func (ps Problems) Error() string {
	texts := make([]string, len(ps))
	for i, p := range ps {
		texts[i] = p.String()
	}
	return strings.Join(texts, "\n\n")
}

// Err is the problems as an error, nil if there is none.
func (ps Problems) Err() error {
	if len(ps) == 0 {
		return nil
	}
	return ps
}

// sorted orders problems by place and drops repetitions, which aliases cause.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Message, b.Message))
	})
	return slices.Compact(ps)
}

// nearest is the known name that was probably meant: at most one edit in three letters away (insert, delete, change, swap two
// neighbours), case and the difference between - and _ aside; else the only one that begins alike. Empty if there is none.
func nearest(name string, known []string) string {
	limit := max(1, len(name)/3)
	best, least := "", limit+1
	var longer []string
	for _, k := range known {
		if k == "" || k == name {
			continue
		}
		if d := distance(fold(name), fold(k)); d < least || d == least && d <= limit && k < best {
			best, least = k, d
		}
		if len(name) >= 3 && strings.HasPrefix(fold(k), fold(name)) || len(k) >= 3 && strings.HasPrefix(fold(name), fold(k)) {
			longer = append(longer, k)
		}
	}
	if best == "" && len(longer) == 1 {
		return longer[0]
	}
	return best
}

func fold(s string) string {
	return strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(s))
}

// distance is the optimal string alignment distance.
func distance(a, b string) int {
	if len(a) > 100 || len(b) > 100 {
		return 100
	}
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(last[j]+1, row[j-1]+1, change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
