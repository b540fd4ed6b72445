package gateway

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milepost/can"
	"milepost/cmd/internal/config"
	"milepost/sensors"
	"milepost/uplink/spool"
)

// TestSoak is simulated driving with all that goes wrong in it: buses that fall
// silent and come back, a clock that is set, a sink that is down for most of an
// hour, sensors out of their mind, and a reload of everything that can change each
// hour. What is lost is found, memory, goroutines and descriptors stay as they are.
//
// MILEPOST_SOAK=24h makes it that long. Without, an hour has few minutes.
func TestSoak(t *testing.T) {
	length := 15 * time.Minute
	if text := os.Getenv("MILEPOST_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	} else if testing.Short() {
		length = 5 * time.Minute
	}
	for _, refresh := range []time.Duration{0, 10 * time.Minute} {
		t.Run(fmt.Sprintf("refresh %v", refresh), func(t *testing.T) {
			runtime.GC()
			goroutines, descriptors := runtime.NumGoroutine(), openDescriptors()
			synctest.Test(t, func(t *testing.T) { soak(t, length, refresh) })
			// One that has ended may still be counted for a moment.
			for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					stacks := make([]byte, 1<<20)
					t.Errorf("%d goroutines before, %d after:\n%s", goroutines, runtime.NumGoroutine(), stacks[:runtime.Stack(stacks, true)])
					break
				}
			}
			if n := openDescriptors(); n != descriptors {
				t.Errorf("%d descriptors before, %d after", descriptors, n)
			}
		})
	}
}

// openDescriptors is 0 where that cannot be told.
func openDescriptors() int {
	entries, _ := os.ReadDir("/proc/self/fd")
	return len(entries)
}

func soak(t *testing.T, length, refresh time.Duration) {
	random := rand.New(rand.NewPCG(1, uint64(refresh)))
	r := newLiveRig(t, "can0", "can1", "can2", "can3")
	r.live.Window, r.live.Refresh = 10*time.Second, refresh
	r.live.Mirrors = []Mirror{{Buses: []string{"can2", "can3"}, Within: 10 * time.Millisecond}}
	r.live.Spool.Sync = spool.SyncNever
	wild := &counting{interval: 7 * time.Second}
	for i := range int(length / wild.interval) {
		wild.values = append(wild.values, []float64{float64(i % 5), math.NaN(), math.Inf(1)}[i%3])
	}
	r.live.Sensors = []LiveSensor{{"iio", "wild", &misdated{wild, rand.New(rand.NewPCG(2, uint64(refresh)))}}}
	late := r.path + ".late"
	anHour := min(time.Hour, length/5)
	hours := int(length / anHour)
	sinks := func(hour int) []config.Sink {
		path := late
		if hour%2 == 0 && hour < hours {
			path = "/dev/full" // a disk that takes nothing
		}
		return []config.Sink{fileSink("file", r.path), fileSink("late", path)}
	}
	r.live.Sinks = sinks(0)
	r.start()

	var heap []uint64
	sent := make(map[string]uint64)
	end, hour, nextHour := time.Now().Add(length), 0, time.Now().Add(anHour)
	silent := map[string]time.Time{}
	offset := time.Duration(0)
	value := byte(0)
	for time.Now().Before(end) {
		time.Sleep(100 * time.Millisecond)
		for _, bus := range []string{"can0", "can1", "can2"} {
			if time.Now().Before(silent[bus]) {
				continue
			}
			if random.IntN(5000) == 0 {
				silent[bus] = time.Now().Add(time.Duration(random.IntN(600)) * time.Second)
			}
			if random.IntN(8) == 0 {
				value++
			}
			id := uint32(256 + random.IntN(3)) // the last one is unknown
			f := can.Frame{Time: time.Now().Add(offset).UnixNano(), ID: id, Len: 2, Data: [64]byte{value, 100}}
			if r.buses[bus].Send(f) != nil {
				t.Fatal(bus)
			}
			sent["all"]++
			if id != 258 {
				sent[bus]++
			}
			if bus == "can2" { // its mirror
				r.buses["can3"].Send(f)
				sent["all"]++
			}
		}
		if random.IntN(5000) == 0 {
			offset += []time.Duration{-2 * time.Hour, 3 * time.Second, 90 * time.Minute, -time.Second}[random.IntN(4)]
		}
		if time.Now().Before(nextHour) {
			continue
		}
		hour, nextHour = hour+1, nextHour.Add(anHour)
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		heap = append(heap, m.HeapAlloc)
		t.Logf("hour %d: heap %.2f MiB, %d goroutines, %d descriptors", hour, float64(m.HeapAlloc)/(1<<20), runtime.NumGoroutine(), openDescriptors())
		change := Change{Bindings: liveBindings(t, strings.ReplaceAll(liveDatabase, "(1,0)", fmt.Sprintf("(%d,0)", 1+hour%3))), Refresh: refresh, Sinks: sinks(hour)}
		if hour%3 == 1 {
			change.Priorities = []config.PriorityRule{{Signal: "Speed", Priority: config.PriorityHigh}}
		}
		if err := r.live.Reload(change); err != nil {
			t.Errorf("hour %d: %v", hour, err)
		}
		if what := r.live.Stuck(); what != "" {
			t.Error(what)
		}
	}
	r.stop()
	if err := <-r.result; err != nil {
		t.Fatal(err)
	}
	t.Logf("%d frames, %d records", sent["all"], r.ledger.Records)
	if l := r.ledger; l.Frames != sent["all"] || l.Dropped != 0 {
		t.Errorf("%d frames were sent; %+v", sent["all"], l)
	}
	if n := len(heap); n >= 12 {
		if first, last := slices.Max(heap[1:6]), heap[n-1]; last > first+first/4+1<<20 {
			t.Errorf("the heap has grown from %d to %d bytes", first, last)
		}
	}
	account := soakRecords(t, r.path, r.ledger.Records)
	soakRecords(t, late, r.ledger.Records)
	if refresh > 0 {
		return // what is left out is not there to be counted
	}
	if account["can0"] != sent["can0"] || account["can1"] != sent["can1"] || account["can2"]+account["can3"] != sent["can2"] {
		t.Errorf("sent: %v; delivered: %v", sent, account)
	}
	if account["frames"] != r.ledger.Frames || account["decoded"] != r.ledger.Decoded {
		t.Errorf("the records tell of %d frames, %d decoded; the ledger is %+v", account["frames"], account["decoded"], r.ledger)
	}
}

// misdated is a sensor with a clock that runs wild.
type misdated struct {
	*counting
	random *rand.Rand
}

func (m *misdated) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	return m.counting.Run(ctx, func(readings []sensors.Reading) {
		for i := range readings {
			if m.random.IntN(4) == 0 {
				readings[i].Time = []int64{0, math.MinInt64, math.MaxInt64, readings[i].Time + int64(5*time.Hour)}[m.random.IntN(4)]
			}
		}
		emit(readings)
	})
}

// soakRecords checks that a file has all records of a run, in copies at most where
// sinks were replaced, and counts the samples of a signal of each bus.
func soakRecords(t *testing.T, path string, records uint64) map[string]uint64 {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	account := make(map[string]uint64)
	seen := make([]bool, records+1)
	windows := make(map[string]bool)
	distinct := uint64(0)
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r struct {
			Seq                  uint64
			Bus, Message, Signal string
			Window               float64
			Revision             uint32
			Count                uint64
			Sum                  float64
		}
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Seq == 0 || r.Seq > records {
			t.Fatalf("%s: record %d of %d", filepath.Base(path), r.Seq, records)
		}
		if seen[r.Seq] {
			continue
		}
		seen[r.Seq] = true
		distinct++
		if r.Count > 0 {
			key := fmt.Sprint(r.Window, r.Bus, r.Message, r.Signal, r.Revision)
			if windows[key] {
				t.Fatalf("%s: there are two summaries of one series, window and revision: %s", filepath.Base(path), lines.Text())
			}
			windows[key] = true
		}
		switch {
		case r.Signal == "Speed" || r.Signal == "Pressure":
			account[r.Bus] += r.Count
		case r.Message == "ledger" && (r.Signal == "frames" || r.Signal == "decoded"):
			account[r.Signal] += uint64(r.Sum)
		}
	}
	if lines.Err() != nil || distinct != records {
		t.Errorf("%s: %d of %d records (%v)", filepath.Base(path), distinct, records, lines.Err())
	}
	return account
}
