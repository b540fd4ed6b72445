//go:build !linux

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "milepost-stage is the first program of an image, and runs on Linux only")
	os.Exit(1)
}
