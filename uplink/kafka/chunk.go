package kafka

import (
	"context"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	chunkBytes    = 128 << 10
	chunkMessages = 512
	// chunkMemory is about what a chunk takes with its messages and their headers.
	chunkMemory = 320 << 10
	// chunksKept is how many are kept while little is sent.
	chunksKept = 2
)

// chunks are the chunks of an outbox. take is for its goroutine, give for any.
type chunks struct {
	free chan *chunk
	made int
	used int // since the delivery began
}

// limit allows so many chunks as take that much memory.
func (s *chunks) limit(bytes int) { s.free = make(chan *chunk, max(2, bytes/chunkMemory)) }

// take returns a chunk that is free; nil if ctx is done before there is one.
func (s *chunks) take(ctx context.Context) *chunk {
	s.used++
	select {
	case c := <-s.free:
		return c
	default:
	}
	if s.made < cap(s.free) {
		s.made++
		return newChunk(s.free)
	}
	select {
	case c := <-s.free:
		return c
	case <-ctx.Done():
		return nil
	}
}

// tidy lets go of what a delivery, which is done, did not need.
func (s *chunks) tidy() {
	for s.made > max(s.used, chunksKept) {
		<-s.free
		s.made--
	}
}

// chunk is memory of some messages of one delivery.
//
// It belongs to the goroutine that makes them until their promises, which are
// called by the client's goroutine, and release have all been called: the last
// of them puts it into free, and whoever receives it from there owns it.
type chunk struct {
	free chan<- *chunk
	d    *delivery
	open atomic.Int32 // messages whose promise is open, and 1 until release

	buffer  []byte
	headers []kgo.RecordHeader
	made    int // messages
	// The slices themselves never change, as promises look a message up while others
	// are made.
	records []kgo.Record
	firsts  []int                    // of each message: the position of its first record
	promise func(*kgo.Record, error) // promised, made once
}

func newChunk(free chan<- *chunk) *chunk {
	c := &chunk{free: free, buffer: make([]byte, 0, chunkBytes), records: make([]kgo.Record, chunkMessages), firsts: make([]int, chunkMessages)}
	c.promise = c.promised
	return c
}

// begin makes an empty chunk of a free one.
func (c *chunk) begin(d *delivery) {
	if cap(c.buffer) > 2*chunkBytes { // one message was large
		c.buffer = make([]byte, 0, chunkBytes)
	}
	c.d = d
	c.open.Store(1)
	c.buffer, c.headers, c.made = c.buffer[:0], c.headers[:0], 0
}

// full leaves room for a message of the usual size, so that the buffer need not
// move.
func (c *chunk) full() bool {
	return len(c.buffer) > cap(c.buffer)-4096 || c.made == len(c.records)
}

// add makes room for a message, which begins with the record at position i.
func (c *chunk) add(i int) *kgo.Record {
	c.firsts[c.made] = i
	c.made++
	return &c.records[c.made-1]
}

// send hands a message to the client.
func (c *chunk) send(ctx context.Context, client *kgo.Client, m *kgo.Record) {
	c.open.Add(1)
	c.d.open.Add(1)
	client.Produce(ctx, m, c.promise)
}

// promised notes what became of a message.
func (c *chunk) promised(m *kgo.Record, err error) {
	d := c.d
	if err != nil {
		d.fail(m.Topic, c.first(m), err)
	}
	c.release()
	d.release()
}

func (c *chunk) release() {
	if c.open.Add(-1) == 0 {
		c.free <- c
	}
}

// first is the position of the first record in a message.
func (c *chunk) first(m *kgo.Record) int {
	for i := range c.records {
		if &c.records[i] == m {
			return c.firsts[i]
		}
	}
	panic("BUG: a message of another chunk")
}
