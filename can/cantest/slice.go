package cantest

import (
	"io"
	"slices"

	"milepost/can"
)

// SliceSource delivers copies of the given frames. The buses are named in the
// order of Frame.Bus. Stream is set anew.
func SliceSource(frames []can.Frame, buses []string) can.Source {
	s := &sliceSource{frames: slices.Clone(frames), buses: slices.Clone(buses)}
	var streams can.Streams
	for i := range s.frames {
		number(&streams, &s.frames[i])
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

// number sets the Stream of a frame as a can.Source does.
func number(streams *can.Streams, f *can.Frame) {
	if f.Flags&(can.Remote|can.Error) != 0 {
		f.Stream = can.NoStream
		return
	}
	f.Stream = streams.Number(f.Bus, f.ID, f.Is(can.Extended))
}
