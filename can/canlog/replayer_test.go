package canlog

import (
	"errors"
	"io"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"milepost/can"
)

// timesSource delivers frames with the given times, a few at once.
type timesSource struct {
	times []time.Duration
	buses []string
}

func (s *timesSource) Buses() []string { return s.buses }

func (s *timesSource) Read(frames []can.Frame) (int, error) {
	if len(s.times) == 0 {
		return 0, io.EOF
	}
	n := min(len(frames), len(s.times), 3)
	for i := range n {
		frames[i] = can.Frame{Time: int64(s.times[i]), ID: uint32(s.times[i] / time.Millisecond)}
	}
	s.times = s.times[n:]
	return n, nil
}

func TestReplayer(t *testing.T) {
	const ms, s = time.Millisecond, time.Second
	const start = 50 * 365 * 24 * time.Hour
	for _, test := range []struct {
		name   string
		speed  float64
		maxGap time.Duration
		log    []time.Duration
		want   []time.Duration // when each is delivered
	}{
		{
			"as recorded", 1, DefaultMaxGap,
			[]time.Duration{start, start + 10*ms, start + 10*ms, start + 30*ms, start + 2*s},
			[]time.Duration{0, 10 * ms, 10 * ms, 30 * ms, 2 * s},
		},
		{
			"ten times", 10, DefaultMaxGap,
			[]time.Duration{start, start + 10*ms, start + 2*s, start + 100*s},
			[]time.Duration{0, 1 * ms, 200 * ms, 10 * s},
		},
		{
			"half", 0.5, DefaultMaxGap,
			[]time.Duration{start, start + 10*ms, start + 2*s},
			[]time.Duration{0, 20 * ms, 4 * s},
		},
		{
			"at once", 0, DefaultMaxGap,
			[]time.Duration{start, start + 10*s, start - 2*s},
			[]time.Duration{0, 0, 0},
		},
		{
			"out of order", 1, DefaultMaxGap,
			[]time.Duration{start, start + 20*ms, start + 10*ms, start + 30*ms},
			[]time.Duration{0, 20 * ms, 20 * ms, 30 * ms},
		},
		{
			"clock set back", 1, DefaultMaxGap,
			[]time.Duration{start, start + 20*ms, 5 * s, 5*s + 10*ms},
			[]time.Duration{0, 20 * ms, 20 * ms, 30 * ms},
		},
		{
			"clock set from 1970", 1, DefaultMaxGap,
			[]time.Duration{0, 20 * ms, start, start + 10*ms},
			[]time.Duration{0, 20 * ms, 20 * ms, 30 * ms},
		},
		{
			"any gap", 1, 0,
			[]time.Duration{0, 5 * time.Hour, 5*time.Hour + ms},
			[]time.Duration{0, 5 * time.Hour, 5*time.Hour + ms},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := NewReplayer(&timesSource{times: test.log}, test.speed)
				r.MaxGap = test.maxGap
				begin := time.Now()
				var times, got []time.Duration
				frames := make([]can.Frame, 2)
				for {
					n, err := r.Read(frames)
					for i := range n {
						times = append(times, time.Duration(frames[i].Time))
						got = append(got, time.Since(begin))
					}
					if err == io.EOF {
						break
					}
					if err != nil || n == 0 {
						t.Fatal(n, err)
					}
					// A consumer that takes its time does not make the rest late.
					time.Sleep(100 * time.Microsecond)
				}
				if !slices.Equal(times, test.log) {
					t.Errorf("frames %v, want %v", times, test.log)
				}
				for i := range got {
					if late := got[i] - test.want[i]; late < 0 || late > 500*time.Microsecond {
						t.Errorf("frame %d after %v, want %v", i, got[i], test.want[i])
					}
				}
			})
		})
	}
}

func TestReplayerDoesNotDrift(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log []time.Duration
		for i := range 5000 {
			log = append(log, time.Duration(i)*1234567)
		}
		last := log[len(log)-1]
		r := NewReplayer(&timesSource{times: log}, 3)
		begin := time.Now()
		frames := make([]can.Frame, 16)
		for {
			if _, err := r.Read(frames); err != nil {
				break
			}
			time.Sleep(17 * time.Microsecond)
		}
		if took, want := time.Since(begin), last/3; took < want || took > want+time.Millisecond {
			t.Errorf("took %v, want %v", took, want)
		}
	})
}

func TestReplayerClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := NewReplayer(&timesSource{times: []time.Duration{0, time.Minute}}, 1)
		frames := make([]can.Frame, 8)
		if n, err := r.Read(frames); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		begin := time.Now()
		go func() {
			time.Sleep(time.Second)
			r.Close()
		}()
		if _, err := r.Read(frames); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read: %v", err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("Read ended after %v", took)
		}
		r.Close()
		if _, err := r.Read(frames); !errors.Is(err, os.ErrClosed) {
			t.Errorf("Read after Close: %v", err)
		}
	})
}
