package kafka

import (
	"context"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
)

// producer is what Sink and TransactionalSink have in common: a client, and the
// messages that it is given.
//
// A client that cannot deliver is closed, which is the only way to make it
// stop trying: the time limits of a record do not hold once it may be on the
// wire. The next attempt begins with a new client.
type producer struct {
	o        Options // without passwords
	target   target
	login    sasl.Mechanism // nil: none
	registry *registry      // nil: none
	topics   topics
	traffic  traffic
	extra    []kgo.Opt // for a client that is not of the ordinary kind

	client *kgo.Client // nil while there is none
	hangUp func()      // closes its connections
	dials  *dials      // of the client
	last   *shipment   // that was started and is not waited for, nil if there is none
	limit  int         // bytes of the largest batch that the brokers take, as far as is known; it only falls

	out outbox
}

// largestBatch is Kafka's max.message.bytes, as it is unless it is changed.
const largestBatch = 1_000_012

// lingering lets batches fill up while their messages are made; the end of a Send
// does not wait for it.
const lingering = 10 * time.Millisecond

func newProducer(o Options, extra ...kgo.Opt) (*producer, error) {
	o, t, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	p := &producer{target: t, topics: newTopics(t.topic), limit: largestBatch, extra: extra}
	if p.login, err = o.login(); err != nil {
		return nil, err
	}
	if o.Registry.URL != "" {
		if p.registry, err = newRegistry(o.Registry, newDialer(o.DialTimeout, o.AckTimeout/2, &p.traffic)); err != nil {
			return nil, err
		}
	}
	o.Password, o.Registry.Password = "", "" // what is not there is not printed
	p.o = o
	p.out.format(o)
	return p, nil
}

// connect makes a client that has reached a broker, unless there is one. After an
// error there is none.
func (p *producer) connect(ctx context.Context) (err error) {
	if p.client != nil {
		return nil
	}
	dials := new(dials)
	connected, hangUp := context.WithCancel(context.Background())
	d, config := newDialer(p.o.DialTimeout, p.o.AckTimeout/2, &p.traffic), p.tlsConfig()
	options := append([]kgo.Opt{
		kgo.SeedBrokers(p.target.brokers...),
		kgo.ClientID(p.o.ClientID),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // as Kafka's own clients hash keys
		kgo.ProducerBatchCompression(codecs[p.o.Compression], kgo.NoCompression()),
		kgo.ProducerBatchMaxBytes(int32(p.limit)),
		kgo.MaxBufferedRecords(math.MaxInt32), // the outbox has its own limit
		kgo.ProducerLinger(lingering),
		kgo.ConnIdleTimeout(5 * time.Minute), // a gateway sends every few seconds, at worst
		kgo.RequestTimeoutOverhead(max(p.o.DialTimeout, 100*time.Millisecond)),
		kgo.RetryBackoffFn(func(int) time.Duration { return 250 * time.Millisecond }),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := d.dial(ctx, network, address, config)
			if err != nil {
				return nil, err
			}
			return until(connected, conn), nil
		}),
		kgo.DisableClientMetrics(), // nobody asked for that traffic
		kgo.WithHooks(dials),
	}, p.extra...)
	if !p.o.NoTopicCreation {
		options = append(options, kgo.AllowAutoTopicCreation())
	}
	if p.login != nil {
		options = append(options, kgo.SASL(p.login))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		hangUp()
		return err
	}
	p.client, p.hangUp, p.dials = client, hangUp, dials
	defer func() {
		if err != nil {
			p.drop()
		}
	}()
	// Of the seeds one is asked after the other. Each but the last has its time to
	// be dialled and its time to answer.
	limit := time.Duration(2*len(p.target.brokers)-1) * p.o.DialTimeout
	return p.within(ctx, limit, func(ctx context.Context) error {
		err := client.Ping(ctx)
		if cause := dials.failure(); err != nil && cause != nil {
			return cause
		}
		return err
	})
}

// within calls do, and closes the connections when it takes longer than it may
// or ctx is done: a client that waits for an answer does not always heed its
// context.
func (p *producer) within(ctx context.Context, limit time.Duration, do func(ctx context.Context) error) error {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	stop := context.AfterFunc(limited, p.hangUp)
	err := do(limited)
	switch {
	case stop():
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("no answer within %v", limit)
}

// drop gives the client up.
func (p *producer) drop() {
	if p.client != nil {
		p.hangUp()
		p.client.Close()
		p.client = nil
	}
}
