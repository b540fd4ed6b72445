package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/cantest"
)

// vehicle is a simulated drive that is recorded while it is read. It implements
// can.Source, and keeps in mind what was sent.
type vehicle struct {
	drive  *cantest.Drive
	log    *canlog.Writer
	frames uint64
	sent   []sentMessage // by stream
}

// sentMessage is what the vehicle sent of one message, as its model decodes it:
// without any of the code that is on trial.
type sentMessage struct {
	bus      string
	message  *cantest.Message
	selector *cantest.Signal // nil: not multiplexed
	signals  []sentSignal    // parallel to message.Signals
}

// sentSignal holds raw values.
type sentSignal struct {
	count                 uint64
	min, max, first, last int64
}

// recording is a drive as a log.
type recording struct {
	*vehicle
	start    time.Time
	duration time.Duration
	bytes    int64
	loads    []float64 // of the buses; 1 is a full one
}

// record writes the log of a drive.
func record(ctx context.Context, path string, o cantest.DriveOptions) (r recording, err error) {
	file, err := os.Create(path)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	defer context.AfterFunc(ctx, func() { file.Close() })() // ends the writing
	r = recording{
		vehicle:  &vehicle{drive: cantest.NewDrive(o), log: canlog.NewWriter(file, canlog.WriterOptions{})},
		start:    cantest.DefaultStart,
		duration: o.Duration,
	}
	if r.loads, err = cantest.BusLoad(r, cantest.Bitrate); err != nil {
		return r, err
	}
	if err := r.log.Flush(); err != nil {
		return r, err
	}
	r.bytes, err = file.Seek(0, io.SeekCurrent)
	return r, err
}

// Buses implements can.Source.
func (v *vehicle) Buses() []string { return v.drive.Buses() }

// Read implements can.Source.
func (v *vehicle) Read(frames []can.Frame) (int, error) {
	n, err := v.drive.Read(frames)
	if err != nil {
		return n, err
	}
	if err := v.log.Write(frames[:n], v.drive.Buses()); err != nil {
		return 0, err
	}
	v.frames += uint64(n)
	for i := range frames[:n] {
		if err := v.note(&frames[i]); err != nil {
			return 0, err
		}
	}
	return n, nil
}

func (v *vehicle) note(f *can.Frame) error {
	if int(f.Stream) >= len(v.sent) { // streams are numbered in the order of their first frames
		m := v.drive.Model().Message(f.ID, f.Is(can.Extended))
		if m == nil {
			return fmt.Errorf("BUG: the vehicle sends %s, which its model does not have", can.FormatID(f.ID, f.Is(can.Extended)))
		}
		v.sent = append(v.sent, sentMessage{v.drive.Buses()[f.Bus], m, m.Selector(), make([]sentSignal, len(m.Signals))})
	}
	sent := &v.sent[f.Stream]
	group := int64(cantest.NoGroup)
	if sent.selector != nil {
		group = sent.selector.Raw(f)
	}
	for i := range sent.signals {
		signal := &sent.message.Signals[i]
		if signal.Group != cantest.NoGroup && int64(signal.Group) != group {
			continue
		}
		sent.signals[i].add(signal.Raw(f))
	}
	return nil
}

func (s *sentSignal) add(raw int64) {
	if s.count == 0 {
		s.min, s.max, s.first = raw, raw, raw
	}
	s.count++
	s.min, s.max, s.last = min(s.min, raw), max(s.max, raw), raw
}

// samples is how many values the vehicle sent.
func (v *vehicle) samples() (n uint64) {
	for i := range v.sent {
		for j := range v.sent[i].signals {
			n += v.sent[i].signals[j].count
		}
	}
	return n
}

// recordsAtMost is how many records a replay of the drive can give: one a signal
// and second.
func (r *recording) recordsAtMost() int {
	signals := 0
	for i := range r.sent {
		signals += len(r.sent[i].signals)
	}
	return signals * int(r.duration/time.Second+1)
}
