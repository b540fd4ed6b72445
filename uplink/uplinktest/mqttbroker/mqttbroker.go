// Package mqttbroker is an embedded MQTT broker for tests and the lab.
package mqttbroker

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"milepost/uplink/uplinktest/loopback"
)

// Message is what a client has published.
type Message struct {
	Topic    string
	Payload  []byte
	Received time.Time
}

// Broker is a broker that keeps what it receives. It is safe for concurrent
// use.
type Broker struct {
	mu       sync.Mutex
	server   *mochi.Server
	addr     string
	rules    *auth.Ledger
	messages []Message
}

// Start makes a broker at addr; an empty one is a free port of the loopback
// interface.
func Start(addr string) (*Broker, error) {
	if addr == "" {
		var err error
		if addr, err = loopback.Address(); err != nil {
			return nil, fmt.Errorf("mqtt broker: %w", err)
		}
	}
	b := &Broker{addr: addr, rules: &auth.Ledger{Auth: auth.AuthRules{{Allow: true}}}}
	return b, b.Restart()
}

// Require lets only those in who have these credentials.
func (b *Broker) Require(username, password string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rules.Auth = auth.AuthRules{{Username: auth.RString(username), Password: auth.RString(password), Allow: true}}
}

// Addr is the address to connect to; it survives a Restart.
func (b *Broker) Addr() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.addr
}

// Stop disconnects everybody and refuses connections. What was received is kept.
func (b *Broker) Stop() error {
	b.mu.Lock()
	server := b.server
	b.server = nil
	b.mu.Unlock()
	if server == nil {
		return nil
	}
	return server.Close()
}

// Restart starts the broker at the address where it was.
func (b *Broker) Restart() error {
	if err := b.Stop(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	server := mochi.New(&mochi.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err := server.AddHook(new(auth.Hook), &auth.Options{Ledger: b.rules}); err != nil {
		return fmt.Errorf("mqtt broker: %w", err)
	}
	tcp := listeners.NewTCP(listeners.Config{ID: "tcp", Address: b.addr})
	if err := server.AddListener(tcp); err != nil {
		return fmt.Errorf("mqtt broker: %w", err)
	}
	if err := server.AddHook(&receiver{broker: b}, nil); err != nil {
		return fmt.Errorf("mqtt broker: %w", err)
	}
	if err := server.Serve(); err != nil {
		return fmt.Errorf("mqtt broker: %w", err)
	}
	b.server, b.addr = server, tcp.Address()
	return nil
}

// receiver is the broker's hook for what clients publish. It is called before
// the message is acknowledged; subscribers get it later than that.
type receiver struct {
	mochi.HookBase
	broker *Broker
}

// ID implements mochi.Hook.
func (*receiver) ID() string { return "receiver" }

// Provides implements mochi.Hook.
func (*receiver) Provides(b byte) bool { return b == mochi.OnPublish }

// OnPublish implements mochi.Hook.
func (r *receiver) OnPublish(_ *mochi.Client, p packets.Packet) (packets.Packet, error) {
	r.broker.mu.Lock()
	defer r.broker.mu.Unlock()
	r.broker.messages = append(r.broker.messages, Message{p.TopicName, slices.Clone(p.Payload), time.Now()})
	return p, nil
}

// Messages is what was received so far, in order, repeats included.
func (b *Broker) Messages() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.messages)
}
