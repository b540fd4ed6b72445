package gpio

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestInput(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		input, err := NewInput(LineOptions{Line: "ignition"})
		if err != nil {
			t.Fatal(err)
		}
		chip := &fakeChip{on: true, absent: ErrNoChip}
		input.watch.open = chip.open
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- input.Run(ctx) }()
		level := func(on, known bool) {
			t.Helper()
			synctest.Wait()
			if o, k := input.Level(); o != on || k != known {
				t.Errorf("after %v: on %v, known %v", time.Since(bubbleStart), o, k)
			}
		}
		change := func(on, known bool) {
			t.Helper()
			level(on, known)
			select {
			case c := <-input.Changes():
				if c.On != on || c.Known != known || c.Time > time.Now().UnixNano() || c.Time < bubbleStart.UnixNano() {
					t.Errorf("%+v", c)
				}
			default:
				t.Error("no change")
			}
		}
		time.Sleep(time.Second)
		level(false, false)
		if !errors.Is(input.Status().Err, ErrNoChip) {
			t.Errorf("%+v", input.Status())
		}
		chip.plug()
		time.Sleep(lastPause * 5 / 4)
		change(true, true)
		chip.set(false, 0)
		change(false, true)
		time.Sleep(time.Minute) // nothing new
		for i := range 5 {      // nobody takes these
			chip.set(i%2 == 0, 0)
			synctest.Wait()
		}
		change(true, true)
		chip.unplug(errors.New("no such device"))
		change(false, false)
		chip.plug()
		time.Sleep(lastPause * 5 / 4)
		change(true, true)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		change(false, false)
		select {
		case c := <-input.Changes():
			t.Errorf("%+v", c)
		default:
		}
	})
}

// TestUnsupported: where there are no lines there never will be.
func TestUnsupported(t *testing.T) {
	input, err := NewInput(LineOptions{Line: "ignition"})
	if err != nil {
		t.Fatal(err)
	}
	chip := &fakeChip{absent: errors.ErrUnsupported}
	input.watch.open = chip.open
	if err := input.Run(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Run: %v", err)
	}
}
