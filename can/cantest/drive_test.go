package cantest

import (
	"encoding/binary"
	"hash/fnv"
	"io"
	"testing"
	"time"

	"milepost/can"
)

// readAll calls f with each frame of a source.
func readAll(t *testing.T, source can.Source, f func(*can.Frame)) (frames int) {
	t.Helper()
	batch := make([]can.Frame, 512)
	for {
		n, err := source.Read(batch)
		if err == io.EOF && n == 0 {
			return frames
		}
		if err != nil {
			t.Fatalf("frame %d: %v", frames, err)
		}
		for i := range batch[:n] {
			f(&batch[i])
		}
		frames += n
	}
}

// hashFrames hashes all that the first frames say.
func hashFrames(t *testing.T, source can.Source, limit int) uint64 {
	t.Helper()
	h := fnv.New64a()
	frames := make([]can.Frame, limit)
	for n := 0; n < limit; {
		k, err := source.Read(frames[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += k
	}
	var b []byte
	for i := range frames {
		f := &frames[i]
		b = binary.LittleEndian.AppendUint64(b[:0], uint64(f.Time))
		b = binary.LittleEndian.AppendUint32(b, f.ID)
		b = binary.LittleEndian.AppendUint32(b, f.Stream)
		b = binary.LittleEndian.AppendUint16(b, f.Bus)
		b = append(b, byte(f.Flags), f.Len, f.RawDLC)
		h.Write(append(b, f.Data[:8]...))
	}
	return h.Sum64()
}

// The hashes are the same on every machine: run this with GOARCH=386, too.
func TestDriveIsReproducible(t *testing.T) {
	const limit = 200_000
	for _, test := range []struct {
		name   string
		source func(DriveOptions) *Drive
		want   uint64
	}{
		{"drive", NewDrive, 0x3372a9b94d1cf10f},
		{"workload", NewWorkload, 0xa318bb6811e500c5},
	} {
		t.Run(test.name, func(t *testing.T) {
			first := hashFrames(t, test.source(DriveOptions{Seed: 1}), limit)
			if first != test.want {
				t.Errorf("hash of %d frames = %#x, want %#x", limit, first, test.want)
			}
			if other := hashFrames(t, test.source(DriveOptions{Seed: 2}), limit); other == first {
				t.Error("another seed gives the same frames")
			}
		})
	}
}

func TestDriveShape(t *testing.T) {
	if testing.Short() {
		t.Skip("it simulates minutes of driving in one goroutine, which the race detector makes long: make test")
	}
	for _, test := range []struct {
		name               string
		source             func(DriveOptions) *Drive
		duration           time.Duration
		load               [2]float64
		repeats            [2]float64
		framesPerSecondMin float64
		framesPerSecondMax float64
	}{
		{"drive", NewDrive, DefaultDuration, [2]float64{0.45, 0.55}, [2]float64{0.45, 0.60}, 4000, 4300},
		{"workload", NewWorkload, time.Minute, [2]float64{0.578, 0.590}, [2]float64{0.529, 0.549}, 5250, 5258},
	} {
		t.Run(test.name, func(t *testing.T) {
			load, err := BusLoad(test.source(DriveOptions{Duration: test.duration}), Bitrate)
			if err != nil {
				t.Fatal(err)
			}
			var marks marks
			var lastTime int64
			var busFree [2]int64
			repeats := 0
			start, end := DefaultStart.UnixNano(), DefaultStart.Add(test.duration).UnixNano()
			source := test.source(DriveOptions{Duration: test.duration})
			frames := readAll(t, source, func(f *can.Frame) {
				if f.Time < lastTime || f.Time < start || f.Time >= end || f.Time%1000 != 0 {
					t.Fatalf("time %d after %d", f.Time, lastTime)
				}
				lastTime = f.Time
				wire := int64(WireBits(f.ID, f.Is(can.Extended), f.Payload())) * 1_000_000_000 / Bitrate
				if f.Time-wire < busFree[f.Bus] {
					t.Fatalf("%s at %d: sent while the bus was taken", can.FormatID(f.ID, f.Is(can.Extended)), f.Time)
				}
				busFree[f.Bus] = f.Time
				want := *f
				if marks.mark(&want) {
					repeats++
				}
				if want.Stream != f.Stream || want.Flags != f.Flags {
					t.Fatalf("stream %d, flags %b, want %d, %b", f.Stream, f.Flags, want.Stream, want.Flags)
				}
			})
			rate := float64(frames) / test.duration.Seconds()
			repeated := float64(repeats) / float64(frames)
			t.Logf("%d frames, %.1f/s, load %.3f and %.3f, %.1f %% repeat the payload before", frames, rate, load[0], load[1], 100*repeated)
			for bus, l := range load {
				if l < test.load[0] || l > test.load[1] {
					t.Errorf("bus %d: load %.3f, want %.3f to %.3f", bus, l, test.load[0], test.load[1])
				}
			}
			if repeated < test.repeats[0] || repeated > test.repeats[1] {
				t.Errorf("%.3f of the frames repeat, want %.3f to %.3f", repeated, test.repeats[0], test.repeats[1])
			}
			if rate < test.framesPerSecondMin || rate > test.framesPerSecondMax {
				t.Errorf("%.1f frames a second", rate)
			}
		})
	}
}

// Every message is sent in its cycle, and every value of a table, every group
// and every value of a counter occurs in one round.
func TestDriveCoversTheModel(t *testing.T) {
	source := NewDrive(DriveOptions{})
	model := source.Model()
	type seen struct {
		message *Message
		frames  int
		values  []map[int64]bool // by signal, of those with tables and the selector
		low     []int64
		high    []int64
	}
	var streams []*seen
	var marks marks
	readAll(t, source, func(f *can.Frame) {
		if int(f.Stream) == len(streams) {
			m := model.Message(f.ID, f.Is(can.Extended))
			if m == nil || m.Bus != f.Bus || m.Len != f.Len {
				t.Fatalf("%+v is not in the model", f)
			}
			s := &seen{message: m, values: make([]map[int64]bool, len(m.Signals)), low: make([]int64, len(m.Signals)), high: make([]int64, len(m.Signals))}
			for i := range s.values {
				s.values[i] = make(map[int64]bool)
				s.low[i], s.high[i] = 1<<40, -1<<40
			}
			streams = append(streams, s)
		}
		s := streams[f.Stream]
		s.frames++
		if again := *f; marks.mark(&again) {
			return
		}
		group := int64(0)
		if selector := s.message.Selector(); selector != nil {
			group = selector.Raw(f)
		}
		for i := range s.message.Signals {
			signal := &s.message.Signals[i]
			if signal.Group != NoGroup && int64(signal.Group) != group {
				continue
			}
			raw := signal.Raw(f)
			s.low[i], s.high[i] = min(s.low[i], raw), max(s.high[i], raw)
			if signal.Bits <= 4 || signal.Role == Selector {
				s.values[i][raw] = true
			}
			if signal.Role == Checksum && raw != int64(referenceCRC8(f.Payload(), int(signal.Start/8))) {
				t.Fatalf("%s: checksum %#x", s.message.Name, raw)
			}
		}
	})
	if len(streams) != len(model.Messages) {
		t.Errorf("%d of %d messages were sent", len(streams), len(model.Messages))
	}
	for _, s := range streams {
		m := s.message
		want := int(DefaultDuration.Milliseconds()) / m.CycleMilliseconds
		if s.frames < want-1 || s.frames > want+1 {
			t.Errorf("%s: %d frames, want %d", m.Name, s.frames, want)
		}
		for i := range m.Signals {
			signal := &m.Signals[i]
			values := 0
			switch {
			case signal.Table != nil:
				values = len(signal.Table.Names)
			case signal.Role == Selector:
				values = 4
			case signal.Role == Counter:
				values = 16
			}
			switch {
			case values > 0 && len(s.values[i]) != values:
				t.Errorf("%s.%s: values %v, want %d", m.Name, signal.Name, s.values[i], values)
			case values == 0 && s.low[i] == s.high[i] && !constant[signal.Name]:
				t.Errorf("%s.%s is always %d", m.Name, signal.Name, s.low[i])
			}
			if testing.Verbose() {
				t.Logf("%-24s %-26s %12.4g … %-12.4g %s", m.Name, signal.Name, signal.Physical(s.low[i]), signal.Physical(s.high[i]), signal.Unit)
			}
		}
	}
}

// constant are signals that do not change in a round.
var constant = map[string]bool{
	"WindowFR": true, "WindowRL": true, "WindowRR": true, "OccupiedRearLeft": true, "OccupiedRearRight": true,
	"CrashSeverity": true, "AirbagLamp": true, "StabilityFault": true, "ParkBrakeFault": true, "FuelReserve": true,
	"TailgateMotorCurrent": true, "ClockHour": true,
}

func TestDriveDecodesToADrive(t *testing.T) {
	source := NewDrive(DriveOptions{})
	motion, wheel := source.Model().Message(0x0C0, false), source.Model().Message(0x0E0, false)
	speed, acceleration, wheelSpeed := &motion.Signals[0], &motion.Signals[1], &wheel.Signals[0]
	var top, last float64
	readAll(t, source, func(f *can.Frame) {
		switch {
		case f.Bus == 0 && f.ID == motion.ID:
			last = speed.Physical(speed.Raw(f))
			top = max(top, last)
			if a := acceleration.Physical(acceleration.Raw(f)); a < -6 || a > 4 {
				t.Fatalf("acceleration %v m/s²", a)
			}
		case f.Bus == 0 && f.ID == wheel.ID:
			if w := wheelSpeed.Physical(wheelSpeed.Raw(f)); w < last-12 || w > last+12 {
				t.Fatalf("a wheel has %v km/h at a speed of %v", w, last)
			}
		}
	})
	if top < 130 || top > 135 || last != 0 {
		t.Errorf("top speed %v, speed at the end %v", top, last)
	}
}

func TestDriveOptions(t *testing.T) {
	start := time.Date(2030, 1, 2, 3, 4, 5, 678_901_999, time.UTC)
	source := NewDrive(DriveOptions{Start: start, Duration: time.Second, Buses: []string{"a", "b"}})
	if got := source.Buses(); got[0] != "a" || got[1] != "b" {
		t.Errorf("buses %q", got)
	}
	if n, err := source.Read(nil); n != 0 || err != nil {
		t.Errorf("Read(nil) = %d, %v", n, err)
	}
	first := int64(0)
	readAll(t, source, func(f *can.Frame) {
		if first == 0 {
			first = f.Time
		}
	})
	if since := first - start.Truncate(time.Microsecond).UnixNano(); since < 0 || since > 2_000_000 {
		t.Errorf("the first frame comes after %d ns", since)
	}
	if n, err := NewDrive(DriveOptions{Duration: -1}).Read(make([]can.Frame, 1)); n != 0 || err != io.EOF {
		t.Errorf("a drive of no length: %d, %v", n, err)
	}
}

func TestDriveDoesNotAllocate(t *testing.T) {
	for name, source := range map[string]*Drive{"drive": NewDrive(DriveOptions{}), "workload": NewWorkload(DriveOptions{})} {
		frames := make([]can.Frame, 256)
		for range 100 { // until every stream has its number
			source.Read(frames)
		}
		if n := testing.AllocsPerRun(100, func() { source.Read(frames) }); n != 0 {
			t.Errorf("%s: %v allocations in 256 frames", name, n)
		}
	}
}

func BenchmarkDrive(b *testing.B)    { benchmark(b, NewDrive) }
func BenchmarkWorkload(b *testing.B) { benchmark(b, NewWorkload) }

func benchmark(b *testing.B, newSource func(DriveOptions) *Drive) {
	source := newSource(DriveOptions{Duration: 1 << 62})
	frames := make([]can.Frame, 256)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		k, err := source.Read(frames[:min(len(frames), b.N-n)])
		if err != nil {
			b.Fatal(err)
		}
		n += k
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mframes/s")
}
