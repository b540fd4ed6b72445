package uplinktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"milepost/uplink"
)

// Harness is a Sink with its receiver and the link between them.
type Harness struct {
	Sink uplink.Sink
	// Address is what the errors of Send must name.
	Address string
	// Received is all that the receiver has, in the order of arrival, repeats
	// included; of what arrived in one message, in the order of the sequences.
	Received func() []uplink.Record
	// Break ends the link, BreakAfter does so when n more bytes have gone over
	// it, Heal undoes both (and Stall).
	Break, Heal func()
	BreakAfter  func(n int64)
	// Stall, if the link can, makes it silent without ending it. Hasty, if set,
	// makes another Sink of the same kind, which gives such a link up soon: Sink
	// itself is to have time limits that a busy machine does not exceed.
	Stall func()
	Hasty func(t *testing.T) uplink.Sink
	// Poison, if the receiver refuses some records for good, makes one such.
	Poison func(sequence uint64) uplink.Record
	// KeysOnly says that the receiver's records cannot be compared as a whole.
	KeysOnly bool
	// Goroutines are functions that must not run after Close, as parts of their
	// names.
	Goroutines []string
}

// patience is for what must happen soon, on whatever machine.
const patience = 20 * time.Second

// TestSink is the contract of uplink.Sink. start makes a new Sink and a new
// receiver; the test closes the Sink, start's cleanups the rest.
func TestSink(t *testing.T, start func(t *testing.T) Harness) {
	cases := []struct {
		name string
		test func(t *testing.T, h *Harness)
	}{
		{"everything arrives once and in order", arrives},
		{"nothing to send", nothing},
		{"a done context", done},
		{"a receiver that is not there", absent},
		{"a link that is cut", cut},
		{"a link that is cut with two groups under way", cutTwo},
		{"a link that is silent", silent},
		{"poison", poison},
		{"close", closes},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := start(t)
			defer h.Sink.Close() // where the test fails
			c.test(t, &h)
			if err := h.Sink.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			h.checkGoroutines(t)
		})
	}
}

func arrives(t *testing.T, h *Harness) {
	records := Records(1, 1000)
	for from := 0; from < len(records); {
		to := min(from+1+from/2, len(records))
		if err := h.Sink.Send(t.Context(), records[from:to]); err != nil {
			t.Fatal(err)
		}
		if got := len(h.Received()); got < to {
			t.Fatalf("Send returned nil after %d records, the receiver has %d", to, got)
		}
		from = to
	}
	h.check(t, records, true)
}

func nothing(t *testing.T, h *Harness) {
	if err := h.Sink.Send(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	h.check(t, nil, true)
}

func done(t *testing.T, h *Harness) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Sink.Send(ctx, Records(1, 10)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Send: %v, want %v", err, context.Canceled)
	}
	if err := h.Sink.Send(t.Context(), Records(1, 10)); err != nil {
		t.Fatalf("Send after that: %v", err)
	}
	h.check(t, Records(1, 10), false)
}

func absent(t *testing.T, h *Harness) {
	h.Break()
	for range 2 {
		err := h.Sink.Send(t.Context(), Records(1, 10))
		switch {
		case err == nil:
			t.Fatal("Send returned nil")
		case uplink.IsPermanent(err):
			t.Fatalf("that is not the records' fault: %v", err)
		case !strings.Contains(err.Error(), h.Address):
			t.Fatalf("the error does not name %s: %v", h.Address, err)
		}
	}
	h.Heal()
	if err := h.Sink.Send(t.Context(), Records(1, 10)); err != nil {
		t.Fatalf("Send after it has come: %v", err)
	}
	h.check(t, Records(1, 10), false)
}

func cut(t *testing.T, h *Harness) {
	random := rand.New(rand.NewPCG(1, 2))
	records := Records(1, 5000)
	failures := 0
	for from := 0; from < len(records); from += 500 {
		h.BreakAfter(random.Int64N(100_000))
		for try := 1; ; try++ {
			err := h.Sink.Send(t.Context(), records[from:from+500])
			if err == nil {
				break
			}
			if uplink.IsPermanent(err) || try == 100 {
				t.Fatalf("try %d: %v", try, err)
			}
			failures++
			h.Heal()
		}
	}
	if failures == 0 {
		t.Error("the link was never cut: the test tests nothing")
	}
	t.Logf("%d failures, %d of %d are repeats", failures, len(h.Received())-len(records), len(h.Received()))
	h.check(t, records, false)
}

func cutTwo(t *testing.T, h *Harness) {
	sink, ok := h.Sink.(uplink.Pipelined)
	if !ok {
		t.Skip("this sink takes one group at a time")
	}
	random := rand.New(rand.NewPCG(3, 4))
	records := Records(1, 5000)
	const n = 250
	failures := 0
	for from := 0; from < len(records); {
		h.BreakAfter(random.Int64N(100_000))
		first := sink.Begin(t.Context(), records[from:from+n])
		second := func() error { return nil }
		if from+n < len(records) {
			second = sink.Begin(t.Context(), records[from+n:from+2*n])
		}
		err, behind := first(), second()
		switch {
		case uplink.IsPermanent(err) || uplink.IsPermanent(behind) || failures > 1000:
			t.Fatalf("%v, %v", err, behind)
		case err != nil:
			failures++
		case behind != nil:
			failures++
			from += n
		default:
			from += 2 * n
		}
		h.Heal()
	}
	if failures == 0 {
		t.Error("the link was never cut: the test tests nothing")
	}
	h.check(t, records, false)
}

func silent(t *testing.T, h *Harness) {
	if h.Stall == nil {
		t.Skip("this link cannot be silent")
	}
	hasty := h.Sink
	if h.Hasty != nil {
		hasty = h.Hasty(t)
		defer hasty.Close()
	}
	start := func(ctx context.Context) <-chan error {
		result := make(chan error, 1)
		go func() { result <- hasty.Send(ctx, Records(1, 5000)) }()
		return result
	}
	for _, connected := range []bool{false, true} {
		h.Heal()
		if connected {
			persist(t, hasty, Records(1, 10))
		}
		h.Stall()
		ctx, cancel := context.WithCancel(t.Context())
		result := start(ctx)
		cancel()
		select {
		case err := <-result:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("connected %t: Send: %v, want %v", connected, err, context.Canceled)
			}
		case <-time.After(patience):
			t.Fatalf("connected %t: Send has not returned", connected)
		}
		select { // without anyone who cancels
		case err := <-start(t.Context()):
			if err == nil || !strings.Contains(err.Error(), h.Address) {
				t.Errorf("connected %t: Send: %v, want an error that names %s", connected, err, h.Address)
			}
		case <-time.After(patience):
			t.Fatalf("connected %t: Send has not given up", connected)
		}
	}
	h.Heal()
	persist(t, hasty, Records(1, 10))
	if err := hasty.Close(); err != nil {
		t.Error(err)
	}
}

// persist sends records, as often as it takes.
func persist(t *testing.T, sink uplink.Sink, records []uplink.Record) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := sink.Send(t.Context(), records)
		if err == nil {
			return
		}
		if uplink.IsPermanent(err) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

func poison(t *testing.T, h *Harness) {
	if h.Poison == nil {
		t.Skip("this receiver takes everything")
	}
	records := Records(1, 10)
	records[4] = h.Poison(5)
	err := h.Sink.Send(t.Context(), records)
	for try := 0; err != nil && !uplink.IsPermanent(err) && try < 20; try++ { // it may need some tries to find out
		err = h.Sink.Send(t.Context(), records)
	}
	if !uplink.IsPermanent(err) {
		t.Fatalf("Send: %v, want a permanent error", err)
	}
	if positions := uplink.Poisoned(err); positions != nil && fmt.Sprint(positions) != "[4]" {
		t.Errorf("the poison is said to be %v, want [4]", positions)
	}
	if err := h.Sink.Send(t.Context(), records[4:5]); !uplink.IsPermanent(err) {
		t.Errorf("Send of it alone: %v, want a permanent error", err)
	}
	rest := append(Records(1, 4), Records(6, 5)...)
	if err := h.Sink.Send(t.Context(), rest); err != nil {
		t.Fatalf("Send without it: %v", err)
	}
	h.check(t, rest, false)
}

func closes(t *testing.T, h *Harness) {
	if err := h.Sink.Send(t.Context(), Records(1, 10)); err != nil {
		t.Fatal(err)
	}
	h.Break()
	if err := h.Sink.Send(t.Context(), Records(11, 500)); err == nil {
		t.Fatal("Send over a broken link returned nil")
	}
	if err := h.Sink.Close(); err != nil {
		t.Fatal(err)
	}
	h.checkGoroutines(t)
}

// check compares what was received with what was sent: nothing else, nothing
// missing, copies alike, in order but for repeats.
func (h *Harness) check(t *testing.T, sent []uplink.Record, once bool) {
	t.Helper()
	received := h.Received()
	want := make(map[uplink.Key]string, len(sent))
	for i := range sent {
		want[sent[i].Key()] = h.text(&sent[i])
	}
	seen := make(map[uplink.Key]bool)
	var last uint64
	for i := range received {
		r := &received[i]
		key := r.Key()
		text, ok := want[key]
		switch {
		case !ok:
			t.Fatalf("received %s, which was not sent", key)
		case h.text(r) != text:
			t.Fatalf("received %s\nwant     %s", h.text(r), text)
		case seen[key] && once:
			t.Fatalf("received %s twice", key)
		case seen[key]:
			continue
		case key.Sequence < last:
			t.Fatalf("received %s after %d", key, last)
		}
		seen[key], last = true, key.Sequence
	}
	if len(seen) != len(want) {
		t.Fatalf("received %d of %d records", len(seen), len(want))
	}
}

func (h *Harness) text(r *uplink.Record) string {
	if h.KeysOnly {
		return r.Key().String()
	}
	return string(uplink.AppendJSON(nil, r))
}

// checkGoroutines waits until none of the goroutines is left.
func (h *Harness) checkGoroutines(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		left := h.running()
		if left == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("goroutines are left after Close:\n%s", left)
		}
		time.Sleep(10 * time.Millisecond) // until they have seen that they are to end
	}
}

func (h *Harness) running() string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		for _, name := range h.Goroutines {
			if strings.Contains(stack, name) {
				left = append(left, stack)
				break
			}
		}
	}
	return strings.Join(left, "\n\n")
}
