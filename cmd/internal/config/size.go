package config

import (
	"fmt"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// sizeUnits from the largest to the smallest.
var sizeUnits = []struct {
	name  string
	bytes int64
}{
	{"GiB", 1 << 30}, {"GB", 1e9},
	{"MiB", 1 << 20}, {"MB", 1e6},
	{"KiB", 1 << 10}, {"KB", 1e3},
	{"B", 1},
}

// ParseSize reads a whole number and a unit: B, KB, MB, GB (powers of 1000), KiB,
// MiB or GiB (powers of 1024).
func ParseSize(text string) (Size, error) {
	digits := text[:len(text)-len(strings.TrimLeft(text, "0123456789"))]
	unit := strings.TrimPrefix(text[len(digits):], " ")
	for _, u := range sizeUnits {
		if u.name != unit {
			continue
		}
		n, err := strconv.ParseInt(digits, 10, 64)
		if err != nil || n > (1<<63-1)/u.bytes {
			break
		}
		return Size(n * u.bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size such as 64KiB, 256MiB or 1GiB", text)
}

// String writes the size in the largest unit that leaves no fraction.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 {
			return fmt.Sprintf("%d%s", int64(s)/u.bytes, u.name)
		}
	}
	return fmt.Sprintf("%dB", int64(s))
}
