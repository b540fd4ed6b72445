package gateway

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"time"

	"milepost/aggregate"
	"milepost/can"
	"milepost/can/cantest"
)

// readAll reads a drive into memory.
func readAll(t testing.TB, source can.Source) (frames []can.Frame) {
	t.Helper()
	batch := make([]can.Frame, 1024)
	for {
		n, err := source.Read(batch)
		frames = append(frames, batch[:n]...)
		if err == io.EOF {
			return frames
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestNoAllocations: in steady state nothing is allocated, neither for a frame
// nor for a window.
func TestNoAllocations(t *testing.T) {
	for name, model := range map[string]func() (*cantest.Drive, []byte){
		"demo": func() (*cantest.Drive, []byte) {
			return cantest.NewDrive(cantest.DriveOptions{Duration: 40 * time.Second}), cantest.DemoDBC()
		},
		"workload": func() (*cantest.Drive, []byte) {
			return cantest.NewWorkload(cantest.DriveOptions{Duration: 40 * time.Second}), cantest.WorkloadDBC()
		},
	} {
		t.Run(name, func(t *testing.T) {
			drive, text := model()
			frames := readAll(t, drive)
			windows := 0
			c := newCollector(bind(t, text), DefaultOptions(), func(w *aggregate.Window) {
				windows++
				w.Release()
			})
			run := func(frames []can.Frame) {
				for len(frames) > 0 {
					n := min(batchFrames, len(frames))
					c.add(drive, frames[:n])
					c.close()
					frames = frames[n:]
				}
			}
			half := len(frames) / 2
			run(frames[:half])
			var before, after runtime.MemStats
			warm := windows
			runtime.ReadMemStats(&before)
			run(frames[half:])
			runtime.ReadMemStats(&after)
			closed := windows - warm
			if closed < 15 {
				t.Fatalf("%d windows", closed)
			}
			// A stretch of many windows may still meet its largest one so far.
			if n := after.Mallocs - before.Mallocs; n > uint64(closed) {
				t.Errorf("%d allocations for %d frames in %d windows", n, len(frames)-half, closed)
			}
			// The same second again and again, as far as payloads go.
			second := frames[len(frames)-len(frames)/40:]
			length := second[len(second)-1].Time - second[0].Time
			if n := testing.AllocsPerRun(20, func() {
				for i := range second {
					second[i].Time += length
				}
				run(second)
			}); n != 0 {
				t.Errorf("%v allocations a second of %d frames", n, len(second))
			}
		})
	}
}

// TestLateStorm: more late frames in a row than are kept at a time are no reason
// to lose any.
func TestLateStorm(t *testing.T) {
	frames := cantest.RandomFrames(3, 30_000, cantest.RandomOptions{IDs: 6})
	for i := range frames {
		if i >= 10_000 && i < 29_000 {
			frames[i].Time = frames[9_000].Time - 5e9 + int64(i)*100_000 // 5 s behind for 19,000 frames
		}
	}
	r := newRecorder()
	ledger, err := Summarise(context.Background(), cantest.SliceSource(frames, testBuses), bind(t, databaseOf(frames)), DefaultOptions(), r.emit)
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Check(); err != nil {
		t.Error(err)
	}
	if ledger.Dropped != 0 || ledger.Late < 10_000 {
		t.Errorf("%d frames dropped, %d late", ledger.Dropped, ledger.Late)
	}
}

// TestAlternatingTimes: two windows that take turns, frame by frame or batch by
// batch, are both bounded in memory.
func TestAlternatingTimes(t *testing.T) {
	const n = 60_000
	frames := cantest.RandomFrames(4, n, cantest.RandomOptions{IDs: 2})
	for i := range frames {
		frames[i].Time = 1e18 + int64(i%2)*1e9
	}
	c := newCollector(bind(t, databaseOf(frames)), DefaultOptions(), func(w *aggregate.Window) { w.Release() })
	source := cantest.SliceSource(frames, testBuses)
	marked := readAll(t, source)
	taken := uint64(0)
	for len(marked) > 0 {
		batch := marked[:min(len(marked), 2*batchFrames)]
		c.add(source, batch)
		c.close()
		marked = marked[len(batch):]
		taken = c.folder.counts.Decoded
	}
	if taken < n/2 {
		t.Errorf("only %d of %d frames are summarised before the windows end", taken, n)
	}
	c.finish()
	if got := c.folder.counts.Decoded + c.folder.counts.Unknown; got != n {
		t.Errorf("%d of %d frames", got, n)
	}
}

// failing is a source that ends with an error.
type failing struct {
	can.Source
	err error
}

func (f failing) Read(frames []can.Frame) (int, error) {
	n, err := f.Source.Read(frames)
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

// TestSourceFails: what was read before the error counts.
func TestSourceFails(t *testing.T) {
	frames := randomFrames(2, 3000)
	boom := errors.New("boom")
	whole, part := newRecorder(), newRecorder()
	bindings := bind(t, databaseOf(frames))
	want, err := Summarise(context.Background(), cantest.SliceSource(frames, testBuses), bindings, DefaultOptions(), whole.emit)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Summarise(context.Background(), failing{cantest.SliceSource(frames, testBuses), boom}, bindings, DefaultOptions(), part.emit)
	if !errors.Is(err, boom) || got != want || whole.outcome.Windows != part.outcome.Windows {
		t.Errorf("error %v, ledger %+v, %d windows; want boom, %+v, %d", err, got, part.outcome.Windows, want, whole.outcome.Windows)
	}
}
