package sysfs

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
)

// maxAttribute is the longest that the kernel makes an attribute: a page.
const maxAttribute = 4096

// readAttribute returns the text of a file.
func readAttribute(root *os.Root, name string) ([]byte, error) {
	file, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	buf := make([]byte, maxAttribute+1)
	n := 0
	for n < len(buf) {
		m, err := file.Read(buf[n:])
		n += m
		if err == io.EOF {
			return buf[:n], nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s is longer than %d bytes: it is no attribute of a sensor", name, maxAttribute)
}

// readNumber returns the number in a file.
func readNumber(root *os.Root, name string) (float64, error) {
	text, err := readAttribute(root, name)
	if err != nil {
		return 0, err
	}
	v, err := parseNumber(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	return v, nil
}

// parseNumber reads a decimal number, with spaces or a line's end about it.
func parseNumber(text []byte) (float64, error) {
	text = bytes.TrimSpace(text)
	v, err := strconv.ParseFloat(string(text), 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
		return 0, fmt.Errorf("%.40q is no number", text)
	}
	return v, nil
}
