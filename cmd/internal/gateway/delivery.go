package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"milepost/uplink"
	"milepost/uplink/spool"
)

// Target is a sink and how it is served.
type Target struct {
	Name string
	Sink uplink.Sink
	// Note, if set, is kept with each acknowledgement (at most 56 bytes).
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

// Delivery forwards what a spool holds to its targets, each at its own pace.
type Delivery struct {
	lanes []*deliveryLane
	wait  sync.WaitGroup
}

type deliveryLane struct {
	target    Target
	cursor    *spool.Cursor
	forwarder *uplink.Forwarder
	// sequence of the last record that was decoded: acknowledged with its entry.
	sequence uint64
	// acked is that of the last one that is done with, before what it was at the
	// start.
	acked  atomic.Uint64
	before uint64
	err    error
}

// DeliveryStats is the state of one target.
type DeliveryStats struct {
	Name string
	uplink.ForwarderStats
	// Sequence is that of the last record that is done with, in this run or an
	// earlier one.
	Sequence uint64
	// Undelivered records were made and are not done with; set in the end.
	Undelivered uint64

	order uplink.Order
	// before is the Sequence at the start.
	before uint64
}

// NewDelivery prepares the delivery from s to the targets. The store, if any, is
// told of acknowledgements.
func NewDelivery(s *spool.Spool, targets []Target, store *Store, log *slog.Logger) (*Delivery, error) {
	d := &Delivery{}
	for _, t := range targets {
		cursor, err := s.Cursor(t.Name, t.Start)
		if err != nil {
			return nil, fmt.Errorf("sink %s: %w", t.Name, err)
		}
		lane := &deliveryLane{target: t, cursor: cursor}
		index, kept := cursor.Acked()
		if len(kept) == 0 && t.Note != nil {
			// Where a file ended before the first record came, so that a run that
			// is killed with the first ones can go back to there.
			kept = note(0, t.Note())
			if err := errors.Join(cursor.Ack(index, kept), s.Sync()); err != nil {
				return nil, fmt.Errorf("sink %s: %w", t.Name, err)
			}
		}
		sequence, _ := splitNote(kept)
		lane.acked.Store(sequence)
		lane.before = sequence
		queue := queue{cursor, func(_ uint64, note []byte) {
			sequence, _ := splitNote(note)
			lane.acked.Store(sequence)
		}}
		if store != nil {
			store.Acked(t.Name, index)
			noted := queue.acked
			queue.acked = func(index uint64, note []byte) {
				noted(index, note)
				store.Acked(t.Name, index)
			}
		}
		var decoder uplink.BatchDecoder
		lane.forwarder = uplink.NewForwarder(queue, t.Sink, uplink.ForwarderOptions{
			Name: t.Name,
			Decode: func(payload []byte, dst []uplink.Record) ([]uplink.Record, error) {
				records, err := decoder.Decode(payload, dst)
				if n := len(records); err == nil && n > 0 {
					lane.sequence = records[n-1].Sequence
				}
				return records, err
			},
			Order: t.Order, Budget: t.Budget, ExactlyOnce: t.ExactlyOnce,
			GiveUp: t.GiveUp, MinBackoff: t.MinBackoff, MaxBackoff: t.MaxBackoff,
			Note: func() []byte {
				var own []byte
				if t.Note != nil {
					own = t.Note()
				}
				return note(lane.sequence, own)
			},
			Logger: log,
		})
		d.lanes = append(d.lanes, lane)
	}
	return d, nil
}

// queue tells of acknowledgements.
type queue struct {
	*spool.Cursor
	acked func(index uint64, note []byte)
}

func (q queue) AckSpan(span spool.Span, note []byte) error {
	err := q.Cursor.AckSpan(span, note)
	q.acked(q.Cursor.Acked())
	return err
}

func (q queue) Advance(p spool.Position, note []byte) error {
	err := q.Cursor.Advance(p, note)
	q.acked(q.Cursor.Acked())
	return err
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
		if err := lane.cursor.Close(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Stats of every target, in their order.
func (d *Delivery) Stats() []DeliveryStats {
	var stats []DeliveryStats
	for _, lane := range d.lanes {
		stats = append(stats, DeliveryStats{
			Name: lane.target.Name, ForwarderStats: lane.forwarder.Stats(), Sequence: lane.acked.Load(),
			order: lane.target.Order, before: lane.before,
		})
	}
	return stats
}
