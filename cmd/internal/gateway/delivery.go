package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"milepost/aggregate"
	"milepost/cmd/internal/clock"
	"milepost/cmd/internal/config"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// Target is a sink and how it is served.
type Target struct {
	Name string
	Sink uplink.Sink
	// Note, if set, is kept with each acknowledgement (at most 40 bytes).
	Note func() []byte
	// Start is where a target that the spool does not know begins.
	Start spool.Start
	// Order is what goes first after an outage.
	Order uplink.Order
	// Budget limits the bytes; nil for no limit.
	Budget *uplink.Budget
	// ExactlyOnce commits the place in the spool with the records: the Sink is
	// an uplink.Transactional.
	ExactlyOnce            bool
	GiveUp                 time.Duration
	MinBackoff, MaxBackoff time.Duration
	// Clock is that of a live gateway: records are re-dated by it when they are
	// sent, and it is what errors about certificates are held against. Nil in a
	// replay, whose records keep their times.
	Clock *clock.Clock
	// HoldBack is how long nothing is sent at the start while the time of this boot
	// is not known, so that nothing is delivered with a wrong time that will be
	// known soon; 0 is not at all.
	HoldBack time.Duration
}

// Delivery forwards what the spools hold to its targets, each at its own pace.
//
// Replace is for one goroutine at a time, and not beside Wait. Stats is safe for
// concurrent use.
type Delivery struct {
	spools *Spools
	store  *Store
	log    *slog.Logger
	ctx    context.Context
	failed func(error)

	mu    sync.Mutex
	lanes []*deliveryLane // replaced, never changed
}

// deliveryLane is the delivery to one target.
type deliveryLane struct {
	target    Target
	queues    []*queue // of the classes, the most important first
	forwarder *uplink.Forwarder
	number    uint64 // of the last acknowledgement
	stop      context.CancelFunc
	ended     chan struct{}
	err       error // once it has ended
}

// DeliveryStats is the state of one target.
type DeliveryStats struct {
	Name string
	uplink.ForwarderStats
	// Done records are delivered or refused for good, in this run or an earlier one.
	Done uint64
	// Undelivered records were made and are not done with; set in the end.
	Undelivered uint64
	// Entries are those of the spool, by class, the most important first.
	Entries []ClassEntries
}

// ClassEntries accounts for the entries of a class that concern a target, since it
// is known to the spool:
//
//	Appended + Before = Acknowledged + Pending + Evicted + Missing + Thinned
type ClassEntries struct {
	Priority config.Priority
	// Before are those that there were when this run began, Appended came in it.
	Before, Appended uint64
	// Evicted were removed for the quota, and Missing lost, before they were
	// acknowledged.
	Acknowledged, Pending, Evicted, Missing uint64
	// Thinned became a part of others before they were acknowledged.
	Thinned uint64
}

func (e *ClassEntries) total() uint64 {
	return e.Acknowledged + e.Pending + e.Evicted + e.Missing + e.Thinned
}

// NewDelivery prepares the delivery from the spools to the targets. The store, if
// any, is told of acknowledgements.
func NewDelivery(spools *Spools, targets []Target, store *Store, log *slog.Logger) (*Delivery, error) {
	d := &Delivery{spools: spools, store: store, log: log}
	for _, t := range targets {
		lane, err := d.newLane(t)
		if err != nil {
			return nil, err
		}
		d.lanes = append(d.lanes, lane)
	}
	return d, nil
}

func (d *Delivery) newLane(t Target) (*deliveryLane, error) {
	lane := &deliveryLane{target: t}
	var classes []uplink.Class
	for _, c := range d.spools.list() {
		q, err := newQueue(lane, c, d.store)
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", t.Name, err)
		}
		lane.queues = append(lane.queues, q)
		classes = append(classes, uplink.Class{Name: q.name, Priority: c.priority.Level(), Queue: q})
	}
	o := uplink.ForwarderOptions{
		Name:   t.Name,
		Decode: t.decode(),
		Order:  t.Order, Budget: t.Budget, ExactlyOnce: t.ExactlyOnce,
		GiveUp: t.GiveUp, MinBackoff: t.MinBackoff, MaxBackoff: t.MaxBackoff,
		Done: lane.done, Note: t.Note,
		Logger: d.log,
	}
	if t.Clock != nil {
		o.Clock = t.Clock.Quality
	}
	lane.forwarder = uplink.NewPriorityForwarder(classes, t.Sink, o)
	return lane, nil
}

// decode makes what reads the target's entries.
func (t *Target) decode() func(payload []byte, dst []uplink.Record) ([]uplink.Record, error) {
	var decoder uplink.BatchDecoder
	if t.Clock == nil {
		return decoder.Decode
	}
	return func(payload []byte, dst []uplink.Record) ([]uplink.Record, error) {
		n := len(dst)
		dst, err := decoder.Decode(payload, dst)
		if err == nil {
			t.Clock.Redate(dst[n:])
		}
		return dst, err
	}
}

// done tells a queue what its next acknowledgement is about.
func (l *deliveryLane) done(class string, records int, sequence uint64) {
	for _, q := range l.queues {
		if q.name == class {
			q.next = note{sequence: sequence, records: uint64(records)}
		}
	}
}

// Start begins to forward. Failed is called, from another goroutine, when a
// target is given up.
func (d *Delivery) Start(ctx context.Context, failed func(error)) {
	d.ctx, d.failed = ctx, failed
	for _, lane := range d.lanes {
		d.start(lane)
	}
}

func (d *Delivery) start(lane *deliveryLane) {
	var ctx context.Context
	ctx, lane.stop = context.WithCancel(d.ctx)
	lane.ended = make(chan struct{})
	go func() {
		defer close(lane.ended)
		if c := lane.target.Clock; c != nil && lane.target.HoldBack > 0 {
			c.Wait(ctx, aggregate.ClockSynchronized, lane.target.HoldBack)
		}
		lane.err = lane.forwarder.Run(ctx)
		if lane.err != nil && ctx.Err() == nil {
			d.failed(lane.err)
		}
	}()
}

// Replace stops the targets of which keep says nothing and starts others. make is
// called when the former are closed, with the notes that they left.
func (d *Delivery) Replace(keep func(name string) bool, make func(noteOf func(name string) []byte) ([]Target, error)) error {
	var lanes []*deliveryLane
	notes := map[string][]byte{}
	var errs []error
	for _, lane := range d.list() {
		if keep(lane.target.Name) {
			lanes = append(lanes, lane)
			continue
		}
		lane.stop()
		<-lane.ended
		notes[lane.target.Name] = lane.note()
		errs = append(errs, lane.close())
	}
	targets, err := make(func(name string) []byte { return notes[name] })
	errs = append(errs, err)
	for _, t := range targets {
		lane, err := d.newLane(t)
		if err != nil {
			errs = append(errs, err, t.Sink.Close())
			continue
		}
		d.start(lane)
		lanes = append(lanes, lane)
	}
	d.mu.Lock()
	d.lanes = lanes
	d.mu.Unlock()
	return errors.Join(errs...)
}

// Retry has each target that waits after a failure tried at once: the clock was
// set, or the link has come back.
func (d *Delivery) Retry() {
	for _, lane := range d.list() {
		lane.forwarder.Retry()
	}
}

func (d *Delivery) list() []*deliveryLane {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lanes
}

// note is what the sink kept with its newest acknowledgement.
func (l *deliveryLane) note() (own []byte) {
	number := uint64(0)
	for _, q := range l.queues {
		_, kept := q.Acked()
		if n := parseNote(kept); n.sink != nil && (own == nil || n.number > number) {
			own, number = n.sink, n.number
		}
	}
	return own
}

func (l *deliveryLane) close() error {
	var errs []error
	if err := l.target.Sink.Close(); err != nil && l.err == nil {
		errs = append(errs, fmt.Errorf("%s: %w", l.target.Name, err))
	}
	for _, q := range l.queues {
		errs = append(errs, q.Close())
	}
	if err := l.target.Budget.Close(); err != nil {
		errs = append(errs, fmt.Errorf("%s: how much of the budget is used up is not stored: %w", l.target.Name, err))
	}
	return errors.Join(errs...)
}

// Wait waits until every target has everything, or has failed, and closes the
// sinks.
func (d *Delivery) Wait() error {
	lanes := d.list()
	for _, lane := range lanes {
		<-lane.ended
	}
	var errs []error
	for _, lane := range lanes {
		errs = append(errs, lane.err, lane.close())
	}
	return errors.Join(errs...)
}

// Stats of every target, in their order.
func (d *Delivery) Stats() []DeliveryStats {
	var stats []DeliveryStats
	for _, lane := range d.list() {
		s := DeliveryStats{Name: lane.target.Name, ForwarderStats: lane.forwarder.Stats()}
		for _, q := range lane.queues {
			s.Done += q.records.Load()
			s.Entries = append(s.Entries, q.entries())
		}
		stats = append(stats, s)
	}
	return stats
}
