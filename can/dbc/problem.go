package dbc

import (
	"fmt"
	"slices"
	"sort"
)

// Problem is something wrong with a database, and what was made of it.
type Problem struct {
	File string
	// Line and Column count from 1, the column in characters.
	Line    int
	Column  int
	Message string
}

// String gives the form that editors understand: file:line:column: message.
func (p Problem) String() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.Message)
}

// maxProblems bounds what is kept of a file that is all wrong.
const maxProblems = 1000

// Problems returns what Parse found wrong with the file, in file order: bad
// lines, and what the lines mean together (signals that overlap or do not fit,
// references to what is not there). At most 1,000 are kept, and then one that
// counts the others.
func (db *Database) Problems() []Problem { return slices.Clone(db.problems) }

func sortProblems(problems []Problem) {
	sort.SliceStable(problems, func(i, j int) bool {
		a, b := &problems[i], &problems[j]
		return a.Line < b.Line || a.Line == b.Line && a.Column < b.Column
	})
}
