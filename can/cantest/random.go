package cantest

import (
	"bytes"
	"math/rand/v2"

	"milepost/can"
)

// RandomOptions say which frames RandomFrames makes besides classical data
// frames. The zero value makes these alone, on one bus.
type RandomOptions struct {
	// Buses is the number of buses, one if it is zero.
	Buses int
	// IDs limits the number of different arbitration IDs; 16 if it is zero. Half
	// of them are extended.
	IDs int
	// FD, Remote and Error ask for frames of these kinds, Sent for frames that
	// the recording node sent.
	FD, Remote, Error, Sent bool
	// RawDLC asks for classical frames of 8 bytes with a data length code above
	// 8 (FD frames and others have none).
	RawDLC bool
}

// RandomFrames makes n arbitrary valid frames, as their times go: one to two
// thousand microseconds apart. A third of the data frames repeat the payload
// that their arbitration ID had before. Stream is that of
// a Source that delivers exactly these frames.
func RandomFrames(seed uint64, n int, options RandomOptions) []can.Frame {
	options.Buses = max(options.Buses, 1)
	if options.IDs <= 0 {
		options.IDs = 16
	}
	g := generator{random: rand.New(rand.NewPCG(seed, 0x66726d)), options: options}
	g.ids = make([]uint32, options.IDs)
	for i := range g.ids {
		g.ids[i] = g.random.Uint32N(can.MaxStandardID + 1)
		if i%2 == 1 {
			g.ids[i] = g.random.Uint32N(can.MaxExtendedID + 1)
		}
	}
	g.time = DefaultStart.UnixNano()
	frames := make([]can.Frame, n)
	var m marks
	for i := range frames {
		g.fill(&frames[i])
		if m.repeats(&frames[i]) && g.random.IntN(3) == 0 {
			m.repeat(&frames[i])
		}
		m.mark(&frames[i])
	}
	return frames
}

// generator draws frames.
type generator struct {
	random  *rand.Rand
	options RandomOptions
	ids     []uint32
	time    int64
}

func (g *generator) chance(oneIn int) bool { return g.random.IntN(oneIn) == 0 }

func (g *generator) fill(f *can.Frame) {
	g.time += (1 + g.random.Int64N(2000)) * 1000
	f.Time = g.time
	f.Bus = uint16(g.random.IntN(g.options.Buses))
	if g.options.Sent && g.chance(8) {
		f.Flags |= can.Sent
	}
	if g.options.Error && g.chance(16) {
		g.fillError(f)
		return
	}
	i := g.random.IntN(len(g.ids))
	f.ID = g.ids[i]
	if i%2 == 1 {
		f.Flags |= can.Extended
	}
	switch {
	case g.options.Remote && g.chance(12):
		f.Flags |= can.Remote
		f.Len = uint8(g.random.IntN(9))
		return
	case g.options.FD && g.chance(3):
		f.Flags |= can.FD
		if g.chance(2) {
			f.Flags |= can.BRS
		}
		if g.chance(4) {
			f.Flags |= can.ESI
		}
		f.Len = uint8(can.LenOfDLC(uint8(g.random.IntN(16)), true))
	case g.options.RawDLC && g.chance(8):
		f.Len, f.RawDLC = 8, uint8(9+g.random.IntN(7))
	default:
		f.Len = uint8(g.random.IntN(9))
	}
	for i := range f.Data[:f.Len] {
		f.Data[i] = uint8(g.random.Uint32())
	}
}

// fillError makes an error frame of SocketCAN: some of the classes of
// linux/can/error.h up to CAN_ERR_CNT, with 8 bytes of details.
func (g *generator) fillError(f *can.Frame) {
	f.Flags |= can.Error
	f.ID = 1 + g.random.Uint32N(1<<10-1)
	f.Len = 8
	for i := range f.Data[:8] {
		f.Data[i] = uint8(g.random.Uint32())
	}
}

// marks knows the last frame of each stream.
type marks struct {
	streams can.Streams
	last    []can.Frame
}

// mark sets the Stream of a frame and reports whether its payload is that of the
// frame before in its stream.
func (m *marks) mark(f *can.Frame) (repeat bool) {
	number(&m.streams, f)
	switch {
	case f.Stream == can.NoStream:
		return false
	case int(f.Stream) == len(m.last):
		m.last = append(m.last, *f)
		return false
	}
	last := &m.last[f.Stream]
	repeat = bytes.Equal(last.Payload(), f.Payload())
	*last = *f
	return repeat
}

// repeats reports whether the frame could have the payload of the one before in
// its stream, as to its kind.
func (m *marks) repeats(f *can.Frame) bool {
	if f.Flags&(can.Remote|can.Error) != 0 {
		return false
	}
	n := m.streams.Number(f.Bus, f.ID, f.Is(can.Extended))
	return int(n) < len(m.last) && f.Flags&can.FD == m.last[n].Flags&can.FD
}

// repeat gives the frame that payload.
func (m *marks) repeat(f *can.Frame) {
	last := &m.last[m.streams.Number(f.Bus, f.ID, f.Is(can.Extended))]
	f.Len, f.RawDLC, f.Data = last.Len, last.RawDLC, last.Data
}
