package uplink

import (
	"fmt"
	"testing"
	"time"
)

// TestPace runs links of different latencies and bandwidths, with live data of
// half the bandwidth between the groups: these come to take groupTime and the
// latency, whatever the latency is.
func TestPace(t *testing.T) {
	for _, latency := range []time.Duration{0, 50 * time.Millisecond, 600 * time.Millisecond, 2 * time.Second} {
		for _, rate := range []float64{20e3, 200e3, 800e3} {
			t.Run(fmt.Sprintf("%v,%.0f", latency, rate), func(t *testing.T) {
				const entry = 2000
				var p pace
				send := func(bytes int) time.Duration {
					d := latency + time.Duration(float64(bytes)/rate*float64(time.Second))
					p.took(bytes, d, 1<<20)
					return d
				}
				took := time.Duration(0)
				var longest time.Duration
				for i := range 300 {
					live := float64(rate * took.Seconds() / 2)
					took = send(max(entry, int(live)/entry*entry))
					backlog := send((p.limit(1<<20) + entry - 1) / entry * entry)
					took += backlog
					longest = max(longest, backlog)
					if i < 50 {
						continue
					}
					if backlog < latency+groupTime/2 || backlog > latency+groupTime+200*time.Millisecond {
						t.Fatalf("group %d of %d bytes has taken %v", i, p.limit(1<<20), backlog)
					}
				}
				if longest > latency+1500*time.Millisecond {
					t.Errorf("a group has taken %v", longest)
				}
			})
		}
	}
}
