package socketcan

import (
	"testing"

	"milepost/can"
)

func TestErrorCounters(t *testing.T) {
	for _, c := range []struct {
		class uint32
		data  [8]byte
		want  ErrorCounters
	}{
		{0x001, [8]byte{}, ErrorCounters{TxTimeout: 1}},
		{0x002, [8]byte{11}, ErrorCounters{ArbitrationLost: 1}},
		{0x004, [8]byte{0, 0x01}, ErrorCounters{RxOverflow: 1}},
		{0x004, [8]byte{0, 0x02}, ErrorCounters{TxOverflow: 1}},
		{0x004, [8]byte{0, 0x04 | 0x08}, ErrorCounters{Warning: 1}}, // both directions, one change
		{0x004, [8]byte{0, 0x20}, ErrorCounters{Passive: 1}},
		{0x004, [8]byte{0, 0x40}, ErrorCounters{Active: 1}},
		{0x008 | 0x080, [8]byte{0, 0, 0x04 | 0x80, 0x0A}, ErrorCounters{Stuff: 1, BusErrors: 1}},
		{0x008, [8]byte{0, 0, 0x01}, ErrorCounters{Bit: 1}},
		{0x008, [8]byte{0, 0, 0x08 | 0x10}, ErrorCounters{Bit: 1}},
		{0x008, [8]byte{0, 0, 0x02, 0x1A}, ErrorCounters{Form: 1}},
		{0x008, [8]byte{0, 0, 0x20}, ErrorCounters{Overload: 1}},
		{0x008, [8]byte{0, 0, 0, 0x08}, ErrorCounters{CRC: 1}},
		{0x008, [8]byte{0, 0, 0, 0x18}, ErrorCounters{CRC: 1}},
		{0x008 | 0x020, [8]byte{0, 0, 0, 0x19}, ErrorCounters{NoAck: 1}}, // said twice, counted once
		{0x020, [8]byte{}, ErrorCounters{NoAck: 1}},
		{0x010, [8]byte{4: 0x50}, ErrorCounters{Transceiver: 1}},
		{0x010, [8]byte{}, ErrorCounters{}}, // "unspecified" is the driver's word for "well again"
		{0x040, [8]byte{}, ErrorCounters{BusOff: 1}},
		{0x100, [8]byte{}, ErrorCounters{Restart: 1}},
		{0x010000, [8]byte{0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, ErrorCounters{}}, // unheard of
	} {
		f := &can.Frame{ID: c.class, Flags: can.Error, Len: 8}
		copy(f.Data[:], c.data[:])
		var got ErrorCounters
		got.count(f)
		c.want.Frames = 1
		if got != c.want {
			t.Errorf("class %03X, data % X: %+v, want %+v", c.class, c.data, got, c.want)
		}
	}
	f := &can.Frame{ID: 0x200, Flags: can.Error, Len: 8}
	if tx, rx, ok := errorCountersOf(f); tx != 0 || rx != 0 || !ok {
		t.Errorf("counters that are back at zero: %d %d %v", tx, rx, ok)
	}
	f.ID, f.Data[6], f.Data[7] = 4, 96, 3
	if tx, rx, ok := errorCountersOf(f); tx != 96 || rx != 3 || !ok {
		t.Errorf("counters of an older kernel: %d %d %v", tx, rx, ok)
	}
	f.Data[6], f.Data[7] = 0, 0
	if _, _, ok := errorCountersOf(f); ok {
		t.Error("counters that are not there")
	}
}
