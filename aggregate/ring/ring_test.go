package ring

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestNewRoundsUp(t *testing.T) {
	for size, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 64: 64, 65: 128} {
		if got := len(New[int](size, 0).slots); got != want {
			t.Errorf("New(%d) has %d slots, want %d", size, got, want)
		}
	}
}

// TestStates walks one ring through what its counters can say.
func TestStates(t *testing.T) {
	r := New[int](2, -1) // windows before 1970 have negative numbers
	step := func(w int64, wantFresh bool, want State) {
		t.Helper()
		value, fresh, state := r.Slot(w)
		if state != want || fresh != wantFresh || (value != nil) != (want == Open) {
			t.Fatalf("window %d: fresh %v, state %d; want %v, %d", w, fresh, state, wantFresh, want)
		}
	}
	closed := func(want ...int64) {
		t.Helper()
		var got []int64
		if r.Pending() != (r.complete.Load() > r.released.Load()) {
			t.Fatal("Pending disagrees with the counters")
		}
		r.Close(func(w int64, _ *int) { got = append(got, w) })
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("closed (-want +got):\n%s", diff)
		}
		if r.Pending() {
			t.Fatal("still pending")
		}
	}
	step(-2, false, Late)
	step(-1, true, Open)
	step(-1, false, Open)
	step(1, false, Full)
	closed() // nothing is complete yet
	r.Complete(0)
	step(-1, false, Late)
	step(1, false, Full) // complete, but not released
	step(0, true, Open)
	closed(-1)
	step(1, true, Open)
	r.Complete(-5) // never goes back
	step(0, false, Open)
	r.Complete(1 << 40) // far beyond what there are slots for
	step(1<<40, false, Full)
	closed(0, 1)
	step(1<<40, true, Open)
	step(1<<40-1, false, Late)
	if got := r.Completed(); got != 1<<40 {
		t.Fatalf("completed %d", got)
	}
}

// TestAgainstMap compares the ring with a map of windows, one operation at a time.
func TestAgainstMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := 1 << rapid.IntRange(0, 4).Draw(t, "size bits")
		first := rapid.Int64Range(-20, 20).Draw(t, "first")
		r := New[[]int](size, first)
		model := map[int64][]int{}
		complete, released := first, first
		for i := range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 6).Draw(t, "step") {
			case 6:
				var want, got []string
				for _, w := range sortedKeys(model) {
					if w >= complete {
						want = append(want, fmt.Sprint(w, model[w]))
					}
				}
				r.Each(func(w int64, value *[]int) { got = append(got, fmt.Sprint(w, *value)) })
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("open (-want +got):\n%s", diff)
				}
			case 0:
				w := complete + rapid.Int64Range(-3, int64(size)).Draw(t, "complete")
				if rapid.IntRange(0, 20).Draw(t, "far") == 0 {
					w += 1 << 33
				}
				r.Complete(w)
				complete = max(complete, w)
			case 1:
				var want, got []string
				for _, w := range sortedKeys(model) {
					if w < complete {
						want = append(want, fmt.Sprint(w, model[w]))
						delete(model, w)
					}
				}
				r.Close(func(w int64, value *[]int) {
					got = append(got, fmt.Sprint(w, *value))
					*value = (*value)[:0]
				})
				released = complete
				if diff := cmp.Diff(want, got); diff != "" {
					t.Fatalf("closed (-want +got):\n%s", diff)
				}
			default:
				w := complete + rapid.Int64Range(-2, int64(size)+1).Draw(t, "window")
				want := Open
				switch {
				case w < complete:
					want = Late
				case w >= released+int64(size):
					want = Full
				}
				value, fresh, state := r.Slot(w)
				_, known := model[w]
				if state != want || (state == Open && fresh == known) {
					t.Fatalf("window %d: fresh %v, state %d; want %v, %d", w, fresh, state, !known, want)
				}
				if state == Open {
					*value = append(*value, i)
					model[w] = append(model[w], i)
				}
			}
		}
	})
}

func sortedKeys(m map[int64][]int) (keys []int64) {
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// TestHammer has a writer and a closer at work at the same time. The race
// detector sees whether a slot ever has two owners; the test sees that each
// value that was written is closed exactly once, in order and in its window.
func TestHammer(t *testing.T) {
	type sample struct{ window, number int64 }
	steps := 200_000
	if testing.Short() {
		steps = 20_000
	}
	for _, size := range []int{1, 2, 8} {
		r := New[[]sample](size, 0)
		var done atomic.Bool
		written := make(chan []sample, 1)
		go func() {
			defer done.Store(true)
			random := rand.New(rand.NewPCG(uint64(size), 7))
			var newest, full, late int64
			var all []sample
			for n := range int64(steps) {
				switch random.IntN(200) {
				case 0:
					newest += random.Int64N(1 << 40)
				case 1, 2, 3, 4:
					newest++
				}
				r.Complete(newest - 1)
				w := newest - random.Int64N(4)
				if w > newest-2 {
					w = newest - random.Int64N(2)
				}
				value, fresh, state := r.Slot(w)
				for state == Full && random.IntN(10) != 0 { // a replay waits, a live source drops
					runtime.Gosched()
					value, fresh, state = r.Slot(w)
				}
				switch state {
				case Full:
					full++
				case Late:
					late++
				case Open:
					if fresh != (len(*value) == 0) {
						panic(fmt.Sprintf("window %d: fresh %v, but %d values", w, fresh, len(*value)))
					}
					s := sample{w, n}
					*value = append(*value, s)
					all = append(all, s)
				}
			}
			r.Complete(newest + 1)
			if late == 0 || len(all) == 0 {
				panic("the test exercises nothing")
			}
			written <- all
		}()
		var closed []sample
		last := int64(-1 << 62)
		take := func(w int64, value *[]sample) {
			if w <= last {
				t.Errorf("window %d closed after %d", w, last)
			}
			last = w
			for _, s := range *value {
				if s.window != w {
					t.Errorf("a value of window %d in window %d", s.window, w)
				}
			}
			closed = append(closed, *value...)
			*value = (*value)[:0]
		}
		for !done.Load() {
			r.Close(take)
			runtime.Gosched()
		}
		r.Close(take)
		want := <-written
		slices.SortStableFunc(want, func(a, b sample) int { // by window, the order within is that of writing
			switch {
			case a.window < b.window:
				return -1
			case a.window > b.window:
				return 1
			}
			return 0
		})
		if !slices.Equal(closed, want) {
			t.Errorf("size %d: %d values closed, %d written, or in another order", size, len(closed), len(want))
		}
	}
}
