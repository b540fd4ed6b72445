package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/cantest"
	"milepost/cmd/internal/config"
	"milepost/uplink"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/mqttbroker"
)

// classRules divide messages, and one of them in three.
var classRules = []config.PriorityRule{
	{Message: "BrakeHydraulics", Signal: "BrakePressure", Priority: config.PriorityHigh},
	{Signal: "Brake*", Priority: config.PriorityLow},
	{Message: "Wheel*", Priority: config.PriorityHigh},
	{Bus: "can1", Message: "[A-R]*", Priority: config.PriorityNormal},
	{Bus: "can1", Priority: config.PriorityLow},
}

// driveLog writes a drive of the demo vehicle as a log.
func driveLog(t testing.TB, duration time.Duration) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "drive.log")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	drive := cantest.NewDrive(cantest.DriveOptions{Duration: duration, Seed: 1})
	w := canlog.NewWriter(file, canlog.WriterOptions{})
	frames := make([]can.Frame, 256)
	for {
		n, err := drive.Read(frames)
		if e := w.Write(frames[:n], drive.Buses()); e != nil {
			t.Fatal(e)
		}
		if err == io.EOF {
			break
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return path
}

// classReplay is a replay of a log with priorities into a folder.
func classReplay(t testing.TB, log, dir string, targets ...Target) *Replay {
	t.Helper()
	r := &Replay{
		Options: DefaultOptions(), Bindings: bind(t, cantest.DemoDBC()), Logs: []string{log}, Device: "car",
		Priorities: classRules, SpoolDir: dir, Resume: true,
		Spool: spool.Options{Sync: spool.SyncNever, ChapterBytes: 64 << 10},
	}
	if targets != nil {
		r.Targets = func(TargetOptions, func(string) []byte) ([]Target, error) { return targets, nil }
	}
	return r
}

func run(t testing.TB, ctx context.Context, r *Replay) (ReplayResult, error) {
	t.Helper()
	result, err := r.Run(ctx)
	if e := result.Check(); e != nil && result.Ledger.Unfinished == 0 {
		t.Errorf("%v: %+v", e, result)
	}
	return result, err
}

// stored are the records of each class in a folder; each entry is of one window.
func stored(t testing.TB, dir string) map[config.Priority][]uplink.Record {
	t.Helper()
	all := make(map[config.Priority][]uplink.Record)
	for _, f := range SpoolFolders(dir) {
		var decoder uplink.BatchDecoder
		for entry, err := range spool.Scan(f.Dir) {
			if err != nil {
				t.Fatal(err)
			}
			records, err := decoder.Decode(entry.Payload, nil)
			if err != nil {
				t.Fatal(err)
			}
			for i := range records {
				if records[i].Sequence != records[0].Sequence+uint64(i) {
					t.Fatalf("the sequences of an entry have gaps: %d behind %d", records[i].Sequence, records[0].Sequence+uint64(i)-1)
				}
			}
			all[f.Priority] = append(all[f.Priority], records...)
		}
	}
	return all
}

// identity is what a record says, but for its sequence.
func identity(r *uplink.Record) string {
	v := r.Value()
	return fmt.Sprint(r.Start, r.Revision, r.Group.Bus, r.Group.Name, r.Series.Name, r.Series.Unit, r.Summary.Count, v.Min, v.Max, v.Sum, v.First, v.Last, r.Summary.Histogram)
}

// TestClassesSameRecords: priorities change which record is stored where, and in
// which order within a window, and nothing else.
func TestClassesSameRecords(t *testing.T) {
	log := driveLog(t, 10*time.Second)
	plain, classes := filepath.Join(t.TempDir(), "plain"), filepath.Join(t.TempDir(), "classes")
	one := classReplay(t, log, plain)
	one.Priorities = []config.PriorityRule{{Bus: "*", Priority: config.PriorityNormal}}
	if _, err := run(t, t.Context(), one); err != nil {
		t.Fatal(err)
	}
	result, err := run(t, t.Context(), classReplay(t, log, classes))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(plain, "high")); err == nil {
		t.Error("a class that no rule names has a folder")
	}
	info, err := spool.Inspect(plain)
	if err != nil {
		t.Fatal(err)
	}
	from, until := info.Chapters[0].From, info.Chapters[len(info.Chapters)-1].Until
	if from.UnixNano() != result.From || until.UnixNano() != result.To {
		t.Errorf("the entries are of %v to %v, the windows of %v to %v", from, until, time.Unix(0, result.From), time.Unix(0, result.To))
	}
	want := make(map[string]bool)
	wholes := stored(t, plain)[config.PriorityNormal]
	for i := range wholes {
		want[identity(&wholes[i])] = true
	}
	if uint64(len(wholes)) != result.Ledger.Records {
		t.Errorf("%d records in one class, %d in several", len(wholes), result.Ledger.Records)
	}
	var sequences []uint64
	starts := make(map[uint64]int64) // by sequence
	for priority, records := range stored(t, classes) {
		counted := result.Ledger.Classes[slices.Index(priorities[:], priority)].Records
		if len(records) == 0 || uint64(len(records)) != counted {
			t.Errorf("%d records of %s priority are stored, %d counted", len(records), priority, counted)
		}
		for i := range records {
			r := &records[i]
			if id := identity(r); !want[id] {
				t.Fatalf("not without priorities, or twice: %s", id)
			} else {
				delete(want, id)
			}
			if p := config.PriorityOf(classRules, r.Group.Bus, r.Group.Name, r.Series.Name); p != priority {
				t.Fatalf("%s.%s of %s priority is stored with %s", r.Group.Name, r.Series.Name, p, priority)
			}
			sequences = append(sequences, r.Sequence)
			starts[r.Sequence] = r.Start
		}
	}
	slices.Sort(sequences)
	for i, sequence := range sequences {
		if sequence != uint64(i+1) {
			t.Fatalf("sequence %d in the place of %d", sequence, i+1)
		}
		if starts[sequence] < starts[max(1, sequence-1)] {
			t.Fatalf("record %d is of an earlier window than the one before", sequence)
		}
	}
	if len(want) > 0 {
		t.Errorf("%d records are missing", len(want))
	}
}

// shorten leaves the first entries of a spool only, as after a kill.
func shorten(t *testing.T, dir string, entries int) {
	t.Helper()
	var payloads [][]byte
	for entry, err := range spool.Scan(dir) {
		if err != nil {
			t.Fatal(err)
		}
		if len(payloads) < entries {
			payloads = append(payloads, slices.Clone(entry.Payload))
		}
	}
	for _, name := range []string{"chapters", "cursors", "meta", "high-water", "LOCK", "trash", "quarantine", "next"} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := spool.Open(dir, spool.Options{Sync: spool.SyncNever})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range payloads {
		if _, err := s.Append(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestClassesKilled goes on where a kill, or a power cut, has left each class at
// another window: every record is stored once.
func TestClassesKilled(t *testing.T) {
	log := driveLog(t, 8*time.Second)
	random := rand.New(rand.NewPCG(1, 2))
	for range 12 {
		dir := filepath.Join(t.TempDir(), "spool")
		result, err := run(t, t.Context(), classReplay(t, log, dir))
		if err != nil {
			t.Fatal(err)
		}
		var left []string
		for _, f := range SpoolFolders(dir) {
			n := random.IntN(10) // of 9 windows
			shorten(t, f.Dir, n)
			left = append(left, fmt.Sprint(f.Priority, " ", n))
		}
		if random.IntN(4) == 0 { // killed before it was made
			left = append(left, "no high")
			if err := os.RemoveAll(filepath.Join(dir, "high")); err != nil {
				t.Fatal(err)
			}
		}
		again, err := run(t, t.Context(), classReplay(t, log, dir))
		if err != nil {
			t.Fatalf("%v: %v", left, err)
		}
		if again.Ledger.Records != result.Ledger.Records {
			t.Errorf("%v: %d records, %d before", left, again.Ledger.Records, result.Ledger.Records)
		}
		var sequences []uint64
		for _, records := range stored(t, dir) {
			for i := range records {
				sequences = append(sequences, records[i].Sequence)
			}
		}
		slices.Sort(sequences)
		if n := len(sequences); uint64(n) != result.Ledger.Records || len(slices.Compact(sequences)) != n || sequences[n-1] != result.Ledger.Records {
			t.Errorf("%v: %d records are stored of %d, %d of them different", left, n, result.Ledger.Records, len(slices.Compact(sequences)))
		}
	}
}

// deadSink is never reached.
type deadSink struct{}

func (deadSink) Send(context.Context, []uplink.Record) error { return errors.New("no route to host") }
func (deadSink) Close() error                                { return nil }

// TestClassesQuota fills a spool whose sink is dead: the least important goes
// first, and what is gone is counted to the record.
func TestClassesQuota(t *testing.T) {
	log := driveLog(t, 40*time.Second)
	whole := filepath.Join(t.TempDir(), "whole")
	if _, err := run(t, t.Context(), classReplay(t, log, whole)); err != nil {
		t.Fatal(err)
	}
	for _, maxBytes := range []int64{24 << 10, 96 << 10, 288 << 10} {
		t.Run(fmt.Sprint(maxBytes), func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "spool")
			r := classReplay(t, log, dir, Target{Name: "dead", Sink: deadSink{}, GiveUp: time.Millisecond})
			r.Spool.ChapterBytes, r.Spool.MaxBytes, r.Spool.MemoryBytes = 4<<10, maxBytes, 8<<10
			result, err := run(t, t.Context(), r)
			if err == nil || !strings.Contains(err.Error(), "given up") {
				t.Errorf("error %v", err)
			}
			all, left := stored(t, whole), stored(t, dir)
			d := &result.Deliveries[0]
			if d.Done != 0 || d.Undelivered != result.Ledger.Records || !result.Lost() {
				t.Errorf("%d done with, %d undelivered of %d", d.Done, d.Undelivered, result.Ledger.Records)
			}
			var lost [3]bool
			for i, c := range result.Ledger.Classes {
				e := d.Entries[i]
				if c.Records != uint64(len(all[c.Priority])) || e.Priority != c.Priority {
					t.Errorf("%s: %d records, want %d", c.Priority, c.Records, len(all[c.Priority]))
				}
				// Each window has an entry of each class.
				windows := result.Ledger.Windows
				if c.Entries+c.Dropped < windows || c.Evicted != e.Evicted || e.Acknowledged+e.Missing > 0 {
					t.Errorf("%s: %d entries, %d dropped, of %d windows; %+v", c.Priority, c.Entries, c.Dropped, windows, e)
				}
				remain := make(map[int64]int)
				for j := range left[c.Priority] {
					remain[left[c.Priority][j].Start]++
				}
				if uint64(len(remain))+c.Evicted+c.Dropped != windows {
					t.Errorf("%s: %d entries are left, %d evicted, %d dropped, of %d", c.Priority, len(remain), c.Evicted, c.Dropped, windows)
				}
				gone := make(map[int64]int)
				var first, last int64
				for j := range all[c.Priority] {
					record := &all[c.Priority][j]
					if remain[record.Start] == 0 {
						gone[record.Start]++
						if first == 0 {
							first = record.Start
						}
						last = record.Start + record.Duration
					}
				}
				lost[i] = len(gone) > 0
				if len(gone) == 0 {
					continue
				}
				from, until := rangeOfBoth(c.EvictedFrom, c.EvictedUntil, c.DroppedFrom, c.DroppedUntil)
				if from.UnixNano() != first || until.UnixNano() != last {
					t.Errorf("%s: gone are %v to %v, counted %v to %v", c.Priority, time.Unix(0, first).UTC(), time.Unix(0, last).UTC(), from, until)
				}
				t.Logf("%s: of %d entries %d evicted, %d dropped (%d records)", c.Priority, windows, c.Evicted, c.Dropped, c.DroppedRecords)
			}
			for i := 1; i < len(lost); i++ {
				// What is less important has nothing left but its newest chapter, if
				// anything, where what is more important loses anything.
				if lost[i-1] && len(left[priorities[i]]) > len(all[priorities[i]])/5 {
					t.Errorf("%s priority lost something, and of %s %d records of %d are left", priorities[i-1], priorities[i], len(left[priorities[i]]), len(all[priorities[i]]))
				}
			}
			if !lost[2] {
				t.Error("nothing was lost: the test tests nothing")
			}
		})
	}
}

// watchedSink tells of what was sent.
type watchedSink struct {
	uplink.Sink
	mu   sync.Mutex
	sent map[string]int // by identity
	tell func(records []uplink.Record)
}

func (s *watchedSink) Send(ctx context.Context, records []uplink.Record) error {
	if err := s.Sink.Send(ctx, records); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range records {
		s.sent[identity(&records[i])]++
	}
	if s.tell != nil {
		s.tell(records)
	}
	return nil
}

// TestClassesBudget replays into a broker with a budget that lets only what is
// important through, and a second time, without one, the rest.
func TestClassesBudget(t *testing.T) {
	log := driveLog(t, 6*time.Second)
	dir := filepath.Join(t.TempDir(), "spool")
	broker, err := mqttbroker.Start("")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Stop()
	sent := make(map[string]int)
	target := func(o TargetOptions, budget config.Budget, tell func([]uplink.Record)) Target {
		c := config.NewSink()
		c.Name, c.Type, c.URL, c.ClientID = "broker", config.SinkMQTT, config.URL{Scheme: "mqtt", Addresses: []string{broker.Addr()}}, "car"
		c.Topic, c.Order, c.Budget = "milepost/{device}", config.OrderStrict, budget
		target, err := NewTarget(&c, o)
		if err != nil {
			t.Fatal(err)
		}
		target.Sink = &watchedSink{Sink: target.Sink, sent: sent, tell: tell}
		return target
	}
	whole := filepath.Join(t.TempDir(), "whole")
	result, err := run(t, t.Context(), classReplay(t, log, whole))
	if err != nil {
		t.Fatal(err)
	}
	want := result.Ledger.Classes[0].Records

	// The bound is for priorities that let too little through: nothing else would end it.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r := classReplay(t, log, dir)
	r.Targets = func(o TargetOptions, _ func(string) []byte) ([]Target, error) {
		budget := config.Budget{Day: 1 << 30, Zone: "UTC", Steps: []config.BudgetStep{{Percent: 0, Priority: config.PriorityHigh}}}
		got := uint64(0)
		return []Target{target(o, budget, func(records []uplink.Record) {
			for i := range records {
				r := &records[i]
				if p := config.PriorityOf(classRules, r.Group.Bus, r.Group.Name, r.Series.Name); p != config.PriorityHigh {
					t.Errorf("%s.%s of %s priority was sent", r.Group.Name, r.Series.Name, p)
				}
			}
			if got += uint64(len(records)); got == want {
				cancel()
			}
		})}, nil
	}
	result, err = run(t, ctx, r)
	if err == nil || ctx.Err() == nil || errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Fatalf("%d of %d records were sent: %v, %v", len(sent), want, err, ctx.Err())
	}
	if d := &result.Deliveries[0]; uint64(len(sent)) != want || d.Sent != want || !d.Budget.Restricted || d.Undelivered != result.Ledger.Records-d.Done {
		t.Errorf("%d records were sent, want %d; %+v", len(sent), want, d)
	}
	// What is used up is kept to the byte where nothing crashed.
	kept := uplink.NewBudget(uplink.BudgetOptions{BytesPerDay: 1 << 30, Store: uplink.NewBudgetFile(filepath.Join(dir, "budget-broker"))}).Stats()
	if used := result.Deliveries[0].Budget.DayUsed; used == 0 || kept.DayUsed != used {
		t.Errorf("%d bytes are kept as used up, want %d", kept.DayUsed, used)
	}

	r = classReplay(t, log, dir)
	r.Targets = func(o TargetOptions, _ func(string) []byte) ([]Target, error) {
		return []Target{target(o, config.Budget{Zone: "UTC"}, nil)}, nil
	}
	result, err = run(t, t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	d := &result.Deliveries[0]
	if d.Undelivered != 0 || d.Done != result.Ledger.Records || uint64(len(sent)) != result.Ledger.Records {
		t.Errorf("%d records different of %d; %d done with, %d undelivered", len(sent), result.Ledger.Records, d.Done, d.Undelivered)
	}
	copies := 0
	for _, n := range sent {
		copies += n - 1
	}
	// The last acknowledgement of the first run may have been cut off.
	if got := d.Sent + want - uint64(copies); got != result.Ledger.Records {
		t.Errorf("%d sent before, %d now, %d copies; %d records", want, d.Sent, copies, result.Ledger.Records)
	}
}

// TestClassesDrained: a class that no rule names any more is delivered, and what
// was stored before there were classes.
func TestClassesDrained(t *testing.T) {
	log := driveLog(t, 5*time.Second)
	dir := filepath.Join(t.TempDir(), "spool")
	result, err := run(t, t.Context(), classReplay(t, log, dir))
	if err != nil {
		t.Fatal(err)
	}
	spools, err := OpenSpools(dir, spool.Options{Sync: spool.SyncNever}, nil)
	if err != nil {
		t.Fatal(err)
	}
	sink := new(uplinktest.MemorySink)
	delivery, err := NewDelivery(spools, []Target{{Name: "memory", Sink: sink, Start: spool.Oldest}}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	delivery.Start(t.Context(), func(err error) { t.Error(err) })
	if err := spools.End(); err != nil {
		t.Fatal(err)
	}
	if err := delivery.Wait(); err != nil {
		t.Fatal(err)
	}
	stats := delivery.Stats()[0]
	if n := uint64(len(sink.Sent())); n != result.Ledger.Records || stats.Done != n || len(stats.Entries) != 3 {
		t.Errorf("%d of %d records were sent; %+v", n, result.Ledger.Records, stats)
	}
	if err := spools.Close(); err != nil {
		t.Fatal(err)
	}
	// The other way round: what had one class gets more.
	spools, err = OpenSpools(filepath.Join(dir, "high"), spool.Options{Sync: spool.SyncNever, MaxBytes: 1 << 20}, classRules)
	if err != nil {
		t.Fatal(err)
	}
	defer spools.Close()
	if len(spools.classes) != 3 || spools.class(config.PriorityNormal).Report().Created || !spools.class(config.PriorityLow).Report().Created {
		t.Errorf("%d classes; %+v", len(spools.classes), spools.class(config.PriorityNormal).Report())
	}
}

// TestClassesCommitted: what the receiver has committed, and the cursors do not
// know of, is not sent again, and counts as done with.
func TestClassesCommitted(t *testing.T) {
	log := driveLog(t, 5*time.Second)
	dir := filepath.Join(t.TempDir(), "spool")
	if _, err := run(t, t.Context(), classReplay(t, log, dir)); err != nil {
		t.Fatal(err)
	}
	before := filepath.Join(t.TempDir(), "before")
	if err := os.CopyFS(before, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	receiver := new(uplinktest.Log)
	deliver := func(dir string) ReplayResult {
		t.Helper()
		target := Target{Name: "log", Sink: &uplinktest.TransactionalSink{Log: receiver}, ExactlyOnce: true}
		result, err := run(t, t.Context(), classReplay(t, log, dir, target))
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	first := deliver(dir)
	second := deliver(before)
	for _, result := range []ReplayResult{first, second} {
		if d := &result.Deliveries[0]; d.Done != result.Ledger.Records || d.Undelivered != 0 {
			t.Errorf("%d records done with of %d, %d undelivered", d.Done, result.Ledger.Records, d.Undelivered)
		}
	}
	if sent := second.Deliveries[0].Sent; sent != 0 {
		t.Errorf("%d records were sent again", sent)
	}
	if n := len(receiver.Keys()); uint64(n) != first.Ledger.Records {
		t.Errorf("%d records were committed of %d", n, first.Ledger.Records)
	}
}

func TestNote(t *testing.T) {
	own := []byte("12345678")
	n := note{sequence: 1<<63 - 1, records: 7, number: 9, sink: own}
	if got := parseNote(n.encode()); got.sequence != n.sequence || got.records != 7 || got.number != 9 || string(got.sink) != string(own) {
		t.Errorf("%+v, want %+v", got, n)
	}
	// As it was before there were classes.
	old := append([]byte{5, 1, 0, 0, 0, 0, 0, 0}, own...)
	if got := parseNote(old); got.sequence != 261 || got.records != 261 || got.number != 0 || string(got.sink) != string(own) {
		t.Errorf("%+v", got)
	}
	for _, foreign := range [][]byte{nil, []byte("1234567"), n.encode()[:20]} {
		if got := parseNote(foreign); got.sequence != 0 || got.records != 0 || got.sink != nil {
			t.Errorf("%q: %+v", foreign, got)
		}
	}
	if maxSinkNote+noteHead != spool.MaxNote {
		t.Errorf("the longest note has %d bytes, room is for %d", maxSinkNote+noteHead, spool.MaxNote)
	}
}
