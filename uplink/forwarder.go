package uplink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"milepost/uplink/spool"
)

// Queue is where a Forwarder takes its entries from: a spool.Cursor.
type Queue interface {
	// Next waits for the next entry, TryNext does not (spool.ErrNone). Both may
	// use dst for its payload, and return spool.ErrEnd after the last entry of a
	// queue that has an end.
	Next(ctx context.Context, dst []byte) (spool.Entry, error)
	TryNext(dst []byte) (spool.Entry, error)
	// Ack says that the entries up to index are done with and durably keeps a
	// note about it.
	Ack(index uint64, note []byte) error
	// Rewind returns to the first entry that is not acknowledged.
	Rewind()
}

// ForwarderOptions configure a Forwarder. The zero value of a field is its
// default.
type ForwarderOptions struct {
	// Name names the sink in errors and logs.
	Name string
	// Decode appends the records of an entry to dst. It is required; the Decode
	// of a BatchDecoder is what the gateway's entries need. The records must
	// stay valid while payload is overwritten.
	Decode func(payload []byte, dst []Record) ([]Record, error)
	// MaxRecords and MaxBytes limit what goes into one Send: no further entry is
	// taken once a group has so many records or bytes of payload (10,000;
	// 1 MiB). A group never waits to be filled.
	MaxRecords, MaxBytes int
	// MinBackoff and MaxBackoff bound the time between tries (100 ms, 30 s). It
	// doubles from try to try, and is drawn at random from between none and all
	// of it, so that a fleet does not return in step.
	MinBackoff, MaxBackoff time.Duration
	// GiveUp is how long Run bears a sink that fails without a break; 0 is for
	// ever.
	GiveUp time.Duration
	// Note, if set, is called after every successful Send for the note that is
	// kept with the acknowledgement.
	Note func() []byte
	// Quarantine, if set, is told of each record that the receiver will never
	// take and (with a nil record) of each entry that cannot be decoded, before
	// it is passed over. Neither record nor entry may be kept.
	Quarantine func(entry spool.Entry, record *Record, cause error)
	// Logger is told when the sink goes down and comes up again.
	Logger *slog.Logger
}

// Forwarder hands the entries of a queue to a sink, at the pace of the link. An
// entry is acknowledged only when each of its records was acknowledged by the
// receiver, or was quarantined and counted.
type Forwarder struct {
	queue Queue
	sink  Sink
	o     ForwarderOptions

	stats counters

	records []Record
	owners  []int // the entry that each record is from, as a position in entries
	entries []spool.Entry
	buffers [][]byte // of the entries' payloads
	// undecodable counts entries of the group, missing those before them.
	undecodable, missing uint64

	quarantineLogged time.Time
}

// NewForwarder makes a Forwarder from queue to sink, which remain the caller's
// to close.
func NewForwarder(queue Queue, sink Sink, o ForwarderOptions) *Forwarder {
	o.Name = cmp.Or(o.Name, "sink")
	o.MaxRecords = cmp.Or(o.MaxRecords, 10_000)
	o.MaxBytes = cmp.Or(o.MaxBytes, 1<<20)
	o.MinBackoff = cmp.Or(o.MinBackoff, 100*time.Millisecond)
	o.MaxBackoff = max(cmp.Or(o.MaxBackoff, 30*time.Second), o.MinBackoff)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Forwarder{queue: queue, sink: sink, o: o}
}

// Run forwards until the queue is at its declared end and all of it is
// acknowledged (nil), until ctx is done (its error), or until there is no sense
// in going on: the queue is broken, the receiver gone for good, or GiveUp over.
// It must not be called twice at the same time.
func (f *Forwarder) Run(ctx context.Context) error {
	f.queue.Rewind()
	defer func() { f.stats.abandoned(len(f.entries)) }()
	var unacknowledged error // of the last Ack; a later one makes up for it
	for {
		if err := f.gather(ctx); err != nil {
			switch {
			case !errors.Is(err, spool.ErrEnd):
				return err
			case unacknowledged != nil:
				return fmt.Errorf("%s: everything is delivered, but the last acknowledgement is not stored, and some of it will be sent again: %w", f.o.Name, unacknowledged)
			}
			return nil
		}
		if err := f.deliver(ctx); err != nil {
			return err
		}
		var note []byte
		if f.o.Note != nil {
			note = f.o.Note()
		}
		unacknowledged = f.queue.Ack(f.entries[len(f.entries)-1].Index, note)
		f.stats.acknowledged(len(f.entries), f.undecodable, f.missing, unacknowledged)
		f.entries = f.entries[:0]
	}
}

// gather waits for an entry and takes with it those that are there already.
func (f *Forwarder) gather(ctx context.Context) error {
	clear(f.records)
	f.records, f.owners, f.entries = f.records[:0], f.owners[:0], f.entries[:0]
	f.undecodable, f.missing = 0, 0
	for size := 0; size < f.o.MaxBytes && len(f.records) < f.o.MaxRecords; {
		var buffer []byte
		n := len(f.entries)
		if n < len(f.buffers) {
			buffer = f.buffers[n][:0]
		}
		var entry spool.Entry
		var err error
		if n == 0 {
			entry, err = f.next(ctx, buffer)
		} else if entry, err = f.queue.TryNext(buffer); err != nil {
			return nil // the next gather meets it again
		}
		if err != nil {
			return err
		}
		if n == len(f.buffers) {
			f.buffers = append(f.buffers, nil)
		}
		f.buffers[n] = entry.Payload
		f.entries = append(f.entries, entry)
		size += len(entry.Payload)
		f.decode(entry)
	}
	return nil
}

// next waits for the next entry. A disk that fails is tried again, like a sink.
func (f *Forwarder) next(ctx context.Context, buffer []byte) (spool.Entry, error) {
	for b := f.backoff(); ; {
		entry, err := f.queue.Next(ctx, buffer)
		switch {
		case err == nil, errors.Is(err, spool.ErrEnd):
			return entry, err
		case ctx.Err() != nil:
			return entry, ctx.Err()
		case errors.Is(err, spool.ErrClosed):
			return entry, fmt.Errorf("%s: %w", f.o.Name, err)
		}
		if b.first() {
			f.o.Logger.Warn("the queue cannot be read", "sink", f.o.Name, "cause", err)
		}
		f.stats.queueFailed(err)
		if err := b.pause(ctx, err); err != nil {
			return entry, fmt.Errorf("%s: read the queue: %w", f.o.Name, err)
		}
	}
}

func (f *Forwarder) decode(entry spool.Entry) {
	f.missing += entry.Missing
	before := len(f.records)
	records, err := f.o.Decode(entry.Payload, f.records)
	if err != nil {
		err = fmt.Errorf("entry %d (%d bytes): %w", entry.Index, len(entry.Payload), err)
		f.undecodable++
		f.quarantine(entry, nil, err)
		f.stats.read(entry, 0, err)
		return
	}
	f.records = records
	for range len(records) - before {
		f.owners = append(f.owners, len(f.entries)-1)
	}
	f.stats.read(entry, len(records)-before, nil)
}

// deliver sends the group until the receiver has all of it but the poison.
func (f *Forwarder) deliver(ctx context.Context) error {
	_, err := f.send(ctx, 0, len(f.records))
	return err
}

// send sends records[from:to] and returns where they end after the poison among
// them was removed. Where the sink says that there is some, but not which, it
// looks for it in the halves.
func (f *Forwarder) send(ctx context.Context, from, to int) (end int, err error) {
	if from >= to {
		return to, nil
	}
	err = f.try(ctx, f.records[from:to])
	if err == nil || !IsPermanent(err) {
		return to, err
	}
	poison := make(map[int]bool)
	for _, i := range Poisoned(err) {
		if 0 <= i && i < to-from {
			poison[from+i] = true
		}
	}
	if len(poison) == 0 && to-from > 1 {
		middle := from + (to-from)/2
		end, err := f.send(ctx, from, middle)
		if err != nil {
			return end, err
		}
		return f.send(ctx, end, to-(middle-end))
	}
	if len(poison) == 0 {
		poison[from] = true
	}
	f.remove(poison, err)
	return f.send(ctx, from, to-len(poison))
}

// remove quarantines the records at the given positions and closes the gaps.
func (f *Forwarder) remove(poison map[int]bool, cause error) {
	kept := 0
	for i := range f.records {
		if poison[i] {
			err := fmt.Errorf("%s: record %s: %w", f.o.Name, f.records[i].Key(), cause)
			f.quarantine(f.entries[f.owners[i]], &f.records[i], err)
			f.stats.poison(err)
			continue
		}
		f.records[kept], f.owners[kept] = f.records[i], f.owners[i]
		kept++
	}
	f.records, f.owners = f.records[:kept], f.owners[:kept]
}

// quarantine logs at most once a minute: a disk must not fill with the news of
// what is counted anyway.
func (f *Forwarder) quarantine(entry spool.Entry, record *Record, cause error) {
	if now := time.Now(); now.Sub(f.quarantineLogged) >= time.Minute {
		f.quarantineLogged = now
		f.o.Logger.Warn("quarantined; more of it is counted, not logged, for a minute", "sink", f.o.Name, "cause", cause)
	}
	if f.o.Quarantine != nil {
		f.o.Quarantine(entry, record, cause)
	}
}

// try calls Send until it succeeds, or fails in a way that trying again does not
// cure, or time is up.
func (f *Forwarder) try(ctx context.Context, records []Record) error {
	for b := f.backoff(); ; {
		err := f.sink.Send(ctx, records)
		if err == nil || IsPermanent(err) {
			if !b.first() {
				f.o.Logger.Info("sink is up", "sink", f.o.Name, "after", time.Since(b.since).Round(time.Millisecond), "tries", b.tries+1)
			}
			f.stats.up()
			if err == nil {
				f.stats.sent(records)
			}
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, ErrGone) {
			return f.failed(err)
		}
		if b.first() {
			f.o.Logger.Warn("sink is down", "sink", f.o.Name, "cause", err)
		}
		f.stats.down(err)
		if err := b.pause(ctx, err); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return f.failed(err)
		}
	}
}

// failed is the error of Run when the sink is beyond hope.
func (f *Forwarder) failed(cause error) error {
	s := f.stats.snapshot()
	return fmt.Errorf("%s: %d records that were read (and whatever else is queued) are not delivered; they stay in the queue: %w", f.o.Name, s.Pending, cause)
}

// Stats is what the Forwarder has done so far. It is safe to call at any time.
func (f *Forwarder) Stats() ForwarderStats { return f.stats.snapshot() }
