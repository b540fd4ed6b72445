package config

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// File is the path as it was given.
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

// Errors is all that is wrong with a configuration, in the order of the file.
type Errors []Problem

// Error gives one problem a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, p := range e {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds what is kept of a file that is something else altogether.
const maxProblems = 100

// sorted puts the problems into the order of the file and drops repetitions. Those
// above maxProblems become one that counts them.
func (e Errors) sorted() Errors {
	sort.SliceStable(e, func(i, j int) bool {
		return cmp.Or(cmp.Compare(e[i].Line, e[j].Line), cmp.Compare(e[i].Column, e[j].Column)) < 0
	})
	e = slices.Compact(e)
	if more := len(e) - maxProblems; more > 0 {
		e = e[:maxProblems+1]
		e[maxProblems].Message = fmt.Sprintf("and so on: %d more problems from here", more)
	}
	return e
}

// alternatives joins names as "a, b or c".
func alternatives(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
