//go:build !linux

// Command bare stands for systemd in a system for tests.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "bare is the first process of a system for tests, which runs Linux")
	os.Exit(2)
}
