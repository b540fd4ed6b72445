package cantest

import (
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"milepost/can"
)

func TestBusDelivers(t *testing.T) {
	bus := NewBus("vcan0")
	a, b := bus.Receive(10), bus.Receive(10)
	for _, f := range []can.Frame{
		{Time: 1, ID: 0x10, Len: 1, Bus: 7},
		{Time: 2, ID: 0x10, Len: 1},
		{ID: 0x20, Len: 1, Data: [64]byte{1}},
		{Time: 3, ID: 0x10, Len: 1, Data: [64]byte{1}},
	} {
		if err := bus.Send(f); err != nil {
			t.Fatal(err)
		}
	}
	bus.Close()
	if err := bus.Send(can.Frame{}); !errors.Is(err, ErrClosed) {
		t.Errorf("Send on a closed bus: %v", err)
	}
	for _, r := range []*Receiver{a, b} {
		var streams []uint32
		n := readAll(t, r, func(f *can.Frame) {
			if f.Bus != 0 || f.Time == 0 {
				t.Errorf("%+v", f)
			}
			streams = append(streams, f.Stream)
		})
		if n != 4 || streams[0] != 0 || streams[1] != 0 || streams[2] != 1 || streams[3] != 0 {
			t.Errorf("streams %v", streams)
		}
		if r.Buses()[0] != "vcan0" || r.Dropped() != 0 {
			t.Errorf("bus %q, %d dropped", r.Buses(), r.Dropped())
		}
	}
	if n, err := bus.Receive(1).Read(make([]can.Frame, 1)); n != 0 || err != io.EOF {
		t.Errorf("a receiver of a closed bus: %d, %v", n, err)
	}
}

// Every frame sent is received or counted as dropped, whoever is slow.
func TestBusCounts(t *testing.T) {
	const senders, each = 4, 5000
	bus := NewBus("vcan0")
	receivers := []*Receiver{bus.Receive(1), bus.Receive(100), bus.Receive(senders * each)}
	counts := make([]uint64, len(receivers))
	var reading, sending sync.WaitGroup
	for i, r := range receivers {
		reading.Go(func() { counts[i] = uint64(readAll(t, r, func(*can.Frame) {})) })
	}
	for i := range senders {
		sending.Go(func() {
			for range each {
				if err := bus.Send(can.Frame{Time: 1, ID: uint32(i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	sending.Wait()
	bus.Close()
	reading.Wait()
	for i, r := range receivers {
		if got := counts[i] + r.Dropped(); got != senders*each {
			t.Errorf("receiver %d: %d received and %d dropped, want %d", i, counts[i], r.Dropped(), senders*each)
		}
	}
	if receivers[2].Dropped() != 0 {
		t.Error("a queue for all has dropped")
	}
}

func TestReceiverOverflowsAndCloses(t *testing.T) {
	bus := NewBus("vcan0")
	r := bus.Receive(2)
	for i := range 5 {
		bus.Send(can.Frame{Time: int64(i) + 1})
	}
	if r.Dropped() != 3 {
		t.Errorf("%d dropped, want 3", r.Dropped())
	}
	frames := make([]can.Frame, 8)
	if n, err := r.Read(frames); n != 2 || err != nil || frames[0].Time != 1 || frames[1].Time != 2 {
		t.Errorf("the oldest are kept: %d, %v", n, err)
	}
	ended := make(chan error)
	go func() {
		_, err := r.Read(frames)
		ended <- err
	}()
	r.Close()
	if err := <-ended; err != io.EOF {
		t.Errorf("a waiting Read ends with %v", err)
	}
	if err := bus.Send(can.Frame{}); err != nil || r.Dropped() != 3 {
		t.Errorf("Send without receivers: %v, %d dropped", err, r.Dropped())
	}
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := NewBus("can0")
		r := bus.Receive(4)
		frames := make([]can.Frame, 4)
		r.SetReadDeadline(time.Now().Add(time.Second))
		begin := time.Now()
		if n, err := r.Read(frames); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(begin) != time.Second {
			t.Fatalf("%d frames, %v, after %v", n, err, time.Since(begin))
		}
		bus.Send(can.Frame{ID: 1})
		if n, err := r.Read(frames); n != 1 || err != nil {
			t.Errorf("a frame that waits, after the deadline: %d frames, %v", n, err)
		}
		if _, err := r.Read(frames); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a deadline that has passed: %v", err)
		}
	})
}
