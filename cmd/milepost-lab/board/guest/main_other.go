//go:build !linux

// Command guest is the first process of a virtual board.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "guest is the first process of a virtual board, which runs Linux")
	os.Exit(2)
}
