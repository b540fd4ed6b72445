//go:build linux

package powercut

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"milepost/uplink/spool"
)

// task is what a writer is told, as JSON in the variable taskVariable.
type task struct {
	Dir      string
	Run      uint32
	Seed     uint64
	Sync     time.Duration
	MaxBytes int64
	// Thin merges entries before any is evicted.
	Thin bool
	// SyncEvery is after how many entries, more or less, Sync is called; 0 for
	// never.
	SyncEvery int
	// Pauses lets the kernel's own writing come between.
	Pauses bool
	// Acks has a sink read and acknowledge, so that chapters are released.
	Acks bool
	// Bytes is how much is appended at most, runBytes if zero.
	Bytes int
	// Boast calls an entry durable as soon as it is appended.
	Boast bool
}

const (
	taskVariable = "POWERCUT_TASK"

	chapterBytes = 8 << 10
	quotaBytes   = 64 << 10
	runBytes     = 512 << 10
	sinkName     = "sink"
)

func (k task) options() spool.Options {
	o := spool.Options{Sync: k.Sync, ChapterBytes: chapterBytes, MaxBytes: k.MaxBytes}
	if k.Thin {
		o.Thin = thinning
	}
	return o
}

// word is what a writer says to the test, each with a number and the time. What it
// is about to do is said before, what is done after it: so the test knows all
// indexes that can have been used, and nothing is called durable that is not.
type word byte

const (
	wordOpened  word = 'o' // the first bytes of the spool's ID
	wordAppends word = 'a' // this entry
	wordDurable word = 'd' // the entries of this run up to this one
	wordEvicted word = 'e' // the entries up to this one
	wordAcks    word = 'k' // the entries up to this one
	wordAcked   word = 'K' // it, durably
	wordDone    word = 'z' // nothing more to do
	wordFailed  word = '!' // the message's length, then the message
)

const wordBytes = 1 + 8 + 8

func say(to io.Writer, w word, number uint64) error {
	b := binary.LittleEndian.AppendUint64([]byte{byte(w)}, number)
	b = binary.LittleEndian.AppendUint64(b, uint64(time.Now().UnixNano()))
	_, err := to.Write(b)
	return err
}

// writer is the process that the power cut meets.
type writer struct {
	task
	to     io.Writer
	random *rand.Rand
	spool  *spool.Spool
	sink   *spool.Cursor

	appended       uint64 // the last index
	durable, acked uint64 // the last ones told to be so
	read           uint64 // by the sink
	evicted        uint64 // the last index that was told
	bytes          int
}

// runWriter does a task until it is killed.
func runWriter(text string) {
	w := &writer{to: os.Stdout}
	err := json.Unmarshal([]byte(text), &w.task)
	if err == nil {
		if w.Bytes == 0 {
			w.Bytes = runBytes
		}
		w.random = rand.New(rand.NewPCG(w.Seed, 2))
		err = w.work()
	}
	for err == nil { // it is the power that ends it
		err = say(w.to, wordDone, 0)
		time.Sleep(time.Second)
	}
	say(w.to, wordFailed, uint64(len(err.Error())))
	io.WriteString(w.to, err.Error())
	os.Exit(1)
}

func (w *writer) work() (err error) {
	if w.spool, err = spool.Open(w.Dir, w.options()); err != nil {
		return err
	}
	id := w.spool.ID()
	if err := say(w.to, wordOpened, binary.LittleEndian.Uint64(id[:])); err != nil {
		return err
	}
	if w.sink, err = w.spool.Cursor(sinkName, spool.Oldest); err != nil {
		return err
	}
	w.read, _ = w.sink.Acked()
	w.acked = w.read
	for w.bytes < w.Bytes {
		if w.Pauses && w.random.IntN(10) == 0 {
			time.Sleep(10 * time.Millisecond)
		}
		if err := w.append(); err != nil {
			return err
		}
		if w.SyncEvery > 0 && w.random.IntN(w.SyncEvery) == 0 {
			if err := w.sync(); err != nil {
				return err
			}
		}
		if w.Acks && w.random.IntN(8) == 0 {
			if err := w.deliver(); err != nil {
				return err
			}
		}
	}
	return nil
}

// append appends an entry. Nobody else does, so its index is known before.
func (w *writer) append() error {
	index := w.spool.Stats().Next
	if err := say(w.to, wordAppends, index); err != nil {
		return err
	}
	p := payload(index, w.Run)
	w.bytes += len(p)
	got, err := w.spool.Append(p)
	if err != nil {
		return err
	}
	if got != index {
		return fmt.Errorf("index %d was announced, the entry got %d", index, got)
	}
	w.appended = index
	if to := w.spool.Stats().EvictedTo; to > w.evicted {
		w.evicted = to
		if err := say(w.to, wordEvicted, to); err != nil {
			return err
		}
	}
	if w.Boast {
		return say(w.to, wordDurable, index)
	}
	return w.tellDurable(w.spool.Durable())
}

func (w *writer) tellDurable(index uint64) error {
	if w.Sync == spool.SyncAlways && index < w.appended {
		return fmt.Errorf("entry %d is appended, only %d is durable", w.appended, index)
	}
	if index <= w.durable {
		return nil
	}
	w.durable = index
	return say(w.to, wordDurable, index)
}

func (w *writer) sync() error {
	acked, _ := w.sink.Acked()
	if err := w.spool.Sync(); err != nil {
		return err
	}
	if err := w.tellDurable(w.appended); err != nil || acked == w.acked {
		return err
	}
	w.acked = acked
	return say(w.to, wordAcked, acked)
}

// deliver is the sink: it reads some entries and acknowledges most of them.
func (w *writer) deliver() error {
	for range w.random.IntN(20) {
		e, err := w.sink.TryNext(nil)
		if errors.Is(err, spool.ErrNone) {
			break
		}
		if err != nil {
			return err
		}
		parts, err := partsOf(e.Index, e.Payload)
		if err != nil {
			return err
		}
		w.read = parts[len(parts)-1].index
	}
	if acked, _ := w.sink.Acked(); w.read <= acked || w.random.IntN(4) == 0 {
		return nil
	}
	if err := say(w.to, wordAcks, w.read); err != nil {
		return err
	}
	if err := w.sink.Ack(w.read, note(w.read)); err != nil {
		return err
	}
	if w.Sync != spool.SyncAlways {
		return nil
	}
	w.acked = w.read
	return say(w.to, wordAcked, w.read)
}
