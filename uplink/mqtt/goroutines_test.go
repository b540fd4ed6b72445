package mqtt_test

import (
	"context"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/mqttbroker"
)

// silence accepts connections and says nothing.
func silence(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns []net.Conn
	var accepting sync.WaitGroup
	accepting.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			conns = append(conns, conn)
		}
	})
	t.Cleanup(func() {
		listener.Close()
		accepting.Wait()
		for _, conn := range conns {
			conn.Close()
		}
	})
	return listener.Addr().String()
}

// TestGoroutines: whatever has happened to a connection, nothing of it runs
// after Close. It looks at the whole process, so that nothing runs beside it.
func TestGoroutines(t *testing.T) {
	quick := mqtt.Options{DialTimeout: 100 * time.Millisecond, AckTimeout: 100 * time.Millisecond, Latest: mqtt.Latest{Topic: twinTopic},
		Presence: mqtt.Presence{Topic: "state", Device: uplinktest.Device}}
	fails := func(t *testing.T, ctx context.Context, url string) *mqtt.Sink {
		o := quick
		o.URL = url
		sink := newSink(t, o)
		for range 2 {
			start := time.Now()
			if err := sink.Send(ctx, uplinktest.Records(1, 1000)); err == nil {
				t.Error("Send succeeds")
			}
			if d := time.Since(start); d > patience {
				t.Errorf("Send takes %v", d)
			}
		}
		return sink
	}
	for _, c := range []struct {
		name string
		run  func(t *testing.T) *mqtt.Sink
	}{
		{"never connected", func(t *testing.T) *mqtt.Sink { return newSink(t, mqtt.Options{URL: "mqtt://127.0.0.1:1"}) }},
		{"refused", func(t *testing.T) *mqtt.Sink { return fails(t, t.Context(), "mqtt://127.0.0.1:1") }},
		{"CONNECT is not answered", func(t *testing.T) *mqtt.Sink { return fails(t, t.Context(), "mqtt://"+silence(t)) }},
		{"TLS is not answered", func(t *testing.T) *mqtt.Sink { return fails(t, t.Context(), "mqtts://"+silence(t)) }},
		{"a WebSocket is not answered", func(t *testing.T) *mqtt.Sink { return fails(t, t.Context(), "ws://"+silence(t)) }},
		{"TLS below a WebSocket is not answered", func(t *testing.T) *mqtt.Sink { return fails(t, t.Context(), "wss://"+silence(t)) }},
		{"cancelled while it is not answered", func(t *testing.T) *mqtt.Sink {
			ctx, cancel := context.WithCancel(t.Context())
			o := quick
			o.URL, o.DialTimeout = "wss://"+silence(t), time.Hour
			sink := newSink(t, o)
			result := make(chan error, 1)
			go func() { result <- sink.Send(ctx, uplinktest.Records(1, 10)) }()
			await(t, "a connection", func() bool { sent, _ := sink.Traffic(); return sent > 0 })
			cancel()
			select {
			case <-result:
			case <-time.After(patience):
				t.Fatal("Send does not return")
			}
			return sink
		}},
		{"silent when it was connected", func(t *testing.T) *mqtt.Sink {
			_, link := start(t)
			o := quick
			o.URL = "mqtt://" + link.Addr()
			o.DialTimeout, o.AckTimeout = patience, patience
			sink := newSink(t, o)
			send(t, sink, uplinktest.Records(1, 10)...)
			link.Stall()
			return sink // whose Close has things to say
		}},
		{"silent with messages in flight", func(t *testing.T) *mqtt.Sink {
			_, link := start(t)
			o := quick
			o.URL = "mqtt://" + link.Addr()
			o.DialTimeout = patience
			sink := newSink(t, o)
			send(t, sink, uplinktest.Records(1, 10)...)
			link.Stall()
			if sink.Send(t.Context(), uplinktest.Records(1, 50_000)) == nil { // more than fits into the sockets
				t.Error("Send succeeds")
			}
			return sink
		}},
		{"the broker ends while nothing is sent", func(t *testing.T) *mqtt.Sink {
			broker, err := mqttbroker.Start("")
			if err != nil {
				t.Fatal(err)
			}
			sink := newSink(t, mqtt.Options{URL: "mqtt://" + broker.Addr()})
			send(t, sink, uplinktest.Records(1, 10)...)
			if err := broker.Stop(); err != nil {
				t.Fatal(err)
			}
			return sink
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			sink := c.run(t)
			if err := sink.Close(); err != nil {
				t.Error(err)
			}
			await(t, "the end of goroutines; left are\n"+running(), func() bool { return running() == "" })
			if err := sink.Close(); err != nil {
				t.Errorf("Close again: %v", err)
			}
		})
	}
}

// running is the stacks of a Sink's goroutines.
func running() string {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	var left []string
	for stack := range strings.SplitSeq(string(stacks), "\n\n") {
		for _, name := range []string{"paho.mqtt.golang.", "milepost/uplink/mqtt.", "gorilla/websocket.(*", "crypto/tls.(*Conn)"} {
			if strings.Contains(stack, name) {
				left = append(left, stack)
				break
			}
		}
	}
	return strings.Join(left, "\n\n")
}
