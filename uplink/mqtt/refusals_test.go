package mqtt

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"milepost/uplink"
)

// flying is messages in flight, of so many records each, from the first sequence
// on.
func flying(first uint64, size int, records ...int) (pending []message) {
	for _, n := range records {
		pending = append(pending, message{first: uplink.Key{Sequence: first}, records: n, payload: make([]byte, size)})
		first += uint64(n)
	}
	return pending
}

func alone(m []message) []message {
	m[0].alone = true
	return m
}

func newRefusals() *refusals { return &refusals{limit: 1000, single: 1000, most: 1000} }

// TestRefusalsOfALinkThatFails: closings with many messages in flight make the
// Sink careful and nothing else.
func TestRefusalsOfALinkThatFails(t *testing.T) {
	r := newRefusals()
	for i := range uint64(20) {
		r.begin(time.Now())
		r.closed(flying(1+i, 900, 10, 10, 10), time.Now())
	}
	if r.limit != 1000 || r.single != 1000 || len(r.culprits) > 0 {
		t.Errorf("%+v", r)
	}
	if r.closed(nil, time.Now()) || r.closed(flying(1, 10, 0), time.Now()) {
		t.Error("closed with no records in flight is taken for a step")
	}
	r.done()
	r.begin(time.Now())
	if r.alone(r.suspect) {
		t.Error("careful after everything was acknowledged")
	}
}

// TestRefusalsPoison: only three refusals of one record alone, and others that
// were smaller and taken, make it poison.
func TestRefusalsPoison(t *testing.T) {
	for _, c := range []struct {
		name     string
		times    int
		accepted int // size of what is taken meanwhile; 0: nothing
		poison   bool
	}{
		{"refused, others taken", 3, 100, true},
		{"refused twice", 2, 100, false},
		{"nothing else was taken", 3, 0, false},
		{"others of its size were taken", 3, 500, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRefusals()
			for range c.times {
				if !r.closed(alone(flying(7, 500, 1)), time.Now()) {
					t.Error("that is no step")
				}
				if c.accepted > 0 {
					r.acknowledged(&flying(1, c.accepted, 1)[0])
				}
			}
			if got := r.poison(uplink.Key{Sequence: 7}, 500); got != c.poison {
				t.Errorf("poison: %t", got)
			}
			if c.poison && (r.single != 499 || r.limit != 499) {
				t.Errorf("it was not learnt: single %d, limit %d", r.single, r.limit)
			}
			if r.poison(uplink.Key{Sequence: 8}, 500) {
				t.Error("another record is taken for poison")
			}
		})
	}
}

// TestRefusalsEnd: what does not lead to anything is not a step for ever.
func TestRefusalsEnd(t *testing.T) {
	r := newRefusals()
	steps := 0
	for range 100 {
		if r.closed(alone(flying(7, 500, 1)), time.Now()) {
			steps++
		}
		if r.closed(flying(9, 500, 1, 1, 1), time.Now()) {
			steps++
		}
	}
	if steps > 10 {
		t.Errorf("%d steps", steps)
	}
	if err := r.explain(errors.New("EOF"), flying(7, 500, 1)); !strings.Contains(err.Error(), "500 bytes") {
		t.Error(err)
	}
}

func TestRefusalsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRefusals()
		for range 3 {
			r.closed(alone(flying(7, 900, 9)), time.Now())
		}
		if r.limit != 225 {
			t.Errorf("limit %d", r.limit)
		}
		time.Sleep(forget - time.Second)
		if r.begin(time.Now()); r.limit != 225 {
			t.Errorf("limit %d, too early", r.limit)
		}
		for _, want := range []int{450, 900, 1000, 1000} {
			time.Sleep(forget)
			if r.begin(time.Now()); r.limit != want {
				t.Errorf("limit %d, want %d", r.limit, want)
			}
		}
	})
}

// TestTakeover: the rate at which a client that is thrown out comes back.
func TestTakeover(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w takeover
		connections := 0
		for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(100 * time.Millisecond) {
			if err := w.check(time.Now(), "van"); err != nil {
				if !strings.Contains(err.Error(), `"van"`) {
					t.Fatal(err)
				}
				continue
			}
			connections++
			w.closed(time.Second, time.Now())
		}
		if connections < 60 || connections > 150 {
			t.Errorf("%d connections in an hour", connections)
		}
		w.closed(shortLife, time.Now()) // one that has lived
		if err := w.check(time.Now(), "van"); err != nil {
			t.Error(err)
		}
		for range freeClosings {
			w.closed(0, time.Now())
		}
		if w.check(time.Now(), "van") == nil {
			t.Error("no pause")
		}
		w.unreachable()
		if err := w.check(time.Now(), "van"); err != nil {
			t.Error(err)
		}
	})
}

func TestPacketCounter(t *testing.T) {
	var c packetCounter
	long := append([]byte{0x31, 0x80, 0x02}, make([]byte, 256)...)
	stream := append([]byte{0x20, 2, 0, 0, 0x30, 0, 0x90, 3, 0x30, 0x30, 0x30}, long...)
	stream = append(stream, 0xd0, 0, 0x32, 1, 0x30)
	for i := range stream {
		c.read(stream[i : i+1])
	}
	c.read(stream)
	if n := c.publishes.Load(); n != 6 {
		t.Errorf("%d, want 6", n)
	}
}

func TestFilter(t *testing.T) {
	for template, want := range map[string]string{
		"twin/{device}/{bus}/{signal}": "twin/van_7/+/+",
		"{device}{signal}/x":           "+/x",
		"a/sig-{signal}/{device}-{id}": "a/+/+",
		"{signal}":                     "+",
	} {
		topic, err := parseTopic(template)
		if err != nil {
			t.Fatal(err)
		}
		if got := topic.filter("van/7"); got != want {
			t.Errorf("%s: %s, want %s", template, got, want)
		}
	}
}
