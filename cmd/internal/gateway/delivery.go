package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

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
}

// Delivery forwards what the spools hold to its targets, each at its own pace.
type Delivery struct {
	lanes []*deliveryLane
	wait  sync.WaitGroup
}

// deliveryLane is the delivery to one target.
type deliveryLane struct {
	target    Target
	queues    []*queue // of the classes, the most important first
	forwarder *uplink.Forwarder
	number    uint64 // of the last acknowledgement
	err       error
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
	d := &Delivery{}
	for _, t := range targets {
		lane := &deliveryLane{target: t}
		d.lanes = append(d.lanes, lane)
		var classes []uplink.Class
		for _, c := range spools.classes {
			q, err := newQueue(lane, c, store)
			if err != nil {
				return nil, fmt.Errorf("sink %s: %w", t.Name, err)
			}
			lane.queues = append(lane.queues, q)
			classes = append(classes, uplink.Class{Name: q.name, Priority: c.priority.Level(), Queue: q})
		}
		var decoder uplink.BatchDecoder
		lane.forwarder = uplink.NewPriorityForwarder(classes, t.Sink, uplink.ForwarderOptions{
			Name:   t.Name,
			Decode: decoder.Decode,
			Order:  t.Order, Budget: t.Budget, ExactlyOnce: t.ExactlyOnce,
			GiveUp: t.GiveUp, MinBackoff: t.MinBackoff, MaxBackoff: t.MaxBackoff,
			Done: lane.done, Note: t.Note,
			Logger: log,
		})
	}
	return d, nil
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
	for _, lane := range d.lanes {
		d.wait.Go(func() {
			lane.err = lane.forwarder.Run(ctx)
			if lane.err != nil && ctx.Err() == nil {
				failed(lane.err)
			}
		})
	}
}

// Wait waits until every target has everything, or has failed, and closes the
// sinks.
func (d *Delivery) Wait() error {
	d.wait.Wait()
	var errs []error
	for _, lane := range d.lanes {
		errs = append(errs, lane.err)
		if err := lane.target.Sink.Close(); err != nil && lane.err == nil {
			errs = append(errs, fmt.Errorf("%s: %w", lane.target.Name, err))
		}
		for _, q := range lane.queues {
			errs = append(errs, q.Close())
		}
		if err := lane.target.Budget.Close(); err != nil {
			errs = append(errs, fmt.Errorf("%s: how much of the budget is used up is not stored: %w", lane.target.Name, err))
		}
	}
	return errors.Join(errs...)
}

// Stats of every target, in their order.
func (d *Delivery) Stats() []DeliveryStats {
	var stats []DeliveryStats
	for _, lane := range d.lanes {
		s := DeliveryStats{Name: lane.target.Name, ForwarderStats: lane.forwarder.Stats()}
		for _, q := range lane.queues {
			s.Done += q.records.Load()
			s.Entries = append(s.Entries, q.entries())
		}
		stats = append(stats, s)
	}
	return stats
}
