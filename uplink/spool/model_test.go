package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// model is what a spool must behave like: a list of entries and, for each
// cursor, how far it has read and acknowledged.
type model struct {
	root    string
	crashes int
	s       *Spool
	opts    Options
	entries []Entry
	cursors map[string]*modelCursor
}

type modelCursor struct {
	c             *Cursor
	read          uint64 // the last index read since opening or Rewind
	acked, synced uint64 // acknowledged, and that at the last sync
}

func (m *model) dir() string { return filepath.Join(m.root, strconv.Itoa(m.crashes)) }

func (m *model) open(t *rapid.T) {
	var err error
	if m.s, err = Open(m.dir(), m.opts); err != nil {
		t.Fatal(err)
	}
	for name, mc := range m.cursors {
		if mc.c, err = m.s.Cursor(name, Oldest); err != nil {
			t.Fatal(err)
		}
		at, _ := mc.c.Acked()
		if at > mc.acked || at < mc.synced {
			t.Fatalf("cursor %s is at %d, not from %d to %d", name, at, mc.synced, mc.acked)
		}
		mc.read, mc.acked, mc.synced = at, at, at
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
		mc.synced = mc.acked
	}
}

func (m *model) draw(t *rapid.T) *modelCursor {
	return m.cursors[rapid.SampledFrom([]string{"a", "b"}).Draw(t, "cursor")]
}

func (m *model) next(t *rapid.T) {
	mc := m.draw(t)
	for range rapid.IntRange(1, 20).Draw(t, "entries") {
		var want *Entry
		for i := range m.entries {
			if m.entries[i].Index > mc.read {
				want = &m.entries[i]
				break
			}
		}
		e, err := mc.c.TryNext(nil)
		if want == nil {
			if err != ErrNone {
				t.Fatalf("read %+v, %v behind the last entry", e, err)
			}
			return
		}
		if err != nil || e.Index != want.Index || !bytes.Equal(e.Payload, want.Payload) || e.Missing != 0 {
			t.Fatalf("read %+v, %v, want index %d", e, err, want.Index)
		}
		mc.read = e.Index
	}
}

func (m *model) ack(t *rapid.T) {
	mc := m.draw(t)
	if err := mc.c.Ack(mc.read, nil); err != nil {
		t.Fatal(err)
	}
	mc.acked = max(mc.acked, mc.read)
}

func (m *model) rewind(t *rapid.T) {
	mc := m.draw(t)
	mc.c.Rewind()
	mc.read = mc.acked
}

func (m *model) reopen(t *rapid.T) {
	if err := m.s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, mc := range m.cursors {
		mc.synced = mc.acked
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
	m.s.syncing.Lock() // or a chapter might vanish under the copy
	err := os.CopyFS(m.dir(), os.DirFS(old))
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
		if m.entries[n-1].Index <= durable {
			t.Fatalf("entry %d was durable and is gone", m.entries[n-1].Index)
		}
		m.entries = m.entries[:n-1]
	}
}

func (m *model) check(t *rapid.T) {
	st := m.s.Stats()
	for _, c := range st.Cursors {
		mc := m.cursors[c.Name]
		var pending uint64
		for _, e := range m.entries {
			if e.Index > mc.acked {
				pending++
			}
		}
		if c.Pending != pending || c.Acknowledged != uint64(len(m.entries))-pending || c.Missing+c.Evicted != 0 {
			t.Fatalf("cursor %s: %+v, want %d pending of %d", c.Name, c, pending, len(m.entries))
		}
		if sum := c.Acknowledged + c.Pending + c.Skipped; sum != st.Next-c.Start {
			t.Fatalf("cursor %s does not balance: %+v, next is %d", c.Name, c, st.Next)
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
		m.open(t)
		defer func() { m.s.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append": m.append, "append again": m.append, "append more": m.append,
			"sync": m.sync, "next": m.next, "ack": m.ack, "rewind": m.rewind,
			"reopen": m.reopen, "crash": m.crash, "": m.check,
		})
	})
}
