// Package kafkabroker is an embedded Kafka cluster of one node for tests and the
// lab.
package kafkabroker

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"sync"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kversion"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"milepost/uplink/uplinktest/loopback"
)

// Broker is a cluster of one node, which keeps its topics in a directory so
// that they survive a Restart. It is safe for concurrent use.
type Broker struct {
	o       Options
	mu      sync.Mutex
	cluster *kfake.Cluster
	addr    net.Addr // its own
	told    net.Addr // what clients are told to use
}

// Options configure a Broker.
type Options struct {
	// Dir holds the topics. It is required.
	Dir string
	// Port on the loopback interface; 0 is a free one.
	Port int
	// NoAutoCreation makes unknown topics an error.
	NoAutoCreation bool
	// Config is the brokers' dynamic configuration, such as max.message.bytes.
	Config map[string]string
	// TLS, if set, is the broker's side of it.
	TLS *tls.Config
	// Users are names with passwords, who have to log in with SASL PLAIN or SCRAM.
	Users map[string]string
	// Old makes it speak what Kafka 3.0 did, and nothing newer.
	Old bool
}

// Start makes a broker.
func Start(o Options) (*Broker, error) {
	address := fmt.Sprintf("127.0.0.1:%d", o.Port)
	if o.Port == 0 {
		var err error
		if address, err = loopback.Address(); err != nil {
			return nil, fmt.Errorf("kafka broker: %w", err)
		}
	}
	addr, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("kafka broker: %w", err)
	}
	b := &Broker{o: o, addr: addr}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("kafka broker: %w", err)
	}
	return b, b.Restart()
}

// Addr is the address to connect to; it survives a Restart.
func (b *Broker) Addr() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addr.String()
}

// Advertise tells clients from now on to use another address than Addr, such as
// that of a proxy between them and the broker.
func (b *Broker) Advertise(addr string) error {
	told, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return fmt.Errorf("kafka broker: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told = told
	return nil
}

// listener is the broker's, with the address that clients are told.
type listener struct {
	net.Listener
	broker *Broker
}

// Addr implements net.Listener.
func (l *listener) Addr() net.Addr {
	l.broker.mu.Lock()
	defer l.broker.mu.Unlock()
	if l.broker.told != nil {
		return l.broker.told
	}
	return l.Listener.Addr()
}

// Cluster is the cluster itself, for faults and inspection; nil while stopped.
func (b *Broker) Cluster() *kfake.Cluster {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cluster
}

// Stop ends the broker.
func (b *Broker) Stop() error {
	b.mu.Lock()
	cluster := b.cluster
	b.cluster = nil
	b.mu.Unlock()
	if cluster != nil {
		cluster.Close()
	}
	return nil
}

// Restart starts the broker at the port where it was, with what it held.
func (b *Broker) Restart() error {
	b.Stop()
	var own net.Addr
	options := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ListenFn(func(network, _ string) (net.Listener, error) {
			l, err := net.Listen(network, b.Addr())
			if err != nil {
				return nil, err
			}
			own = l.Addr()
			return &listener{l, b}, nil
		}),
		kfake.DefaultNumPartitions(1),
		kfake.DataDir(b.o.Dir),
		kfake.SyncWrites(),
	}
	if !b.o.NoAutoCreation {
		options = append(options, kfake.AllowAutoTopicCreation())
	}
	if b.o.TLS != nil {
		options = append(options, kfake.TLS(b.o.TLS))
	}
	if len(b.o.Users) > 0 {
		options = append(options, kfake.EnableSASL())
		for name, password := range b.o.Users {
			for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
				options = append(options, kfake.Superuser(mechanism, name, password))
			}
		}
	}
	if b.o.Old {
		options = append(options, kfake.MaxVersions(kversion.V3_0_0()))
	}
	if b.o.Config != nil {
		options = append(options, kfake.BrokerConfigs(b.o.Config))
	}
	cluster, err := kfake.NewCluster(options...)
	if err != nil {
		return fmt.Errorf("kafka broker: %w", err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cluster, b.addr = cluster, own
	return nil
}

// Messages reads all of a topic, in the order of its only partition.
func (b *Broker) Messages(ctx context.Context, topic string) ([]*kgo.Record, error) {
	options := []kgo.Opt{
		kgo.SeedBrokers(b.Addr()),
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) { // past any proxy
			if b.o.TLS != nil {
				d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // it is our own, in this process
				return d.DialContext(ctx, network, b.Addr())
			}
			return new(net.Dialer).DialContext(ctx, network, b.Addr())
		}),
		kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(50e6),
	}
	for name, password := range b.o.Users {
		options = append(options, kgo.SASL(plain.Auth{User: name, Pass: password}.AsMechanism()))
		break
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("kafka broker: %w", err)
	}
	defer client.Close()
	cluster := b.Cluster()
	if cluster == nil {
		return nil, fmt.Errorf("kafka broker: it is stopped")
	}
	info := cluster.PartitionInfo(topic, 0)
	if info == nil {
		return nil, nil
	}
	var messages []*kgo.Record
	for next := int64(0); next < info.HighWatermark; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("kafka broker: read %s: %w", topic, err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			messages = append(messages, r)
			next = r.Offset + 1
		})
	}
	return messages, nil
}
