package sysfs

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"strconv"
)

// maxAttribute is the longest that the kernel makes an attribute: a page.
const maxAttribute = 4096

// text returns the text of a file, until the next is read.
func (d *device) text(name string) ([]byte, error) {
	file, err := d.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	n := 0
	for n < len(d.buf) {
		m, err := file.Read(d.buf[n:])
		n += m
		if err == io.EOF {
			return d.buf[:n], nil
		} else if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s is longer than %d bytes: it is no attribute of a sensor", name, maxAttribute)
}

// number returns the number in a file.
func (d *device) number(name string) (float64, error) {
	text, err := d.text(name)
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
