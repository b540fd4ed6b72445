package uplink

import (
	"fmt"
	"time"

	"milepost/uplink/spool"
)

// group is what is sent at once: entries of one lane and their records. There are
// two in a Forwarder, whose memory is used again.
type group struct {
	lane *lane
	live bool
	// complete says that nothing live was left behind it.
	complete bool
	// begun says that a part of it is dealt with: the group is then sent to its
	// end, as nothing else tells which part.
	begun bool
	// span is what is done with when the group is.
	span spool.Span
	// wait, if it has begun, waits for the first try to send it.
	wait func() error

	entries []spool.Entry
	bytes   int    // of payload
	arena   []byte // memory of the payloads, as far as they fit
	used    int    // of the arena

	records     []Record
	origins     []origin // of the records
	delivered   int      // how many of the first ones the receiver has
	suspects    []suspect
	undecodable []undecodable
	missing     uint64 // entries, before those of the group
	// total is how many records the entries have, those included that the sink had
	// before or refused, sequence the highest of theirs.
	total    int
	sequence uint64
}

// undecodable is an entry that is to be quarantined.
type undecodable struct {
	entry int // as a position in entries
	cause error
}

// origin is where a record comes from.
type origin struct {
	entry  int // as a position in entries
	number int // among the records of the entry
}

// maxArena is the most memory that is kept for payloads, in bytes.
const maxArena = 1<<20 + 128<<10

func (g *group) reset(l *lane) {
	if g.used > cap(g.arena) && g.used <= maxArena {
		g.arena = make([]byte, min(g.used+g.used/4, maxArena))
	}
	clear(g.records)
	clear(g.suspects)
	*g = group{
		lane: l, entries: g.entries[:0], arena: g.arena, undecodable: g.undecodable[:0], suspects: g.suspects[:0],
		records: g.records[:0], origins: g.origins[:0],
	}
}

// buffer is memory for the next entry's payload.
func (g *group) buffer() []byte {
	used := min(g.used, cap(g.arena))
	return g.arena[used:used]
}

func (g *group) add(entry spool.Entry) {
	g.entries = append(g.entries, entry)
	g.bytes += len(entry.Payload)
	g.used += len(entry.Payload)
}

func (g *group) dropFirst() {
	g.bytes -= len(g.entries[0].Payload)
	g.entries = g.entries[:copy(g.entries, g.entries[1:])]
}

func (g *group) has(index uint64) bool { return g.span.From <= index && index <= g.span.To }

// decode adds the records of an entry of the group to it, but for those that the
// sink has already.
func (f *Forwarder) decode(i int) {
	g, l := f.group, f.group.lane
	entry := g.entries[i]
	g.missing += entry.Missing
	before := len(g.records)
	records, err := f.o.Decode(entry.Payload, g.records)
	if err != nil {
		err = fmt.Errorf("entry %d (%d bytes): %w", entry.Index, len(entry.Payload), err)
		g.undecodable = append(g.undecodable, undecodable{i, err})
		f.stats.read(entry, 0, err)
		return
	}
	n, done := len(records)-before, 0
	g.total += n
	if n > 0 {
		g.sequence = max(g.sequence, records[before+n-1].Sequence)
	}
	if l.partial.entry == entry.Index {
		done = min(l.partial.records, n)
		records = append(records[:before], records[before+done:]...)
	}
	g.records = records
	for number := done; number < n; number++ {
		g.origins = append(g.origins, origin{i, number})
	}
	l.learn(len(entry.Payload), n)
	f.stats.read(entry, n-done, nil)
}

// quarantine logs at most once a minute: a disk must not fill with the news of
// what is counted anyway.
func (f *Forwarder) quarantine(entry spool.Entry, record *Record, cause error) {
	if now := time.Now(); now.Sub(f.quarantineLogged) >= time.Minute {
		f.quarantineLogged = now
		f.logger.Warn("quarantined; more of it is counted, not logged, for a minute", "sink", f.o.Name, "cause", cause)
	}
	if f.o.Quarantine != nil {
		f.o.Quarantine(entry, record, cause)
	}
}
