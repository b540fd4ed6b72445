package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// model is what a spool must behave like: a list of entries and, for each
// cursor, where it reads and which entries it has acknowledged.
type model struct {
	root    string
	crashes int
	s       *Spool
	opts    Options
	entries []Entry
	first   uint64 // entries before this index are not in the spool any more
	cursors map[string]*modelCursor
}

type modelCursor struct {
	c             *Cursor
	next          uint64          // where reading goes on
	acked, synced map[uint64]bool // acknowledged, and that at the last sync
	read          []uint64        // since opening, for acknowledgements
}

func (m *model) dir() string { return filepath.Join(m.root, strconv.Itoa(m.crashes)) }

func (m *model) open(t *rapid.T) {
	var err error
	if m.s, err = Open(m.dir(), m.opts); err != nil {
		t.Fatal(err)
	}
	m.first = m.s.Stats().First
	for name, mc := range m.cursors {
		if mc.c, err = m.s.Cursor(name, Oldest); err != nil {
			t.Fatal(err)
		}
		pending := mc.c.Pending(nil)
		acked := map[uint64]bool{}
		for _, e := range m.entries {
			in := slices.ContainsFunc(pending, func(p Span) bool { return p.From <= e.Index && e.Index <= p.To })
			switch {
			case in && mc.synced[e.Index]:
				t.Fatalf("cursor %s: %d is pending and was acknowledged", name, e.Index)
			case !in && !mc.acked[e.Index] && e.Index >= m.first && e.Index <= m.s.lastStoredLocked():
				t.Fatalf("cursor %s: %d is not pending and was never acknowledged: %v", name, e.Index, pending)
			}
			if !in && mc.acked[e.Index] {
				acked[e.Index] = true
			}
		}
		mc.acked, mc.read = acked, nil
		mc.keep()
		mc.next = 1
	}
}

func (mc *modelCursor) keep() {
	mc.synced = map[uint64]bool{}
	for index := range mc.acked {
		mc.synced[index] = true
	}
}

func (m *model) append(t *rapid.T) {
	payload := bytes.Repeat([]byte{byte(len(m.entries))}, rapid.IntRange(0, 400).Draw(t, "bytes"))
	index, err := m.s.Append(payload)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(m.entries); n > 0 && index <= m.entries[n-1].Index {
		t.Fatalf("index %d follows %d", index, m.entries[n-1].Index)
	}
	m.entries = append(m.entries, Entry{Index: index, Payload: payload})
}

func (m *model) sync(t *rapid.T) {
	if err := m.s.Sync(); err != nil {
		t.Fatal(err)
	}
	if n := len(m.entries); n > 0 && m.s.Durable() < m.entries[n-1].Index {
		t.Fatalf("durable up to %d, appended up to %d", m.s.Durable(), m.entries[n-1].Index)
	}
	for _, mc := range m.cursors {
		mc.keep()
	}
}

func (m *model) draw(t *rapid.T) *modelCursor {
	return m.cursors[rapid.SampledFrom([]string{"a", "b"}).Draw(t, "cursor")]
}

func (m *model) next(t *rapid.T) {
	mc := m.draw(t)
	for range rapid.IntRange(1, 20).Draw(t, "entries") {
		got, err := mc.c.TryNext(nil)
		m.first = m.s.Stats().First // reading writes what is collected, which may evict
		var want *Entry
		for i := range m.entries {
			if e := &m.entries[i]; e.Index >= max(mc.next, m.first) && !mc.acked[e.Index] {
				want = e
				break
			}
		}
		if want == nil {
			if err != ErrNone {
				t.Fatalf("read %+v, %v behind the last entry", got, err)
			}
			return
		}
		if err != nil || got.Index != want.Index || !bytes.Equal(got.Payload, want.Payload) || got.Missing != 0 && m.opts.MaxBytes == 0 {
			t.Fatalf("read %+v, %v, want index %d", got, err, want.Index)
		}
		mc.next = got.Index + 1
		mc.read = append(mc.read, got.Index)
	}
}

// acknowledge marks what the cursor has just acknowledged.
func (m *model) acknowledge(mc *modelCursor, span Span) {
	for _, e := range m.entries {
		if span.From <= e.Index && e.Index <= span.To && e.Index >= m.first {
			mc.acked[e.Index] = true
		}
	}
}

func (m *model) ack(t *rapid.T) {
	mc := m.draw(t)
	if len(mc.read) == 0 {
		return
	}
	index := mc.read[len(mc.read)-1]
	if err := mc.c.Ack(index, nil); err != nil {
		t.Fatal(err)
	}
	m.acknowledge(mc, Span{1, index})
}

func (m *model) ackSpan(t *rapid.T) {
	mc := m.draw(t)
	if len(m.entries) == 0 {
		return
	}
	from := rapid.IntRange(0, len(m.entries)-1).Draw(t, "from")
	to := min(len(m.entries)-1, from+rapid.IntRange(0, 15).Draw(t, "more"))
	span := Span{m.entries[from].Index, m.entries[to].Index}
	before := mc.c.Position()
	err := mc.c.AckSpan(span, nil)
	if err == ErrSpans {
		if after := mc.c.Position(); len(before.Done) < MaxSpans || !slices.Equal(before.Done, after.Done) {
			t.Fatalf("%v with %d islands; %v became %v", err, len(before.Done), before, after)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	m.acknowledge(mc, span)
}

// advance moves one cursor to where another one is.
func (m *model) advance(t *rapid.T) {
	from, to := m.draw(t), m.draw(t)
	p := from.c.Position()
	text, err := p.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	var q Position
	if err := q.UnmarshalText(text); err != nil {
		t.Fatal(err)
	}
	if err := to.c.Advance(q, nil); err == ErrSpans {
		return
	} else if err != nil {
		t.Fatal(err)
	}
	for _, span := range append([]Span{{1, p.Acked}}, p.Done...) {
		m.acknowledge(to, span)
	}
}

func (m *model) rewind(t *rapid.T) {
	mc := m.draw(t)
	mc.c.Rewind()
	mc.next = 1
}

func (m *model) seek(t *rapid.T) {
	mc := m.draw(t)
	mc.next = rapid.Uint64Range(0, m.s.Stats().Next).Draw(t, "index")
	mc.c.Seek(mc.next)
}

func (m *model) reopen(t *rapid.T) {
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, mc := range m.cursors {
		mc.keep()
	}
	m.open(t)
	if r := m.s.Report(); r.Unclean || len(r.Findings) > 0 || len(r.Missing) > 0 {
		t.Fatalf("after an orderly close: %+v", r)
	}
}

// crash goes on with a copy of the directory, as a killed process leaves it.
func (m *model) crash(t *rapid.T) {
	durable := m.s.Durable()
	old := m.dir()
	m.crashes++
	// Or chapters might come and go under the copy.
	m.s.syncing.Lock()
	m.s.writing.Lock()
	err := os.CopyFS(m.dir(), os.DirFS(old))
	m.s.writing.Unlock()
	m.s.syncing.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	os.RemoveAll(old)
	m.open(t)
	if r := m.s.Report(); len(r.Findings) > 0 || len(r.Missing) > 0 {
		t.Fatalf("%+v", r)
	}
	last := m.s.lastStoredLocked()
	for n := len(m.entries); n > 0 && m.entries[n-1].Index > last; n-- {
		index := m.entries[n-1].Index
		if index <= durable {
			t.Fatalf("entry %d was durable and is gone", index)
		}
		for _, mc := range m.cursors {
			delete(mc.acked, index)
			delete(mc.synced, index)
		}
		m.entries = m.entries[:n-1]
	}
}

func (m *model) check(t *rapid.T) {
	st := m.s.Stats()
	m.first = st.First
	for _, c := range st.Cursors {
		mc := m.cursors[c.Name]
		var pending, gone uint64
		for _, e := range m.entries {
			switch {
			case mc.acked[e.Index]:
			case e.Index >= st.First:
				pending++
			default:
				gone++
			}
		}
		if c.Pending != pending || c.Evicted != gone || c.Acknowledged != uint64(len(mc.acked)) || c.Missing != 0 {
			t.Fatalf("cursor %s: %+v, want %d pending, %d evicted and %d acknowledged of %d", c.Name, c, pending, gone, len(mc.acked), len(m.entries))
		}
		if sum := c.Acknowledged + c.Pending + c.Evicted + c.Skipped; sum != st.Next-c.Start {
			t.Fatalf("cursor %s does not balance: %+v, next is %d", c.Name, c, st.Next)
		}
		var listed uint64
		spans := mc.c.Pending(nil)
		for _, e := range m.entries {
			if slices.ContainsFunc(spans, func(p Span) bool { return p.From <= e.Index && e.Index <= p.To }) && e.Index >= st.First {
				listed++
			}
		}
		if listed != pending || pending > 0 && !mc.acked[m.entries[len(m.entries)-1].Index] && spans[len(spans)-1].To != st.Next-1 {
			t.Fatalf("cursor %s: %d entries are pending, the spans %v have %d; next is %d", c.Name, pending, spans, listed, st.Next)
		}
	}
}

// TestModel lets a spool and its model run side by side through any sequence of
// operations.
func TestModel(t *testing.T) {
	parent := memoryDir(t)
	rapid.Check(t, func(t *rapid.T) {
		root, err := os.MkdirTemp(parent, "run")
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(root)
		m := &model{
			root: root, opts: Options{Sync: SyncNever, ChapterBytes: rapid.Int64Range(1, 2000).Draw(t, "chapter")},
			cursors: map[string]*modelCursor{"a": {}, "b": {}},
		}
		if rapid.Bool().Draw(t, "quota") {
			m.opts.MaxBytes = 8 << 10
		}
		m.open(t)
		defer func() { m.s.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append, "append again": m.append, "append more": m.append,
			"sync": m.sync, "next": m.next, "ack": m.ack, "ack span": m.ackSpan, "ack another": m.ackSpan,
			"advance": m.advance, "rewind": m.rewind, "seek": m.seek,
			"reopen": m.reopen, "crash": m.crash, "": m.check,
		})
	})
}
