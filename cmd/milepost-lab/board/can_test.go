package board_test

import (
	"context"
	"encoding/binary"
	"testing"
	"time"

	"milepost/can"
	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
	"milepost/cmd/milepost-lab/board/control"
	"milepost/cmd/milepost-lab/slcan"
)

// The classes and states of linux/can/error.h that are looked for.
const (
	errorController = 0x04 // data[1] says what about it
	errorBusOff     = 0x40

	controllerReceiveWarning = 0x04
	controllerSendPassive    = 0x20
)

const bitrate = 500000

// traffic is numbered frames, of all kinds of data frames.
func traffic(n int) []can.Frame {
	frames := make([]can.Frame, n)
	for i := range frames {
		f := &frames[i]
		f.ID, f.Len = uint32(0x100+i%16), uint8(4+i%5)
		if i%3 == 0 {
			f.ID, f.Flags = 0x18feca00+uint32(i%16), can.Extended
		}
		binary.BigEndian.PutUint32(f.Data[:], uint32(i))
	}
	return frames
}

// checkFrames compares what was sent with what was received, but for the time.
func checkFrames(t *testing.T, where string, got, want []can.Frame) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d of %d frames arrived", where, len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.ID != w.ID || g.Flags != w.Flags || g.Len != w.Len || string(g.Payload()) != string(w.Payload()) {
			t.Fatalf("%s: frame %d is %+v, want %+v", where, i, g, w)
		}
	}
}

const patience = time.Minute // for a machine under load

func received(t *testing.T, c *board.Capture, where string, want []can.Frame) {
	t.Helper()
	got, dropped, err := c.Frames(t.Context(), 0, len(want), patience)
	if err != nil {
		t.Fatal(err)
	}
	if dropped > 0 {
		t.Errorf("%s: the kernel has dropped %d frames", where, dropped)
	}
	checkFrames(t, where, got, want)
}

// TestBoardControllers: two controllers, with the kernel's driver for real ones,
// on one bus.
func TestBoardControllers(t *testing.T) {
	b := boardtest.Start(t, board.Options{Machine: board.ARM64, Controllers: 2})
	captures := map[string]*board.Capture{}
	for _, name := range []string{"can0", "can1"} {
		if err := b.SetCANLink(t.Context(), control.CANLink{Name: name, Bitrate: bitrate, Up: true}); err != nil {
			t.Fatal(err)
		}
		c, err := b.Capture(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		captures[name] = c
	}
	want := traffic(1000)
	begin := time.Now()
	if err := b.SendFrames(t.Context(), "can1", 0, want...); err != nil {
		t.Fatal(err)
	}
	received(t, captures["can0"], "can1 to can0", want)
	t.Logf("%.0f frames/s from controller to controller", float64(len(want))/time.Since(begin).Seconds())
	back := traffic(100)
	if err := b.SendFrames(t.Context(), "can0", time.Millisecond, back...); err != nil {
		t.Fatal(err)
	}
	all, _, err := captures["can1"].Frames(t.Context(), len(want), len(back), patience)
	if err != nil {
		t.Fatal(err)
	}
	checkFrames(t, "can0 to can1", all, back)
	own, _, err := captures["can1"].Frames(t.Context(), 0, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		if !own[i].Is(can.Sent) {
			t.Fatalf("frame %d is not marked as sent by the guest: %+v", i, own[i])
		}
	}
}

// TestBoardAdapter: the host is the vehicle's bus.
func TestBoardAdapter(t *testing.T) {
	onMachines(t, func(t *testing.T, m board.Machine) {
		b := boardtest.Start(t, board.Options{Machine: m, Adapters: 2})
		for i, name := range []string{"bus0", "bus1"} {
			if err := b.AttachAdapter(t.Context(), i, name, bitrate); err != nil {
				t.Fatal(err)
			}
			adapter := b.Adapters[i]
			c, err := b.Capture(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			want := traffic(2000)
			begin := time.Now()
			if err := adapter.Send(want...); err != nil {
				t.Fatal(err)
			}
			received(t, c, "host to "+name, want)
			t.Logf("%s: %.0f frames/s from the host", name, float64(len(want))/time.Since(begin).Seconds())

			back := traffic(200)
			if err := b.SendFrames(t.Context(), name, time.Millisecond, back...); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := adapter.Wait(ctx, func(s slcan.Status) bool { return s.Received == uint64(len(back)) }); err != nil {
				t.Error(err)
			}
			checkFrames(t, name+" to host", adapter.Received(), back)
			checkErrors(t, adapter, c, len(want)+len(back))
		}
	})
}

// checkErrors has the bus go bad, and looks what the kernel makes of it.
func checkErrors(t *testing.T, adapter *slcan.Adapter, c *board.Capture, from int) {
	t.Helper()
	for i, step := range []struct {
		do   func() error
		is   func(f can.Frame) bool
		what string
	}{
		{func() error { return adapter.SetState(slcan.Warning, 96, 0) }, func(f can.Frame) bool {
			return f.ID&errorController != 0 && f.Data[1]&controllerReceiveWarning != 0
		}, "a warning"},
		{func() error { return adapter.SetState(slcan.Passive, 0, 128) }, func(f can.Frame) bool {
			return f.ID&errorController != 0 && f.Data[1]&controllerSendPassive != 0
		}, "error passive"},
		{func() error { return adapter.SetState(slcan.BusOff, 0, 256) }, func(f can.Frame) bool { return f.ID&errorBusOff != 0 }, "bus-off"},
	} {
		if err := step.do(); err != nil {
			t.Fatal(err)
		}
		frames, _, err := c.Frames(t.Context(), from+i, 1, patience)
		if err != nil {
			t.Fatal(err)
		}
		if len(frames) != 1 || !frames[0].Is(can.Error) || !step.is(frames[0]) {
			t.Errorf("for %s the kernel gives %+v", step.what, frames)
		}
	}
}
