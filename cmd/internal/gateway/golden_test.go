package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"
	"time"

	"milepost/aggregate"
	"milepost/can/cantest"
	"milepost/uplink"
)

// What a minute of the demo vehicle gives, on every machine. The first hash is of
// the values themselves and changes if a value does; the second one is of the
// batches in the spool and changes with their encoding, too.
const (
	goldenValues  = "3b95d1486ba12517e0383faf5a2e5f708425278b0cbca77ade5c827a504ea640"
	goldenBatches = "ea3b2d730e3609d321db65e190dc9e618fd84891e4b2f80cb5f02ef250e4473d"
)

func TestGolden(t *testing.T) {
	bindings := bind(t, cantest.DemoDBC())
	drive := cantest.NewDrive(cantest.DriveOptions{Duration: time.Minute, Seed: 1})
	encoder := uplink.NewBatchEncoder("golden", uplink.BootID{7}, 1)
	values, batches := sha256.New(), sha256.New()
	var text []byte
	integer := func(n uint64) { text = binary.LittleEndian.AppendUint64(text, n) }
	ledger, err := Summarise(context.Background(), drive, bindings, DefaultOptions(), func(w *aggregate.Window) error {
		text = text[:0]
		integer(uint64(w.Start))
		for _, g := range w.Groups {
			text = append(append(text, g.Group.Bus...), g.Group.Name...)
			for i := range g.Summaries {
				s, series := &g.Summaries[i], &g.Group.Series[i]
				if integer(s.Count); s.Count == 0 {
					continue
				}
				v := s.Value(series)
				for _, x := range []float64{v.Min, v.Max, v.First, v.Last, v.Sum, v.Avg(s.Count)} {
					integer(math.Float64bits(x))
				}
				integer(uint64(int64(s.Histogram.Scale)))
				integer(s.Histogram.Zero)
				for _, counts := range [][]uint64{s.Histogram.Positive.Counts, s.Histogram.Negative.Counts} {
					integer(uint64(len(counts)))
					for _, c := range counts {
						integer(c)
					}
				}
			}
		}
		values.Write(text)
		encoder.Add(w)
		if encoder.Size() > 64<<10 {
			batches.Write(encoder.Take())
		}
		w.Release()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	batches.Write(encoder.Take())
	if err := ledger.Check(); err != nil || ledger.Decoded == 0 || ledger.Decoded != ledger.Frames {
		t.Errorf("error %v, ledger %+v", err, ledger)
	}
	if got := hex.EncodeToString(values.Sum(nil)); got != goldenValues {
		t.Errorf("the values have the hash %s, want %s: this machine calculates otherwise, or the summaries changed", got, goldenValues)
	}
	if got := hex.EncodeToString(batches.Sum(nil)); got != goldenBatches {
		t.Errorf("the batches have the hash %s, want %s", got, goldenBatches)
	}
}
