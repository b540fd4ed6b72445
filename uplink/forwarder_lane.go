package uplink

import (
	"errors"
	"math"
	"time"

	"milepost/uplink/spool"
)

// lane is a class and how far it is.
//
// Its queue is cut in two at front: what is pending from there on is live, what
// is before it is backlog. Live data is sent in order, and front moves with it.
// When it has waited for too long, front jumps to the newest entry, which leaves
// a gap that is backlog from then on. The backlog's gaps are closed from the
// oldest end or from the newest one. So the acknowledged spans stay few: a jump
// makes one more, nothing else does.
type lane struct {
	Class
	stats *ClassStats // guarded by counters.mu

	front uint64
	// looks say how far the queue went when: the first one did not have front yet,
	// if that is known.
	looks []look
	// armed says that the queue was asked in vain, and will tell by Ready when
	// there is something new; ended that there never will be.
	armed, ended bool
	at           uint64 // the index that the queue reads next, 0 if unknown

	// entryBytes and entryRecords are what an entry has on average.
	entryBytes, entryRecords float64

	backoff Backoff // of a disk that cannot be read
	retryAt time.Time

	partial partial
	settled bool // what the sink has committed is known, see settle

	pending []spool.Span
}

// maxIslands is how many acknowledged spans apart there may be before there are
// no more jumps and the backlog is closed from its oldest end. Of those that a
// queue keeps it leaves one for the jump, one for a partial entry and one for the
// span behind what was evicted, which a position counts apart.
const maxIslands = spool.MaxSpans - 3

func (l *lane) begin() {
	l.front, l.at, l.looks = 0, 0, l.looks[:0]
	l.armed, l.ended, l.settled = false, false, false
}

// look is the last index of a queue at a time.
type look struct {
	end uint64
	at  time.Time
}

const maxLooks = 32

// look notes how far the queue goes: a few times while an entry is fresh.
func (l *lane) look(now time.Time, end uint64, fresh time.Duration) {
	n := len(l.looks)
	switch {
	case n > 0 && l.looks[n-1].end >= end:
		l.looks[n-1].at = now
	case n == 0 || now.Sub(l.looks[n-1].at) >= fresh/16:
		if n == maxLooks {
			n-- // they are older than fresh by far
		}
		l.looks = append(l.looks[:n], look{end, now})
	}
}

// idle notes that nothing has been appended since the last look.
func (l *lane) idle(now time.Time) {
	if n := len(l.looks); n > 0 {
		l.looks[n-1].at = now
	}
}

// waited is how long the oldest live entry has waited at most.
func (l *lane) waited(now time.Time) time.Duration {
	for len(l.looks) > 1 && l.looks[1].end < l.front {
		l.looks = append(l.looks[:0], l.looks[1:]...)
	}
	if len(l.looks) == 0 || l.looks[0].end >= l.front {
		return math.MaxInt64
	}
	return now.Sub(l.looks[0].at)
}

// gatherLive takes what is live into the group, and says whether there is
// anything. With arm set it asks the queue even where it knows of nothing, so
// that Ready tells of what comes.
func (f *Forwarder) gatherLive(l *lane, now time.Time, arm bool) (bool, error) {
	l.pending = l.Queue.Pending(l.pending[:0])
	i := 0
	for i < len(l.pending) && l.pending[i].To < l.front {
		i++
	}
	from, to := l.front, uint64(math.MaxUint64)
	if i == len(l.pending) {
		if !arm {
			return false, nil
		}
	} else {
		last := l.pending[len(l.pending)-1]
		if f.o.Order != InOrder && l.waited(now) > f.o.Fresh {
			f.jump(l, last)
			i = len(l.pending) - 1
		}
		from = max(l.front, l.pending[i].From)
		if i < len(l.pending)-1 {
			to = l.pending[i].To
		}
	}
	limit := f.o.MaxBytes
	if f.o.Order != InOrder {
		limit = f.pace.limit(limit)
	}
	g := f.group
	g.reset(l)
	g.live = true
	end, err := f.read(l, from, to, limit)
	if err != nil {
		return false, err
	}
	l.armed = end && to == math.MaxUint64
	n := len(g.entries)
	if n == 0 && to == math.MaxUint64 {
		g.reset(nil)
		return false, nil
	}
	g.complete = end
	g.span = spool.Span{From: from, To: to}
	if from == 0 {
		g.span.From = g.entries[0].Index
	}
	if !end || to == math.MaxUint64 {
		g.span.To = g.entries[n-1].Index
	}
	return true, nil
}

// jump leaves what is live to the backlog, but for the newest entry. Where the
// queue cannot keep one more acknowledged span, the newest gap stays live.
func (f *Forwarder) jump(l *lane, last spool.Span) {
	front := max(l.front, last.From)
	if front < last.To && len(l.Queue.Position().Done) < maxIslands {
		front = last.To
	}
	if l.front != 0 && front > l.front {
		f.stats.jumped(l)
	}
	l.front = front
}

// gatherBacklog takes a group of the backlog, and says whether there is any.
func (f *Forwarder) gatherBacklog(l *lane) (bool, error) {
	l.pending = l.Queue.Pending(l.pending[:0])
	n := 0
	for n < len(l.pending) && l.pending[n].From < l.front {
		n++
	}
	if n == 0 {
		return false, nil
	}
	f.group.reset(l)
	limit := f.pace.limit(f.o.MaxBytes)
	if b := f.o.Budget; b != nil {
		limit = b.limit(limit)
	}
	gap := l.pending[n-1]
	gap.To = min(gap.To, l.front-1)
	if f.o.Order == NewestFirst && len(l.Queue.Position().Done) < maxIslands {
		return true, f.gatherNewest(l, gap, limit)
	}
	return true, f.gatherOldest(l, l.pending[0], limit)
}

// gatherOldest takes entries from the beginning of a gap.
func (f *Forwarder) gatherOldest(l *lane, gap spool.Span, limit int) error {
	if l.front > 0 {
		gap.To = min(gap.To, l.front-1)
	}
	end, err := f.read(l, gap.From, gap.To, limit)
	if err != nil {
		return err
	}
	f.group.span = gap
	if n := len(f.group.entries); n > 0 && !end {
		f.group.span.To = f.group.entries[n-1].Index
	}
	return nil
}

// gatherNewest takes the last entries of a gap. How many there is room for can
// only be guessed before they are read; if it was too many, the first are left.
func (f *Forwarder) gatherNewest(l *lane, gap spool.Span, limit int) error {
	n := float64(limit) / max(l.entryBytes, 1)
	if l.entryRecords > 0 {
		n = min(n, float64(f.o.MaxRecords)/l.entryRecords)
	}
	if l.entryBytes == 0 {
		n = 1
	}
	g := f.group
	g.span = gap
	if all := gap.To - gap.From; n < float64(all) {
		g.span.From = gap.To - uint64(max(n, 1)) + 1
	}
	l.seek(g.span.From)
	for {
		entry, end, err := l.read(g.buffer(), gap.To)
		if end {
			break
		}
		if err != nil {
			return err // what was read is not the end of the gap
		}
		g.add(entry)
		for g.bytes > limit && len(g.entries) > 1 {
			g.span.From = g.entries[0].Index + 1
			g.dropFirst()
		}
	}
	for i := range g.entries {
		f.decode(i)
	}
	return nil
}

// gatherPartial takes the one entry that the sink has a part of, which has to be
// completed before anything else: the position can tell of one such entry only.
func (f *Forwarder) gatherPartial(l *lane) error {
	only := spool.Span{From: l.partial.entry, To: l.partial.entry}
	f.group.reset(l)
	_, err := f.read(l, only.From, only.To, 1)
	f.group.span = only
	return err
}

// read reads and decodes entries into the group. With end it says that behind
// them there are none up to the index to.
func (f *Forwarder) read(l *lane, from, to uint64, limit int) (end bool, err error) {
	g := f.group
	l.seek(from)
	for g.bytes < limit && len(g.records) < f.o.MaxRecords {
		entry, end, err := l.read(g.buffer(), to)
		if end {
			if k := len(g.entries); k > 0 && entry.Missing > 0 {
				f.group.missing += min(entry.Missing, to-g.entries[k-1].Index)
			}
			return true, nil
		}
		if err != nil {
			if len(g.entries) > 0 {
				return false, nil // the next read meets it again
			}
			return false, err
		}
		g.add(entry)
		f.decode(len(g.entries) - 1)
		if entry.Index == to {
			return true, nil
		}
	}
	return false, nil
}

func (l *lane) seek(index uint64) {
	if l.at != index || index == 0 {
		l.Queue.Seek(index)
		l.at = index
	}
}

// read returns the next entry up to the index to. With end it says that there is
// none; the entry is then the one behind, if there is one.
func (l *lane) read(dst []byte, to uint64) (entry spool.Entry, end bool, err error) {
	entry, err = l.Queue.TryNext(dst)
	switch {
	case err == nil:
		l.at = entry.Index + 1
		return entry, entry.Index > to, nil
	case errors.Is(err, spool.ErrEnd):
		l.ended = true
		return entry, true, nil
	case errors.Is(err, spool.ErrNone):
		return entry, true, nil
	}
	l.at = 0
	return entry, false, err
}

// learn keeps averages of what an entry has.
func (l *lane) learn(bytes, records int) {
	if l.entryBytes == 0 {
		l.entryBytes, l.entryRecords = float64(bytes), float64(records)
	}
	l.entryBytes += (float64(bytes) - l.entryBytes) / 8
	l.entryRecords += (float64(records) - l.entryRecords) / 8
}
