package gateway

import (
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"milepost/can"
)

// joined makes one Bus of buses that are mirrors of one another, so that the
// copies of a frame meet. Each is read by a goroutine of its own.
type joined struct {
	members []Bus
	names   []string
	batches chan joinedBatch
	free    chan []can.Frame
	wait    sync.WaitGroup
	begin   sync.Once
	ending  atomic.Bool

	// The reader's own.
	streams  can.Streams
	deadline time.Time
	batch    joinedBatch
	next     int
}

type joinedBatch struct {
	member uint16
	frames []can.Frame
}

// joinedBatches is how many batches may wait. What comes beyond waits in the
// sockets, and is counted there if they are full.
const joinedBatches = 32

func join(buses []LiveBus) *joined {
	j := &joined{batches: make(chan joinedBatch, joinedBatches), free: make(chan []can.Frame, joinedBatches)}
	for _, b := range buses {
		j.members, j.names = append(j.members, b.Bus), append(j.names, b.Name)
	}
	return j
}

// start begins to read the members; the batches end when all of them have.
func (j *joined) start() {
	for i, m := range j.members {
		j.wait.Go(func() { j.read(uint16(i), m) })
	}
	go func() {
		j.wait.Wait()
		close(j.batches)
	}()
}

func (j *joined) read(member uint16, bus Bus) {
	for {
		var frames []can.Frame
		select {
		case frames = <-j.free:
		default:
			frames = make([]can.Frame, batchFrames)
		}
		n, err := bus.Read(frames)
		if n > 0 {
			j.batches <- joinedBatch{member, frames[:n]}
		}
		if err != nil && (!errors.Is(err, os.ErrDeadlineExceeded) || j.ending.Load()) {
			return
		}
	}
}

// Read implements can.Source.
func (j *joined) Read(frames []can.Frame) (n int, err error) {
	j.begin.Do(j.start)
	for j.next == len(j.batch.frames) {
		select { // the deadline has passed for what waits, too, as with a socket
		case b, ok := <-j.batches:
			if !ok {
				return 0, io.EOF
			}
			j.take(b)
			continue
		default:
		}
		timer := time.NewTimer(time.Until(j.deadline))
		select {
		case b, ok := <-j.batches:
			timer.Stop()
			if !ok {
				return 0, io.EOF
			}
			j.take(b)
		case <-timer.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
	n = copy(frames, j.batch.frames[j.next:])
	j.next += n
	for i := range frames[:n] {
		f := &frames[i]
		f.Bus = j.batch.member
		if f.Stream != can.NoStream {
			f.Stream = j.streams.Number(f.Bus, f.ID, f.Is(can.Extended))
		}
	}
	return n, nil
}

// drain has each member end when nothing waits in it any more, and all of them
// then.
func (j *joined) drain() {
	j.ending.Store(true)
	for _, m := range j.members {
		m.SetReadDeadline(time.Now())
	}
}

// take makes a batch the current one and gives the memory of the last one back.
func (j *joined) take(b joinedBatch) {
	if cap(j.batch.frames) > 0 {
		select {
		case j.free <- j.batch.frames[:cap(j.batch.frames)]:
		default:
		}
	}
	j.batch, j.next = b, 0
}

// Buses implements can.Source.
func (j *joined) Buses() []string { return j.names }

// SetReadDeadline implements Bus.
func (j *joined) SetReadDeadline(t time.Time) error {
	j.deadline = t
	return nil
}

// Close implements Bus.
func (j *joined) Close() error {
	var errs []error
	for _, m := range j.members {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

// groups puts the buses together that are mirrors of one another.
func (l *Live) groups() (groups [][]LiveBus) {
	taken := make([]bool, len(l.Buses))
	for _, m := range l.Mirrors {
		var group []LiveBus
		for i, b := range l.Buses {
			if slices.Contains(m.Buses, b.Name) && !taken[i] {
				group, taken[i] = append(group, b), true
			}
		}
		if len(group) > 0 {
			groups = append(groups, group)
		}
	}
	for i, b := range l.Buses {
		if !taken[i] {
			groups = append(groups, []LiveBus{b})
		}
	}
	return groups
}
