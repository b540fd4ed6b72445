package main

import (
	"testing"

	"milepost/can"
)

func TestAppendErrorFrame(t *testing.T) {
	for _, c := range [...]struct {
		id   uint32
		data []byte
		want string
	}{
		{0, nil, "of no class"},
		{0x40, nil, "bus off"},
		{0x02, []byte{7}, "lost arbitration in bit 7"},
		{0x04, []byte{0, 0x81}, "controller problem (RX buffer overflow, unknown bit 7)"},
		{0x08, []byte{0, 0, 0x84, 0x18}, "protocol violation (bit stuffing error, on transmission, at CRC delimiter)"},
		{0x10, []byte{0, 0, 0, 0, 0x74}, "transceiver status (CANH no wire, CANL short to ground)"},
		{0x10, []byte{0, 0, 0, 0, 0x91}, "transceiver status (unknown state 0x1, unknown state 0x90)"},
		{0x20, []byte{0, 0, 0, 0, 0, 0, 1, 255}, "no acknowledgement on transmission, error counters TX 1 RX 255"},
		{0x10000180, nil, "bus error, controller restarted, unknown class 0x10000000"},
	} {
		f := can.Frame{ID: c.id, Flags: can.Error, Len: 8}
		copy(f.Data[:], c.data)
		if got := string(appendErrorFrame(nil, &f)); got != c.want {
			t.Errorf("class %#x: got %q, want %q", c.id, got, c.want)
		}
	}
}
