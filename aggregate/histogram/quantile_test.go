package histogram

import (
	"compress/gzip"
	"encoding/csv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// decodedValues reads a dump of every value of a recorded drive: of each signal,
// second by second.
func decodedValues(t *testing.T, path string) map[string]map[int64][]float64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	rows := csv.NewReader(unzipped)
	rows.ReuseRecord = true
	if _, err := rows.Read(); err != nil { // idx,timestamp,channel,id,message,signal,value
		t.Fatal(err)
	}
	signals := map[string]map[int64][]float64{}
	for {
		row, err := rows.Read()
		if err == io.EOF {
			return signals
		}
		if err != nil {
			t.Fatal(err)
		}
		if row[5] == "__error__" {
			continue
		}
		time, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			t.Fatal(err)
		}
		value, err := strconv.ParseFloat(row[6], 64)
		if err != nil {
			t.Fatal(err)
		}
		name := row[2] + " " + row[3] + " " + row[4] + "." + row[5]
		if signals[name] == nil {
			signals[name] = map[int64][]float64{}
		}
		second := int64(math.Floor(time))
		signals[name][second] = append(signals[name][second], value)
	}
}

// finestScale is the finest at which the values fit, found by trying.
func finestScale(values []float64) int {
	for scale := MaxScale; scale > MinScale; scale-- {
		fits := true
		for _, sign := range []float64{1, -1} {
			first, last := int32(math.MaxInt32), int32(math.MinInt32)
			for _, x := range values {
				if x*sign > 0 {
					i := Index(x) >> (MaxScale - scale)
					first, last = min(first, i), max(last, i)
				}
			}
			fits = fits && int64(last)-int64(first) < MaxBuckets
		}
		if fits {
			return scale
		}
	}
	return MinScale
}

// TestRealDrives: the windows of recorded drives, merged in any order, give the
// same histogram, and its quantiles keep their promise.
func TestRealDrives(t *testing.T) {
	dir, err := filepath.Abs("../../../shared/data/reference/decoded")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("needs the values of recorded drives in ../shared/data beside the project, which are not there")
	}
	for _, name := range []string{"comma2k19_6k", "css_nmea2000_02"} {
		signals := decodedValues(t, filepath.Join(dir, name+".csv.gz"))
		if len(signals) < 20 {
			t.Fatalf("%s has only %d signals", name, len(signals))
		}
		random := rand.New(rand.NewPCG(1, 6))
		var builder Builder
		worst := 0.0
		for signal, seconds := range signals {
			var windows []Histogram
			var all []float64
			for _, values := range seconds {
				weights := make([]uint32, len(values))
				for i := range weights {
					weights[i] = 1
				}
				h := New()
				var slab Slab
				builder.Build(&h, values, weights, slices.Min(values), slices.Max(values), &slab)
				windows = append(windows, h)
				all = append(all, values...)
			}
			var merged Histogram
			for try := range 4 {
				random.Shuffle(len(windows), func(i, j int) { windows[i], windows[j] = windows[j], windows[i] })
				h := New()
				for i := range windows {
					h.Merge(&windows[i])
				}
				if try == 0 {
					merged = h
				} else if diff := cmp.Diff(merged, h, cmpopts.EquateEmpty()); diff != "" {
					t.Fatalf("%s in another order (-one +other):\n%s", signal, diff)
				}
			}
			if merged.Count() != uint64(len(all)) || int(merged.Scale) != finestScale(all) {
				t.Errorf("%s: %d values at scale %d, want %d at %d", signal, merged.Count(), merged.Scale, len(all), finestScale(all))
			}
			slices.Sort(all)
			bound := RelativeError(int(merged.Scale))
			for percent := 1; percent <= 99; percent++ {
				rank := (percent*len(all) + 99) / 100
				want, got := all[rank-1], merged.Quantile(float64(percent)/100)
				if off := math.Abs(got - want); off > bound*math.Abs(want)*(1+1e-12) {
					t.Errorf("%s, %d values: quantile %d %% is %v, want %v within %.3f %%", signal, len(all), percent, got, want, 100*bound)
				} else if want != 0 {
					worst = max(worst, off/math.Abs(want)/bound)
				}
			}
		}
		t.Logf("%s: %d signals, the worst estimate uses %.1f %% of what is promised", name, len(signals), 100*worst)
	}
}
