package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"milepost/uplink"
)

// delivery is how far the messages of some records are.
type delivery struct {
	open atomic.Int64  // messages whose promise is open, and 1 until all are made
	done chan struct{} // closed when there is none

	mu     sync.Mutex
	failed int    // messages
	err    error  // of the first one that failed
	topic  string // of that one
	first  int    // the position of the first record in any that failed

	// What follows belongs to the goroutine that makes the messages until done.
	messages int
	poison   []int // positions of records that no message can hold
	problem  error // that kept the rest from being made
}

// shipment is records on their way: their messages are made and handed to the
// client beside whoever began it. There may be two, one behind the other.
type shipment struct {
	p      *producer
	client *kgo.Client
	d      *delivery
	ctx    context.Context
	cancel func()
	handed chan struct{} // closed when all messages are with the client, or never will be
	// forsaken is set when the one before has failed.
	forsaken bool
}

// errBehind is the error of a shipment whose predecessor has failed.
var errBehind = errors.New("kafka: what was sent before has failed")

// start begins to send records. While the last messages are made, the first are on
// their way. Extra messages go first. What is behind a shipment that is not waited
// for yet begins when all of that is with the client, if nothing has failed by
// then: so messages are in order.
func (p *producer) start(ctx context.Context, records []uplink.Record, extra ...*kgo.Record) *shipment {
	s := &shipment{p: p, client: p.client, d: &delivery{done: make(chan struct{})}, handed: make(chan struct{})}
	s.d.open.Store(1)
	s.ctx, s.cancel = context.WithCancel(ctx)
	before := p.last
	p.last = s
	go func() { // Produce blocks while the client's buffer is full
		defer close(s.handed)
		defer s.d.release()
		if before != nil {
			<-before.handed
			if before.d.troubled() {
				s.d.problem = errBehind
				return
			}
		}
		for _, m := range extra {
			s.d.open.Add(1)
			s.client.Produce(s.ctx, m, func(m *kgo.Record, err error) {
				if err != nil {
					s.d.fail(m.Topic, 0, err)
				}
				s.d.release()
			})
		}
		p.hand(s.ctx, s.client, records, s.d)
	}()
	return s
}

// troubled reports whether anything is known to be amiss. It may be called when
// all messages are handed over.
func (d *delivery) troubled() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.failed > 0 || d.problem != nil || len(d.poison) > 0
}

// wait waits until the client has delivered all messages or cannot. It returns an
// error if any was not delivered, but for poison. Then the client may be closed.
func (s *shipment) wait() (d *delivery, err error) {
	p, d := s.p, s.d
	last := p.last == s
	flushed := make(chan struct{})
	go func() {
		defer close(flushed)
		if last { // else what follows fills the last batch, which waits for company
			<-s.handed
			s.client.Flush(s.ctx)
		}
	}()
	defer func() {
		s.cancel()
		<-s.handed
		<-flushed
		switch {
		case last:
			p.last = nil
			p.out.chunks.tidy()
		case s.forsaken:
		case err != nil || len(d.poison) > 0:
			p.last.forsake()
			p.last = nil
		}
	}()
	if s.forsaken {
		<-d.done
		return d, errBehind
	}

	// Where nothing moves the link is under suspicion; it is convicted sooner if
	// the client cannot even dial.
	ticker := time.NewTicker(p.o.AckTimeout / 12)
	defer ticker.Stop()
	moved := time.Now()
	for before := d.open.Load(); ; {
		select {
		case <-d.done:
			return d, d.result()
		case <-s.ctx.Done():
			p.abandon(s.cancel, d)
			return d, s.ctx.Err()
		case now := <-ticker.C:
			left := d.open.Load()
			still := now.Sub(moved)
			switch {
			case left != before:
				before, moved = left, now
			case still >= p.o.AckTimeout, still >= p.o.AckTimeout/3 && p.dials.failure() != nil:
				p.abandon(s.cancel, d)
				return d, fmt.Errorf("no progress for %v; the broker or the link is stuck", still.Round(time.Millisecond))
			}
		}
	}
}

// forsake ends the making of messages behind a failure. Those that are made fail
// with the client, which is closed for it; without that there are none.
func (s *shipment) forsake() {
	s.forsaken = true
	s.cancel()
	<-s.handed
}

// produce sends records and waits for them.
func (p *producer) produce(ctx context.Context, records []uplink.Record, extra ...*kgo.Record) (*delivery, error) {
	return p.start(ctx, records, extra...).wait()
}

// hand makes the messages and hands them over. Once there is poison, the rest is
// only searched for more: all of it has to be sent again.
func (p *producer) hand(ctx context.Context, client *kgo.Client, records []uplink.Record, d *delivery) {
	p.out.begin(d)
	defer p.out.end()
	for i := 0; i < len(records); {
		if ctx.Err() != nil {
			d.problem = ctx.Err()
			return
		}
		topic := p.topics.of(&records[i])
		if topic == "" {
			d.poison = append(d.poison, i)
			i++
			continue
		}
		var frame []byte
		if p.registry != nil {
			if frame, d.problem = p.registry.frame(ctx, topic); d.problem != nil {
				return
			}
		}
		end := i + 1
		if p.o.Encoding == uplink.OTLP { // one device a message: it is the key
			for end < len(records) && records[end].Device == records[i].Device && p.topics.of(&records[end]) == topic {
				end++
			}
		}
		if !p.out.room(ctx) {
			d.problem = ctx.Err()
			return
		}
		m, n := p.out.add(records, i, end, topic, frame, p.limit)
		if m == nil {
			d.poison = append(d.poison, i)
			i++
			continue
		}
		if len(d.poison) == 0 {
			d.messages++
			p.out.chunk.send(ctx, client, m)
		}
		i += n
	}
}

// fail notes that a message did not arrive, which begins with the record at
// position first.
func (d *delivery) fail(topic string, first int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.failed++; d.failed == 1 {
		d.topic, d.first, d.err = topic, first, err
	}
	d.first = min(d.first, first)
}

func (d *delivery) release() {
	if d.open.Add(-1) == 0 {
		close(d.done)
	}
}

// result is the error of a delivery that is done.
func (d *delivery) result() error {
	if d.err != nil {
		return d.err
	}
	return d.problem
}

// abandon closes the client and waits for its last promises: then nothing refers
// to the messages any more.
func (p *producer) abandon(cancel func(), d *delivery) {
	cancel()
	p.drop()
	<-d.done
}

// shrink makes batches smaller after the brokers have refused one, and reports
// whether there is any sense in that. They know their limit best; where they do
// not tell it, it is searched for by halves.
func (p *producer) shrink(ctx context.Context, d *delivery) bool {
	var told int
	err := p.within(ctx, p.o.DialTimeout, func(ctx context.Context) (err error) {
		told, err = maxMessageBytes(ctx, p.client, d.topic)
		return err
	})
	p.drop() // a client's limit is fixed
	switch {
	case err == nil && 0 < told && told < p.limit:
		p.limit = told
	case p.limit < smallestBatch:
		return false
	default:
		p.limit /= 2
	}
	return true
}

// smallestBatch is where the search for a limit ends.
const smallestBatch = 2048

// maxMessageBytes asks for the limit of a topic's batches.
func maxMessageBytes(ctx context.Context, client *kgo.Client, topic string) (int, error) {
	const key = "max.message.bytes"
	request := kmsg.NewPtrDescribeConfigsRequest()
	resource := kmsg.NewDescribeConfigsRequestResource()
	resource.ResourceType, resource.ResourceName, resource.ConfigNames = kmsg.ConfigResourceTypeTopic, topic, []string{key}
	request.Resources = append(request.Resources, resource)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return 0, err
	}
	for _, r := range response.Resources {
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return 0, err
		}
		for _, c := range r.Configs {
			if c.Name == key && c.Value != nil {
				var n int
				_, err := fmt.Sscan(*c.Value, &n)
				return n, err
			}
		}
	}
	return 0, errors.New("the broker does not tell " + key)
}
