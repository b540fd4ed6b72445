package uplink

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"milepost/aggregate"
	"milepost/uplink/spool"
)

// Queue is where a Forwarder takes its entries from: a spool.Cursor. AckSpan,
// Advance, Pending and Position are safe for concurrent use.
type Queue interface {
	// TryNext returns the next entry that is not acknowledged, and may use dst for
	// its payload. Its errors are spool.ErrNone where there is none yet,
	// spool.ErrEnd after the last entry of a queue that has an end, and the
	// disk's.
	TryNext(dst []byte) (spool.Entry, error)
	// Ready returns a channel that gets a token when a TryNext that returned
	// spool.ErrNone may return something else now.
	Ready() <-chan struct{}
	// Seek goes to an index, in either direction.
	Seek(index uint64)
	// AckSpan says that the entries of a span are done with, and durably keeps
	// that and a note about it.
	AckSpan(span spool.Span, note []byte) error
	// Pending appends to dst the spans that are not acknowledged, ascending; what
	// is newest is in the last one.
	Pending(dst []spool.Span) []spool.Span
	// Position is what is acknowledged, Advance adds to it what a position from
	// elsewhere says.
	Position() spool.Position
	Advance(p spool.Position, note []byte) error
}

// Class is a queue and how important its entries are.
type Class struct {
	// Name names the queue in ForwarderStats and towards a Transactional sink,
	// where the queues of one identity must have different names ("records").
	Name string
	// Priority orders the classes, higher first, and is what the steps of a Budget
	// refer to.
	Priority int
	Queue    Queue
}

// Order says in which order entries are sent.
type Order int

const (
	// InOrder sends each queue strictly in order: what a replay needs.
	InOrder Order = iota
	// OldestFirst sends live data first and the backlog beside it, from its oldest
	// entry on. Before NewestFirst it has that the series of the backlog arrive in
	// order, and that what a full disk would evict next is brought to safety
	// first.
	OldestFirst
	// NewestFirst sends live data first and the backlog beside it, in groups from
	// the newest one back; within a group, entries ascend.
	NewestFirst
)

// ForwarderOptions configure a Forwarder. The zero value of a field is its
// default.
type ForwarderOptions struct {
	// Name names the sink in errors and logs.
	Name string
	// Decode appends the records of an entry to dst. It is required; the Decode
	// of a BatchDecoder is what the gateway's entries need. The records must
	// stay valid while payload is overwritten.
	Decode func(payload []byte, dst []Record) ([]Record, error)
	// Order is the order of the entries, strict by default. The order of a series'
	// records can be told by their sequences in any case.
	Order Order
	// Fresh is how long an entry may wait and still be sent as live data (5 s).
	// What the sink has not caught up with by then joins the backlog, and the
	// newest entry is next. InOrder knows no backlog.
	Fresh time.Duration
	// MaxRecords and MaxBytes limit what goes into one Send: no further entry is
	// taken once a group has so many records or bytes of payload (4,000, InOrder
	// 10,000; 1 MiB). They decide how much memory a Forwarder needs: about 500
	// bytes a record. A Pipelined sink has two groups under way where the
	// order is strict and nothing is metered (3,000; 512 KiB). A group never waits to be filled. Unless InOrder, groups are
	// also kept so small that the link carries one in less than a second, as far
	// as its throughput is known; a group has one entry at least.
	MaxRecords, MaxBytes int
	// Budget limits the bytes that are sent; nil is no limit.
	Budget *Budget
	// ExactlyOnce commits the queue's position in one transaction with the
	// records. The sink has to be Transactional.
	ExactlyOnce bool
	// MinBackoff and MaxBackoff are the bounds of a Backoff (100 ms, 30 s).
	MinBackoff, MaxBackoff time.Duration
	// GiveUp is how long Run bears a sink that fails without a break; 0 is for
	// ever.
	GiveUp time.Duration
	// Done, if set, is called before each acknowledgement, and before Note, with
	// the name of the class, how many records its entries have, whatever became of
	// them, and the highest sequence of these, 0 if there is none.
	Done func(class string, records int, sequence uint64)
	// Note, if set, is called after every successful Send for the note that is
	// kept with the acknowledgement.
	Note func() []byte
	// Quarantine, if set, is told of each record that the receiver will never
	// take and (with a nil record) of each entry that cannot be decoded, before
	// it is passed over. Neither record nor entry may be kept. A record is never
	// taken for the culprit as long as the sink accepts nothing else: that is an
	// outage.
	Quarantine func(entry spool.Entry, record *Record, cause error)
	// Clock, if set, tells the quality of the device's clock when a certificate is
	// refused for its dates, so that the error can say whose fault it is.
	Clock func() aggregate.Clock
	// Logger is told when the sink goes down and comes up again.
	Logger *slog.Logger
}

// Forwarder hands the entries of one or more queues to a sink, at the pace of
// the link. An entry is acknowledged only when each of its records was
// acknowledged by the receiver, or was quarantined and counted.
//
// A sink that cannot be reached costs the Forwarder one try after each pause of
// its Backoff, and no memory: what waits is in the queues.
type Forwarder struct {
	lanes  []*lane // by priority, highest first
	sink   Sink
	o      ForwarderOptions
	logger *slog.Logger

	transactional Transactional        // nil unless ExactlyOnce
	pipelined     Pipelined            // nil unless there may be a group ahead
	traffic       func() (a, b uint64) // nil where the sink does not count
	trafficSeen   uint64
	retry         chan struct{} // has a token if the sink is to be tried at once

	stats   counters
	backoff Backoff
	pace    pace
	turn    int    // the lane whose live data is next in this round
	group   *group // that is delivered, or being gathered
	groups  [2]group
	ahead   *group // that is under way behind it, nil if there is none
	credit  int    // records that may be quarantined before the sink accepts another one
	// unacknowledged is the error of the last acknowledgement; a later one makes
	// up for it.
	unacknowledged error

	quarantineLogged time.Time
}

// NewForwarder makes a Forwarder from queue to sink, which remain the caller's
// to close.
func NewForwarder(queue Queue, sink Sink, o ForwarderOptions) *Forwarder {
	return NewPriorityForwarder([]Class{{Queue: queue}}, sink, o)
}

// NewPriorityForwarder makes a Forwarder from the queues of several classes. The
// live data of a class goes before that of those with a lower priority, and the
// backlog of all of them comes behind the live data of all.
//
// If the sink has a method Traffic() (sent, received uint64), the bytes that it
// has moved on the wire so far, that is what budgets and stats count; else it is
// the bytes of payload that the sink has accepted.
func NewPriorityForwarder(classes []Class, sink Sink, o ForwarderOptions) *Forwarder {
	o.Name = cmp.Or(o.Name, "sink")
	o.Fresh = cmp.Or(o.Fresh, 5*time.Second)
	// Where data is live or metered, each group waits for what became of the last.
	var pipelined Pipelined
	if o.Order == InOrder && o.Budget == nil && !o.ExactlyOnce {
		pipelined, _ = sink.(Pipelined)
	}
	records, bytes := 4000, 1<<20
	if o.Order == InOrder {
		records = 10_000
	}
	if pipelined != nil {
		records, bytes = 3000, 512<<10
	}
	o.MaxRecords, o.MaxBytes = cmp.Or(o.MaxRecords, records), cmp.Or(o.MaxBytes, bytes)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Forwarder{
		sink: sink, pipelined: pipelined, o: o, logger: o.Logger,
		backoff: Backoff{Min: o.MinBackoff, Max: o.MaxBackoff}, retry: make(chan struct{}, 1),
	}
	f.group = &f.groups[0]
	for _, c := range classes {
		c.Name = cmp.Or(c.Name, "records")
		f.lanes = append(f.lanes, &lane{Class: c, backoff: Backoff{Min: o.MinBackoff, Max: o.MaxBackoff}})
	}
	slices.SortStableFunc(f.lanes, func(a, b *lane) int { return cmp.Compare(b.Priority, a.Priority) })
	f.stats.s.Classes = make([]ClassStats, len(f.lanes))
	for i, l := range f.lanes {
		l.stats = &f.stats.s.Classes[i]
		l.stats.Name, l.stats.Priority = l.Name, l.Priority
	}
	if t, ok := sink.(interface {
		Traffic() (sent, received uint64)
	}); ok {
		f.traffic = t.Traffic
	}
	if o.ExactlyOnce {
		f.transactional, _ = sink.(Transactional)
	}
	return f
}

// Run forwards until each queue is at its declared end and all of it is
// acknowledged (nil), until ctx is done (its error), or until there is no sense
// in going on: a queue is broken, the receiver gone for good, or GiveUp over.
// It must not be called twice at the same time.
func (f *Forwarder) Run(ctx context.Context) error {
	if f.o.ExactlyOnce && f.transactional == nil {
		return fmt.Errorf("%s: exactly once is asked for, but a %T has no transactions", f.o.Name, f.sink)
	}
	for _, l := range f.lanes {
		l.begin()
	}
	f.unacknowledged = nil
	f.pace, f.turn, f.credit = pace{}, 0, 0
	if f.transactional != nil {
		f.credit = maxCredit
	}
	defer f.release()
	for {
		err := f.next(ctx)
		if err == nil {
			f.prepare(ctx)
			if err = f.deliver(ctx); err == errReleased {
				f.release()
				f.turn = 0 // what is newest goes first when the link is back
				continue
			}
		}
		switch {
		case err == nil:
			f.acknowledge()
		case err != spool.ErrEnd:
			return err
		case f.unacknowledged != nil:
			return fmt.Errorf("%s: everything is delivered, but the last acknowledgement is not stored, and some of it will be sent again: %w", f.o.Name, f.unacknowledged)
		default:
			return nil
		}
	}
}

// Retry ends the pause after a failure, because its cause may be gone: the clock
// was set, or the link has come back. A try that is under way and fails is repeated
// at once, as it may have begun too early. A pause that the receiver has asked for
// is kept. It is safe to call at any time.
func (f *Forwarder) Retry() {
	select {
	case f.retry <- struct{}{}:
	default:
	}
}

// acknowledge notes that the group is done with.
func (f *Forwarder) acknowledge() {
	g, l := f.group, f.group.lane
	for _, u := range g.undecodable {
		f.quarantine(g.entries[u.entry], nil, u.cause)
	}
	if f.o.Done != nil {
		f.o.Done(l.Name, g.total, g.sequence)
	}
	f.unacknowledged = l.Queue.AckSpan(g.span, f.note())
	if g.live {
		l.front = g.span.To + 1
	}
	if l.partial.entry != 0 && g.has(l.partial.entry) {
		l.partial = partial{}
	}
	f.mark()
	f.stats.acknowledged(g, f.unacknowledged)
	g.reset(nil)
}

func (f *Forwarder) note() []byte {
	if f.o.Note == nil {
		return nil
	}
	return f.o.Note()
}

// release gives the group up: it will be read again.
func (f *Forwarder) release() {
	if f.group.lane != nil {
		f.stats.abandoned(f.group)
		f.mark()
		f.group.reset(nil)
	}
}

func (f *Forwarder) mark() {
	l := f.group.lane
	l.pending = l.Queue.Pending(l.pending[:0])
	f.stats.marked(f.group, l.pending)
}

// Stats is what the Forwarder has done so far. It is safe to call at any time.
func (f *Forwarder) Stats() ForwarderStats {
	s := f.stats.snapshot()
	for i, l := range f.lanes {
		l.pendingStats(&s.Classes[i])
	}
	if f.o.Budget != nil {
		s.Budget = f.o.Budget.Stats()
	}
	return s
}
