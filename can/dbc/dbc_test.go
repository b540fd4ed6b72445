package dbc

import (
	"testing"
)

// mustParse parses a text without fault.
func mustParse(t testing.TB, text string) *Database {
	t.Helper()
	db, err := Parse("test.dbc", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range db.Problems() {
		t.Errorf("unexpected problem: %v", problem)
	}
	return db
}
