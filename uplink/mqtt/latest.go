package mqtt

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"milepost/uplink"
)

// Latest keeps the newest value of each signal at the broker, as a retained
// message {"value":812.5,"time":1780000000,"unit":"rpm"}: the vehicle's digital
// twin. The value is the last one of the newest window, the time that window's
// end in seconds since the Unix epoch.
//
// A value is sent when it has changed, and at most once an Interval. One that is
// held back for that goes out with a later Send, at the latest with Close.
//
// What is older than what the broker has is never sent, in whatever order the
// records come. To know what it has after a restart, the first connection of a
// Sink subscribes to the topics for a moment. Where the broker does not allow
// that, or is slow to send retained messages, the records of the backlog may
// bring back older values, until newer ones have been sent.
//
// Times more than a day ahead of this machine's clock come from a clock that was
// wrong. They count as older than anything.
type Latest struct {
	// Topic is a template with {signal}, such as
	// "milepost/{device}/latest/{bus}/{message}/{signal}". Empty: no such messages.
	Topic string
	// Interval is the least time between two messages of a signal (10 s).
	Interval time.Duration
}

func (l *Latest) setDefaults() error {
	if l.Interval == 0 {
		l.Interval = 10 * time.Second
	}
	switch {
	case l.Topic != "" && !strings.Contains(l.Topic, "{signal}"):
		return fmt.Errorf("mqtt: topic %q of the latest values: signals would overwrite one another: it needs {signal}", l.Topic)
	case l.Interval < 0:
		return fmt.Errorf("mqtt: latest values every %v: it has to be more than nothing", l.Interval)
	}
	return nil
}

// maxFuture is how far ahead of this machine's clock a time may be.
const maxFuture = 24 * time.Hour

// twin is what is known of the latest values. Its mutex is there for the
// subscription, whose messages come from paho's goroutine.
type twin struct {
	topic    topic
	interval time.Duration

	mu      sync.Mutex
	signals map[string]*signal // by topic
	changed []*signal          // which the broker may not have
	scratch []byte
}

// signal is the latest value of one signal.
type signal struct {
	topic string
	unit  string
	value float64
	time  int64 // of value, in nanoseconds
	// What the broker has confirmed.
	known     bool
	atBroker  float64
	notBefore time.Time // of the next message
	listed    bool      // in changed
	underway  bool
}

// latestPayload is the message of a signal.
type latestPayload struct {
	Value *float64 `json:"value"` // nil where JSON has no number for it
	Time  float64  `json:"time"`
	Unit  string   `json:"unit"`
}

func newTwin(o *Latest) (*twin, error) {
	if o.Topic == "" {
		return nil, nil
	}
	t, err := parseTopic(o.Topic)
	if err != nil {
		return nil, err
	}
	return &twin{topic: t, interval: o.Interval, signals: make(map[string]*signal)}, nil
}

// update takes what is new in the records.
func (t *twin) update(records []uplink.Record, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	future := now.Add(maxFuture).UnixNano()
	for i := range records {
		r := &records[i]
		t.scratch = t.topic.append(t.scratch[:0], r)
		g := t.signals[string(t.scratch)]
		if g == nil {
			if len(t.scratch) > maxString {
				continue
			}
			g = &signal{topic: string(t.scratch), time: math.MinInt64}
			t.signals[g.topic] = g
		}
		end := r.Start + r.Duration
		if end <= g.time && g.time <= future || end > future {
			continue
		}
		g.time, g.unit, g.value = end, r.Series.Unit, r.Series.Physical(r.Summary.Last)
		if !g.listed && !g.current() {
			g.listed = true
			t.changed = append(t.changed, g)
		}
	}
}

// current reports whether the broker has the value.
func (g *signal) current() bool {
	return g.known && math.Float64bits(g.value) == math.Float64bits(g.atBroker)
}

// due is the messages that are to be sent now; all that are left if now is zero.
// They are under way until they are confirmed or lost.
func (t *twin) due(now time.Time) []message {
	t.mu.Lock()
	defer t.mu.Unlock()
	var messages []message
	kept := t.changed[:0]
	for _, g := range t.changed {
		if g.current() && !g.underway {
			g.listed = false
			continue
		}
		kept = append(kept, g)
		if !g.underway && (now.IsZero() || !now.Before(g.notBefore)) {
			g.underway = true
			messages = append(messages, message{topic: g.topic, payload: g.payload(), retained: true, signal: g, value: g.value})
		}
	}
	clear(t.changed[len(kept):])
	t.changed = kept
	return messages
}

// confirmed says that the broker has a value of the signal.
func (t *twin) confirmed(g *signal, value float64, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g.underway = false
	g.known, g.atBroker, g.notBefore = true, value, now.Add(t.interval)
}

// lost says that the connection has ended: what was under way may not have
// arrived.
func (t *twin) lost() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.changed {
		if g.underway {
			g.underway, g.known = false, false
		}
	}
}

func (g *signal) payload() []byte {
	p := latestPayload{Time: float64(g.time) / 1e9, Unit: g.unit}
	if !math.IsNaN(g.value) && !math.IsInf(g.value, 0) {
		p.Value = &g.value
	}
	b, err := json.Marshal(p)
	if err != nil {
		panic("BUG: " + err.Error()) // numbers and texts are always marshalled
	}
	return b
}

// maxRetained is how many topics are taken from the broker: more than vehicles
// have signals.
const maxRetained = 1 << 17

// retained takes what the broker has of a signal.
func (t *twin) retained(topic string, payload []byte) {
	var p latestPayload
	if len(payload) > 4<<10 || json.Unmarshal(payload, &p) != nil || !(math.Abs(p.Time) < math.MaxInt64/1e9) {
		return // someone else's
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.signals[topic] != nil || len(t.signals) >= maxRetained {
		return
	}
	g := &signal{topic: topic, unit: p.Unit, time: int64(p.Time * 1e9), known: true, value: math.NaN()}
	if p.Value != nil {
		g.value = *p.Value
	}
	g.atBroker = g.value
	t.signals[topic] = g
}

var errNoSubscription = errors.New("the broker does not allow to subscribe to the latest values")

// arrivals notes which of the messages that the socket has seen were handled.
type arrivals struct {
	handled atomic.Uint64
	more    chan struct{}
}

// handler is what paho is to call with each message.
func (t *twin) handler(a *arrivals) paho.MessageHandler {
	a.more = make(chan struct{}, 1)
	return func(_ paho.Client, m paho.Message) {
		if m.Retained() {
			t.retained(m.Topic(), m.Payload())
		}
		a.handled.Add(1)
		select {
		case a.more <- struct{}{}:
		default: // whoever waits will look
		}
	}
}

// quietTime is how long no retained message has to come for all to be there.
const quietTime = 250 * time.Millisecond

// learn asks the broker for what it has of a device's signals.
func (t *twin) learn(c *connection, device string, wait func(<-chan struct{}) error) error {
	filter := t.topic.filter(device)
	subscription := c.client.Subscribe(filter, 0, nil) // a handler would end with the subscription
	if err := await(subscription, wait); err != nil {
		return err
	}
	if subscription.(*paho.SubscribeToken).Result()[filter] > 2 {
		return errNoSubscription
	}
	// Some brokers send the retained messages before the answer to what follows,
	// others beside it: so it waits until none has come for a while. paho hands
	// them from goroutine to goroutine, and may be doing so still.
	for quiet := time.NewTimer(quietTime); ; {
		select {
		case <-c.arrivals.more:
			quiet.Reset(quietTime)
			continue
		case <-c.lost():
		case <-quiet.C:
		}
		break
	}
	if err := await(c.client.Unsubscribe(filter), wait); err != nil {
		return err
	}
	for c.arrivals.handled.Load() < c.socket.packets.publishes.Load() {
		if err := wait(c.arrivals.more); err != nil {
			return err
		}
	}
	return nil
}

func await(token paho.Token, wait func(<-chan struct{}) error) error {
	if err := wait(token.Done()); err != nil {
		return err
	}
	return token.Error()
}
