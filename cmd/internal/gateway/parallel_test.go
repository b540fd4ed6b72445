package gateway

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"milepost/aggregate"
	"milepost/can/canlog"
)

// TestWorkersChangeNothing: whatever a log is like, any number of workers makes
// the same windows, to the bit and in the same order, the same ledger and the
// same problems of it.
func TestWorkersChangeNothing(t *testing.T) {
	const frames = 10_000 // 500 KB: four chunks and more
	for seed, name := range slices.Sorted(maps.Keys(damages)) {
		t.Run(name, func(t *testing.T) {
			random := rand.New(rand.NewPCG(uint64(seed), 3))
			all := randomFrames(uint64(seed), frames)
			text := damages[name](t, random, all)
			bindings := bind(t, databaseOf(all))
			o := DefaultOptions()
			want := summarise(t, text, bindings, o, canlog.MinChunkSize)
			if want.Err != "" || want.Windows == 0 || want.Ledger.Decoded == 0 || want.Ledger.Dropped != 0 || want.Ledger.Frames < frames*9/10 {
				t.Fatalf("%d windows, error %q, ledger %+v", want.Windows, want.Err, want.Ledger)
			}
			for _, workers := range []int{2, 3, 8} {
				o.Workers = workers
				compare(t, want, summarise(t, text, bindings, o, canlog.MinChunkSize))
			}
			o.Workers, o.DecodeUnchanged = 1, true
			always := summarise(t, text, bindings, o, canlog.MinChunkSize)
			if !bytes.Equal(always.Batches, want.Batches) || always.Ledger.Unchanged > always.Ledger.Late {
				t.Errorf("decoding every frame gives %d bytes in %d windows (%d frames unchanged), other than %d bytes in %d windows",
					len(always.Batches), always.Windows, always.Ledger.Unchanged, len(want.Batches), want.Windows)
			}
		})
	}
}

func compare(t *testing.T, want, got outcome) {
	t.Helper()
	if !bytes.Equal(got.Batches, want.Batches) {
		t.Errorf("%d bytes in %d windows, other than the %d bytes in %d windows of one worker", len(got.Batches), got.Windows, len(want.Batches), want.Windows)
	}
	// What is unchanged is found out within a window and a chunk.
	got.Ledger.Unchanged = want.Ledger.Unchanged
	got.Batches, want.Batches = nil, nil
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-one worker +several):\n%s", diff)
	}
}

// TestLargeLog is of several chunks as they are in use.
func TestLargeLog(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	all := randomFrames(1, 200_000)
	text := logOf(t, all, nil)
	if len(text) < 4*chunkSize {
		t.Fatalf("%d bytes are not several chunks", len(text))
	}
	bindings := bind(t, databaseOf(all))
	o := DefaultOptions()
	want := summarise(t, text, bindings, o, chunkSize)
	for _, workers := range []int{2, 4} {
		o.Workers = workers
		compare(t, want, summarise(t, text, bindings, o, chunkSize))
	}
}

// TestBrokenOff: an error of emit and the end of the context end a run, and
// nothing that it started is left behind (synctest waits for it).
func TestBrokenOff(t *testing.T) {
	all := randomFrames(1, 10_000)
	bindings := bind(t, databaseOf(all))
	text := logOf(t, all, nil)
	boom := errors.New("boom")
	for _, workers := range []int{1, 2, 8} {
		for _, after := range []int{0, 1, 7} {
			synctest.Test(t, func(t *testing.T) {
				o := DefaultOptions()
				o.Workers = workers
				run := func(ctx context.Context, emit Emit) (Ledger, error) {
					log, err := canlog.NewReader("test.log", bytes.NewReader(text), canlog.Options{})
					if err != nil {
						t.Fatal(err)
					}
					ledger, _, err := SummariseLog(ctx, log, "test.log", canlog.Options{}, bindings, o, func(canlog.Position) (*canlog.Log, error) {
						t.Error("the log is opened again")
						return nil, boom
					}, emit)
					return ledger, err
				}
				windows := 0
				_, err := run(t.Context(), func(w *aggregate.Window) error {
					if windows == after {
						return boom
					}
					windows++
					w.Release()
					return nil
				})
				if !errors.Is(err, boom) || windows != after {
					t.Errorf("%d workers: error %v after %d windows, want boom after %d", workers, err, windows, after)
				}

				ctx, cancel := context.WithCancelCause(t.Context())
				windows = 0
				_, err = run(ctx, func(w *aggregate.Window) error {
					if windows == after {
						cancel(boom)
					}
					windows++
					w.Release()
					return nil
				})
				if !errors.Is(err, boom) {
					t.Errorf("%d workers: error %v of a cancelled run", workers, err)
				}

				ctx, cancel = context.WithCancelCause(t.Context())
				cancel(boom)
				if ledger, err := run(ctx, func(*aggregate.Window) error { return nil }); !errors.Is(err, boom) || ledger.Decoded != 0 {
					t.Errorf("%d workers: error %v of a run cancelled before it began, ledger %+v", workers, err, ledger)
				}
			})
		}
	}
}
