package socketcan

import (
	"encoding/binary"
	"testing"

	"milepost/can"
)

// FuzzFrame: whatever the kernel's bytes are, a frame keeps what can.Frame
// promises.
func FuzzFrame(f *testing.F) {
	for _, id := range []uint32{0x123, 0x123 | remoteFlag, 0x1ABCDEF0 | extendedFlag, 0x40 | errorFlag, 1<<32 - 1} {
		b := binary.NativeEndian.AppendUint32(nil, id)
		f.Add(append(b, 8, 0, 0, 12, 1, 2, 3, 4, 5, 6, 7, 8))
		f.Add(append(b, 200, 3, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8))
		f.Add(append(append(b, 13, 3, 0, 0), make([]byte, 64)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var data [fdSize]byte
		copy(data[:], b)
		frame := can.Frame{Time: 7, Stream: 8, Bus: 9}
		for i := range frame.Data {
			frame.Data[i] = 0xEE // of the frame that was there before
		}
		if !decodeFrame(&frame, &data, len(b)) {
			if len(b) == classicalSize || len(b) == fdSize {
				t.Fatalf("%d bytes are no frame", len(b))
			}
			return
		}
		limit := 8
		if frame.Is(can.FD) {
			limit = can.MaxDataLen
		}
		if int(frame.Len) > limit {
			t.Fatalf("length %d", frame.Len)
		}
		if frame.RawDLC != 0 && (frame.RawDLC <= 8 || frame.RawDLC > 15 || frame.Len != 8) {
			t.Fatalf("length %d with code %d", frame.Len, frame.RawDLC)
		}
		from := int(frame.Len)
		if frame.Is(can.Remote) {
			from = 0
		}
		for i := from; i < max(8, (int(frame.Len)+7)&^7); i++ {
			if frame.Data[i] != 0 {
				t.Fatalf("byte %d behind %d of data is %X", i, frame.Len, frame.Data[i])
			}
		}
		highest := uint32(can.MaxStandardID)
		if frame.Is(can.Extended) || frame.Is(can.Error) {
			highest = can.MaxExtendedID
		}
		if frame.ID > highest {
			t.Fatalf("ID %X", frame.ID)
		}
		if frame.Time != 7 || frame.Stream != 8 || frame.Bus != 9 {
			t.Fatal("what is the Socket's to fill in is changed")
		}
	})
}

func TestWrappingCounter(t *testing.T) {
	var c wrappingCounter
	for _, step := range []struct {
		value uint32
		want  uint64
	}{
		{0, 0}, {5, 5}, {3, 5}, {5, 5}, {1 << 31, 1 << 31}, {0xFFFFFFF0, 0xFFFFFFF0},
		{0xFFFFFFE0, 0xFFFFFFF0}, // an older frame's
		{4, 1<<32 + 4},           // wrapped
		{0xFFFFFFFF, 1<<32 + 4},  // of before
		{10, 1<<32 + 10},
	} {
		if c.observe(step.value); c.Load() != step.want {
			t.Errorf("after %d: %d, want %d", step.value, c.Load(), step.want)
		}
	}
}

func TestHardwareClock(t *testing.T) {
	const second = int64(1e9)
	var c hardwareClock
	start := 1700000000 * second
	// The controller counts from its own beginning and is 50 ppm fast; the kernel
	// comes to a frame after 20 µs, or up to 5 ms.
	worst := int64(0)
	for i := range int64(20000) {
		truth := start + i*second/1000
		hardware := 1000 + (truth-start)*100005/100000
		delay := int64(20000)
		if i%7 != 0 {
			delay = 20000 + i*7919%5000000
		}
		got := c.systemTime(truth+delay, hardware)
		if got > truth+delay {
			t.Fatalf("frame %d is from the future: by %d ns", i, got-truth-delay)
		}
		if i > 100 {
			worst = max(worst, max(got-truth, truth-got))
		}
	}
	if worst > 400000 { // 50 ppm of four seconds, and the least delay
		t.Errorf("times are off by up to %d ns", worst)
	}
	// The system's clock is set, forward and back: at once.
	for _, step := range []int64{3600 * second, -7200 * second, 50 * 365 * 86400 * second} {
		start += step
		hardware := 30 * second
		if got := c.systemTime(start, hardware); got != start {
			t.Errorf("after a step of %d s the time is off by %d ns", step/second, got-start)
		}
	}
	if got := c.systemTime(start, 0); got != start {
		t.Errorf("without a hardware time: %d", got)
	}
}
