package kafka

import (
	"bytes"
	"testing"
)

// FuzzPosition: what is in a group's metadata is read as it was written, or
// refused, and never taken for another position.
func FuzzPosition(f *testing.F) {
	f.Add("", []byte(nil))
	f.Add("milepost/1 ", []byte{})
	f.Add("milepost/1 YWJj", []byte("abc"))
	f.Add("milepost/2 YWJj", []byte{0, 0xff})
	f.Add("milepost/1 YWJj\n", bytes.Repeat([]byte{0xff}, maxPosition))
	f.Fuzz(func(t *testing.T, metadata string, position []byte) {
		text := formatPosition(position)
		if got, err := parsePosition(&text); err != nil || got == nil || !bytes.Equal(got, position) {
			t.Errorf("%q is read as %q, %v", position, got, err)
		}
		if len(position) <= maxPosition && len(text) > 4096 {
			t.Errorf("a position of %d bytes makes metadata of %d", len(position), len(text))
		}
		got, err := parsePosition(&metadata)
		if (got == nil) != (err != nil || metadata == "") {
			t.Errorf("%q is read as %q, %v", metadata, got, err)
		}
	})
}
