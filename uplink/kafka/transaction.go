package kafka

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"

	"milepost/uplink"
)

// TransactionOptions configure a TransactionalSink. The zero value of a field is
// its default.
type TransactionOptions struct {
	// ID is the transactional ID, by which the brokers know a later process of the
	// same gateway. No two gateways may have the same; "milepost-DEVICE-SINK" is
	// a good one. It is required.
	ID string
	// Group prefixes the names of the consumer groups that hold the positions: a
	// queue's is GROUP.QUEUE (the ID).
	Group string
	// Topic is what positions are attributed to, since they are kept as offsets
	// ("milepost.positions"). It gets no messages but an empty one where a position
	// is committed without records. The gateways of a fleet may share it. It is
	// created, with one partition, unless Options.NoTopicCreation.
	Topic string
	// Timeout is when the brokers abort a transaction that does not end (15 s).
	// While one is open, readers of its partitions wait.
	Timeout time.Duration
}

// TransactionalSink sends records to Kafka topics and commits the position in the
// queue in the same transaction. It implements uplink.Transactional: a
// read-committed consumer sees each record once.
//
// A position is the metadata of an offset of a consumer group, committed with the
// transaction as a stream processor commits what it has read. The offset itself
// counts the records. When Send returns, the commit is durable; consumers see it
// a moment later, when the brokers have marked it in all partitions.
//
// After any error the client is closed, and Position begins with a new one: its
// first request fences the old one and aborts what that one has left open.
type TransactionalSink struct {
	p *producer
	t TransactionOptions

	explicit bool // the brokers want to be told of a group before it commits (until Kafka 4)
	// known is what is committed, by queue, as far as it is known: not while a
	// transaction goes on, nor after it has failed.
	known map[string]progress
	// session counts the clients. Only Position and Send begin one: a sink that did
	// so to commit a position could overtake a process that has overtaken it.
	session int
}

// NewTransactional checks the options and makes a TransactionalSink. It does not
// connect.
func NewTransactional(o Options, t TransactionOptions) (*TransactionalSink, error) {
	if t.ID == "" {
		return nil, errors.New("kafka: exactly-once delivery needs a transactional ID, such as milepost-DEVICE-SINK")
	}
	t.Group = cmp.Or(t.Group, t.ID)
	t.Topic = cmp.Or(t.Topic, "milepost.positions")
	t.Timeout = cmp.Or(t.Timeout, 15*time.Second)
	if topic, err := parseTopic(t.Topic); err != nil || !topic.Constant() {
		return nil, fmt.Errorf("kafka: positions need a topic, and %q cannot be one", t.Topic)
	}
	s := &TransactionalSink{t: t, known: make(map[string]progress)}
	var err error
	if s.p, err = newProducer(o); err != nil {
		return nil, err
	}
	s.options()
	return s, nil
}

// The last versions of requests that the sink knows how to make: later ones name
// topics by ID.
const (
	keyTxnOffsetCommit = 28
	keyOffsetFetch     = 9
)

// options are those of clients that make transactions.
func (s *TransactionalSink) options() {
	versions := kversion.Stable()
	versions.SetMaxKeyVersion(keyOffsetFetch, 9)
	versions.SetMaxKeyVersion(keyTxnOffsetCommit, 5)
	if s.explicit {
		versions.SetMaxKeyVersion(keyTxnOffsetCommit, 4) // 5 implies that the group need not be announced
	}
	s.p.extra = []kgo.Opt{kgo.TransactionalID(s.t.ID), kgo.TransactionTimeout(s.t.Timeout), kgo.MaxVersions(versions)}
}

// String names the brokers and the transactional ID.
func (s *TransactionalSink) String() string {
	return fmt.Sprintf("kafka %s, transactional ID %s", &s.p.target, s.t.ID)
}

// Traffic is Sink.Traffic.
func (s *TransactionalSink) Traffic() (sent, received uint64) { return s.p.wire() }

// Close closes the connections. A transaction that is open is aborted by the
// brokers when its time is over, or by the next Position.
func (s *TransactionalSink) Close() error {
	s.p.close()
	return nil
}

// begin connects and fences every earlier producer of the same ID, whose open
// transaction is aborted with that, unless this was done already.
func (s *TransactionalSink) begin(ctx context.Context) error {
	for tries := 1; s.p.client == nil; tries++ {
		if err := s.p.connect(ctx); err != nil {
			return s.p.unreachable(ctx, err)
		}
		s.session++
		err := s.p.within(ctx, s.p.o.AckTimeout, func(ctx context.Context) error {
			if explicit, err := s.isExplicit(ctx); err != nil {
				return fmt.Errorf("ask for the version of transactions: %w", err)
			} else if explicit != s.explicit { // the client was made for the other kind
				s.explicit = explicit
				s.options()
				if tries > 1 {
					return errors.New("the brokers do not agree on the version of transactions, as in the middle of an upgrade")
				}
				s.p.drop()
				return nil
			}
			if _, _, err := s.p.client.ProducerID(ctx); err != nil {
				return fmt.Errorf("transactional ID %s: %w", s.t.ID, err)
			}
			return s.findTopic(ctx)
		})
		if err != nil {
			return s.fail(ctx, err)
		}
	}
	return nil
}

// isExplicit asks whether the cluster's transactions are of the kind before
// KIP-890, in which a producer announces what it will write to.
func (s *TransactionalSink) isExplicit(ctx context.Context) (bool, error) {
	request := kmsg.NewPtrApiVersionsRequest()
	request.ClientSoftwareName, request.ClientSoftwareVersion = "milepost", "1"
	response, err := request.RequestWith(ctx, s.p.client)
	if err != nil {
		return false, err
	}
	for _, f := range response.FinalizedFeatures {
		if f.Name == "transaction.version" && f.MaxVersionLevel >= 2 {
			return false, nil
		}
	}
	return true, kerr.ErrorForCode(response.ErrorCode)
}

// fail ends what has gone wrong: the next attempt begins with a new client.
func (s *TransactionalSink) fail(ctx context.Context, err error) error {
	cause := s.p.dials.failure()
	s.p.drop()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w; last of all: %w", err, cause)
	}
	return fmt.Errorf("kafka %s: %w%s", &s.p.target, err, nextStep(err))
}

// Position implements uplink.Transactional.
func (s *TransactionalSink) Position(ctx context.Context, queue string) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	progress, err := s.progress(ctx, queue)
	if err != nil {
		return nil, s.fail(ctx, err)
	}
	s.known[queue] = progress
	return progress.position, nil
}

// retry repeats what the brokers say to try again.
func retry(ctx context.Context, do func() error) error {
	for {
		err := do()
		if !kerr.IsRetriable(err) && !errors.Is(err, kerr.ConcurrentTransactions) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// Send implements uplink.Sink: the records are one transaction, without a
// position.
func (s *TransactionalSink) Send(ctx context.Context, records []uplink.Record) error {
	if len(records) == 0 {
		return ctx.Err()
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	return s.transact(ctx, records, "", progress{})
}

// SendAt implements uplink.Transactional.
func (s *TransactionalSink) SendAt(ctx context.Context, records []uplink.Record, queue string, position []byte) error {
	before, ok := s.known[queue]
	if !ok || s.p.client == nil {
		return errors.New("kafka: it is not known what is committed: ask for the position first")
	}
	if len(position) > maxPosition {
		return fmt.Errorf("kafka: a position of %d bytes: at most %d fit", len(position), maxPosition)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	delete(s.known, queue)
	if before.session != s.session { // another queue's Position has begun a new one
		now, err := s.progress(ctx, queue)
		if err == nil && !bytes.Equal(now.position, before.position) {
			err = fmt.Errorf("another process with the transactional ID %s has committed a position of %s", s.t.ID, queue)
		}
		if err != nil {
			return s.fail(ctx, err)
		}
	}
	after := progress{bytes.Clone(position), before.records + int64(len(records)), s.session}
	if after.position == nil {
		after.position = []byte{} // as it will be read
	}
	if err := s.transact(ctx, records, queue, after); err != nil {
		return err
	}
	s.known[queue] = after
	return nil
}

// transact sends records in one transaction, with the progress of a queue if there
// is one.
func (s *TransactionalSink) transact(ctx context.Context, records []uplink.Record, queue string, after progress) error {
	// What takes longer is aborted by the brokers anyway.
	limited, cancel := context.WithTimeoutCause(ctx, s.t.Timeout, fmt.Errorf(
		"the transaction took longer than %v, which is its time limit: send less at once, or allow more time", s.t.Timeout))
	defer cancel()
	client := s.p.client
	if err := client.BeginTransaction(); err != nil {
		return s.fail(ctx, err)
	}
	committed := make(chan error, 1)
	go func() { committed <- s.commitPosition(limited, client, queue, after) }()
	var extra []*kgo.Record
	if len(records) == 0 { // the client ends no transaction in which it has produced nothing
		extra = append(extra, &kgo.Record{Topic: s.t.Topic, Key: []byte(s.t.ID)})
	}
	d, err := s.p.produce(limited, records, extra...)
	if err != nil || len(d.poison) > 0 {
		if err != nil && limited.Err() != nil {
			err = context.Cause(limited)
		}
		return s.notDelivered(ctx, d, err, committed, cancel)
	}
	if err := <-committed; err != nil {
		return s.fail(ctx, fmt.Errorf("commit the position of %s in group %s: %w", queue, s.group(queue), err))
	}
	err = s.p.within(limited, s.t.Timeout, func(ctx context.Context) error {
		return client.EndTransaction(ctx, kgo.TryCommit)
	})
	if err != nil {
		return s.fail(ctx, fmt.Errorf("end the transaction: %w", err))
	}
	return nil
}

// notDelivered gives a transaction up that lacks some of its records.
func (s *TransactionalSink) notDelivered(ctx context.Context, d *delivery, err error, committed <-chan error, cancel func()) error {
	refused := isTooLarge(err) && ctx.Err() == nil && s.p.shrink(ctx, d)
	cancel()
	s.p.drop()
	<-committed
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case refused:
		return fmt.Errorf("kafka %s: topic %s: %w: the transaction is aborted; the next one has batches of at most %d bytes", &s.p.target, d.topic, err, s.p.limit)
	case err != nil:
		return s.p.explain(err, d)
	}
	return s.p.tooLarge(d.poison, 0)
}
