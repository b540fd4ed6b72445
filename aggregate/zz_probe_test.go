package aggregate

import "testing"

func TestProbeMixed(t *testing.T) {
	c := NewCollector(Options{Window: 1e9, Lateness: 1e9, Step: 10e9, Slots: 4})
	lane, _ := c.Lane(0, func() {})
	c.AddStream(false, lane)
	lane.Add(0, 1, 8)
	lane.Add(0, 2, 4)
	lane.Add(0, 3, 4)
	p := lane.Payloads(0)
	t.Log(len(p.Lens), len(p.Weights), p.Lens)
	var d [64]byte
	d[10] = 1
	lane.AddWide(0, &d, 16, false)
	lane.Add(0, 3, 4)
	lane.Add(0, 5, 4)
	p = lane.Payloads(0)
	t.Log(len(p.Lens), len(p.Weights), p.Lens, p.Stride, len(p.Data))
}
