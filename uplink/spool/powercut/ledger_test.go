//go:build linux

package powercut

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"milepost/uplink/spool"
)

// ledger is what a spool's writers have said: what must be there, and what may
// be.
type ledger struct {
	id       uint64            // of the spool
	appended map[uint64]uint32 // by which run
	begun    map[uint64]uint32 // by which run, of an entry that the cut may have prevented
	next     uint64            // the entry that the writer is appending, 0 for none
	durable  map[uint64]bool   // indexes that were called so
	last     uint64            // index appended
	acks     uint64            // the last index that was to be acknowledged
	acked    uint64            // the last that was, durably

	forms  map[uint64]int // of entries that were read: what they were made of
	merged int            // entries that were, as they were read last

	evictedTo uint64 // the last index that the quota has evicted, as writers said
	ghosts    int    // what was called durable after the cut
	// What is evicted by now, and how much of it the spool did not know after the
	// cut: evicted it is, but not counted so.
	evicted, uncounted uint64
	wrong              []string // what contradicts the promises
}

func newLedger() *ledger {
	return &ledger{appended: map[uint64]uint32{}, begun: map[uint64]uint32{}, durable: map[uint64]bool{}, forms: map[uint64]int{}}
}

func (l *ledger) complain(format string, args ...any) {
	l.wrong = append(l.wrong, fmt.Sprintf(format, args...))
}

// utterance is what a writer has said, and when.
type utterance struct {
	word   word
	number uint64
	at     time.Time
	text   string // of wordFailed
}

// listen takes down what a writer says until it is dead. done is called when
// it has nothing more to do.
func listen(from io.Reader, done func()) (heard []utterance) {
	defer done()
	words := bufio.NewReader(from)
	var b [wordBytes]byte
	for {
		if _, err := io.ReadFull(words, b[:]); err != nil {
			return heard
		}
		u := utterance{word: word(b[0]), number: binary.LittleEndian.Uint64(b[1:]), at: time.Unix(0, int64(binary.LittleEndian.Uint64(b[9:])))}
		switch u.word {
		case wordDone:
			done()
			continue
		case wordFailed:
			message := make([]byte, min(u.number, 4096))
			n, _ := io.ReadFull(words, message)
			u.text = string(message[:n])
		}
		heard = append(heard, u)
	}
}

// take enters what a writer has said before the power was cut. A process that the
// power has left is no more; here it may go on for an instant, and what the kernel
// tells it about a disk that is gone proves nothing.
func (l *ledger) take(run uint32, heard []utterance, cut time.Time) {
	defer l.settle(run, false)
	for _, u := range heard {
		switch {
		case u.at.After(cut):
			if u.word == wordDurable || u.word == wordAcked {
				l.ghosts++
			}
			if u.word == wordAppends || u.word == wordFailed {
				return
			}
		case u.word == wordFailed:
			l.complain("with the power on, run %d failed: %s", run, u.text)
		default:
			l.hear(run, u.word, u.number)
		}
	}
}

// settle decides on the entry that was being appended: if the writer went on, it
// was; if not, nobody has seen its index, which may be used again.
func (l *ledger) settle(run uint32, appended bool) {
	index := l.next
	l.next = 0
	switch {
	case index == 0:
	case !appended:
		l.begun[index] = run
	default:
		if before, used := l.appended[index]; used {
			l.complain("index %d is used by run %d, and was by run %d", index, run, before)
		}
		l.appended[index] = run
		l.last = max(l.last, index)
	}
}

func (l *ledger) hear(run uint32, w word, number uint64) {
	l.settle(run, true)
	switch w {
	case wordOpened:
		l.checkID(number)
	case wordAppends:
		l.next = number
	case wordDurable:
		// The others of this run came before.
		for index := number; index > 0 && l.appended[index] == run && !l.durable[index]; index-- {
			l.durable[index] = true
		}
	case wordEvicted:
		l.evictedTo = max(l.evictedTo, number)
	case wordAcks:
		l.acks = max(l.acks, number)
	case wordAcked:
		l.acked = max(l.acked, number)
	default:
		l.complain("a writer says %q", w)
	}
}

// checkID: while a spool keeps its ID its indexes can be compared, and no power
// cut is to change that.
func (l *ledger) checkID(id uint64) {
	if l.id != 0 && id != l.id {
		l.complain("the spool's ID has changed from %x to %x", l.id, id)
	}
	l.id = id
}

// checkSpool compares a spool that was just opened with what was said, and with
// its own counts. What it holds is durable from now on.
func (l *ledger) checkSpool(s *spool.Spool, maxBytes int64) error {
	id := s.ID()
	l.checkID(binary.LittleEndian.Uint64(id[:]))
	acked, err := l.checkSink(s)
	if err != nil {
		return err
	}
	st := s.Stats()
	l.checkEvicted(st, maxBytes)
	if st.Next <= l.last {
		l.complain("the next index is %d, but %d was used", st.Next, l.last)
	}

	entries, err := readAll(s)
	if err != nil {
		return err
	}
	there := map[uint64]bool{}
	last := uint64(0)
	for _, e := range entries {
		if e.Index <= last {
			l.complain("entry %d follows entry %d", e.Index, last)
		}
		parts, err := partsOf(e.Index, e.Payload)
		if err != nil {
			l.complain("%v", err)
			last = e.Index
		}
		if form := l.forms[e.Index]; form != 0 && form != len(parts) {
			l.complain("entry %d was read as one of %d, and is one of %d", e.Index, form, len(parts))
		}
		l.forms[e.Index] = len(parts)
		if len(parts) > 1 {
			l.merged++
		}
		for _, p := range parts {
			if p.index <= last {
				l.complain("in entry %d there is %d behind %d", e.Index, p.index, last)
			}
			last = p.index
			there[p.index] = true
			if by, ok := l.appended[p.index]; ok && by != p.run {
				l.complain("entry %d is of run %d, and was appended by run %d", p.index, p.run, by)
			} else if by := l.begun[p.index]; !ok && by != p.run {
				l.complain("entry %d is of run %d, which never appended it", p.index, p.run)
			} else {
				l.appended[p.index] = p.run
			}
		}
	}
	l.checkDurable(s, acked, there)
	for _, span := range s.Report().Missing {
		for index := span.From; index <= span.To; index++ {
			if l.durable[index] && index > l.evictedTo {
				l.complain("entry %d is reported missing, and was durable", index)
				break
			}
		}
	}
	for index := range there {
		l.durable[index] = true
	}
	l.checkBalance(s)
	return nil
}

// checkDurable: what was durable is there, unless the sink has acknowledged it or
// the quota has evicted it, which takes the oldest and is counted.
func (l *ledger) checkDurable(s *spool.Spool, acked uint64, there map[uint64]bool) {
	st := s.Stats()
	l.evicted, l.uncounted = 0, 0
	for _, c := range st.Cursors {
		if c.Name == sinkName {
			l.evicted = c.Evicted
		}
	}
	oldest := st.Next
	for index := range there {
		oldest = min(oldest, index)
	}
	lost, gone, first := 0, uint64(0), st.Next
	for index := range l.durable {
		switch {
		case index <= acked || there[index] || index <= st.EvictedTo:
		case index <= l.evictedTo:
			l.uncounted++
		case index < oldest && gone < l.evicted:
			gone++
			l.uncounted++
		default:
			lost++
			first = min(first, index)
		}
	}
	if lost > 0 {
		l.complain("%d of %d durable entries are lost, the first is %d; %d entries are there, from %d; evicted up to %d", lost, len(l.durable), first, len(there), oldest, st.EvictedTo)
	}
}

// checkSink: the sink stands where it was durably put or where it was about to
// be, never further, and with the note of that place.
func (l *ledger) checkSink(s *spool.Spool) (acked uint64, err error) {
	sink, err := s.Cursor(sinkName, spool.Oldest)
	if err != nil {
		return 0, err
	}
	defer sink.Close()
	acked, with := sink.Acked()
	for _, c := range s.Stats().Cursors {
		if c.Name == sinkName && acked < c.Start && l.acked < c.Start {
			return acked, nil // it has acknowledged nothing
		}
	}
	switch {
	case acked > l.acks:
		l.complain("the cursor is at %d, nothing beyond %d was acknowledged", acked, l.acks)
	case acked < l.acked:
		l.complain("the cursor is at %d, %d was acknowledged durably", acked, l.acked)
	case string(with) != string(note(acked)):
		l.complain("the cursor is at %d with the note %q", acked, with)
	}
	return acked, nil
}

// checkEvicted: where there is a quota, no more is evicted than it asks for.
func (l *ledger) checkEvicted(st spool.Stats, maxBytes int64) {
	if maxBytes == 0 {
		if st.EvictedEntries > 0 {
			l.complain("%d entries are evicted without a quota", st.EvictedEntries)
		}
		return
	}
	if st.EvictedEntries == 0 {
		return
	}
	// Room for a chapter is made in advance, by chapters that may be somewhat
	// larger than they should.
	least := maxBytes - 3*chapterBytes - maxPayload
	kept := int64(0)
	for index, run := range l.appended {
		if index > st.EvictedTo {
			kept += int64(len(payload(index, run)) + 20)
		}
	}
	if kept < least {
		l.complain("%d bytes at most were left when all up to %d was evicted, the quota is %d", kept, st.EvictedTo, maxBytes)
	}
}

func (l *ledger) checkBalance(s *spool.Spool) {
	st := s.Stats()
	for _, c := range st.Cursors {
		if sum := c.Acknowledged + c.Pending + c.Evicted + c.Missing + c.Skipped + c.Thinned; st.Next-c.Start != sum {
			l.complain("the cursor's counts do not balance: next %d, %+v", st.Next, c)
		}
	}
}

// checkFiles: what stands on disk after a clean end is in order, but for entries
// that a cut has taken from the middle before they were durable. Where they stood
// there may be zeros: a file can be longer than what the disk has of it, and of a
// chapter that is not the newest nothing is repaired.
func (l *ledger) checkFiles(dir string) error {
	info, err := spool.Inspect(dir)
	if err != nil {
		return err
	}
	known := 0
	for _, ch := range info.Chapters {
		known += len(ch.Missing)
		for _, f := range ch.Findings {
			if f.Offset >= 0 && len(ch.Missing) > 0 {
				known++
			}
		}
		for _, span := range ch.Missing {
			for index := span.From; index <= span.To; index++ {
				if l.durable[index] {
					l.complain("after a clean end durable entry %d is missing in chapter %s", index, ch.Name)
					break
				}
			}
		}
	}
	findings, err := spool.Verify(dir)
	if len(findings) != known {
		l.complain("after a clean end: %v", findings)
	}
	return err
}

// readAll reads all that is there with a cursor of its own.
func readAll(s *spool.Spool) (entries []spool.Entry, err error) {
	const name = "audit"
	c, err := s.Cursor(name, spool.Oldest)
	if err != nil {
		return nil, err
	}
	for {
		e, err := c.TryNext(nil)
		if err == spool.ErrNone {
			break
		}
		if err != nil {
			return nil, err
		}
		entries = append(entries, e)
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	return entries, s.RemoveCursor(name)
}
