package cantest

import (
	"bytes"
	"io"
	"slices"

	"milepost/can"
)

// SliceSource delivers copies of the given frames. The buses are named in the
// order of Frame.Bus. Stream and the Repeat flag are set anew.
func SliceSource(frames []can.Frame, buses []string) can.Source {
	s := &sliceSource{frames: slices.Clone(frames), buses: slices.Clone(buses)}
	var m marks
	for i := range s.frames {
		m.mark(&s.frames[i])
	}
	return s
}

type sliceSource struct {
	frames []can.Frame
	buses  []string
}

func (s *sliceSource) Buses() []string { return s.buses }

func (s *sliceSource) Read(frames []can.Frame) (n int, err error) {
	if len(s.frames) == 0 {
		return 0, io.EOF
	}
	n = copy(frames, s.frames)
	s.frames = s.frames[n:]
	return n, nil
}

// marks sets what a can.Source adds to a frame: its Stream and, where it is
// due, the Repeat flag.
type marks struct {
	streams can.Streams
	last    []can.Frame // of each stream
}

func (m *marks) mark(f *can.Frame) {
	f.Flags &^= can.Repeat
	if f.Flags&(can.Remote|can.Error) != 0 {
		f.Stream = can.NoStream
		return
	}
	f.Stream = m.streams.Number(f.Bus, f.ID, f.Is(can.Extended))
	if int(f.Stream) == len(m.last) {
		m.last = append(m.last, *f)
		return
	}
	last := &m.last[f.Stream]
	if bytes.Equal(last.Payload(), f.Payload()) {
		f.Flags |= can.Repeat
		return
	}
	*last = *f
}
