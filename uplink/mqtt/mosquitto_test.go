package mqtt_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"milepost/uplink"
	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/proxy"
)

// mosquitto runs the contract against a mosquitto; a subscriber tells what it
// has received.
func mosquitto(t *testing.T, path string) {
	uplinktest.TestSink(t, func(t *testing.T) uplinktest.Harness {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := listener.Addr().(*net.TCPAddr)
		listener.Close()
		conf := filepath.Join(t.TempDir(), "mosquitto.conf")
		if err := os.WriteFile(conf, fmt.Appendf(nil, "listener %d 127.0.0.1\nallow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0\n", addr.Port), 0o644); err != nil {
			t.Fatal(err)
		}
		broker := exec.Command(path, "-c", conf)
		if err := broker.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			broker.Process.Kill()
			broker.Wait()
		})
		waitFor(t, addr.String())

		var mu sync.Mutex
		var records []uplink.Record
		arrived := make(chan struct{}, 1)
		subscriber := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr.String()).SetClientID("subscriber").SetOrderMatters(true))
		if token := subscriber.Connect(); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}
		t.Cleanup(func() { subscriber.Disconnect(100) })
		if token := subscriber.Subscribe("milepost/#", 1, func(_ paho.Client, m paho.Message) {
			mu.Lock()
			defer mu.Unlock()
			if string(m.Payload()) != "marker" {
				records = append(records, decode(t, mqtt.Options{}, m.Payload())...)
				return
			}
			arrived <- struct{}{}
		}); token.Wait() && token.Error() != nil {
			t.Fatal(token.Error())
		}

		link, err := proxy.Start(addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { link.Close() })
		sink, err := mqtt.New(mqtt.Options{URL: "mqtt://" + link.Addr(), MaxPayload: 4000, DialTimeout: 2 * time.Second, AckTimeout: 2 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return uplinktest.Harness{
			Sink:    sink,
			Address: link.Addr(),
			Received: func() []uplink.Record {
				// What was published before the marker is delivered before it.
				subscriber.Publish("milepost/marker", 1, false, "marker")
				select {
				case <-arrived:
				case <-time.After(10 * time.Second):
					t.Error("mosquitto does not deliver")
				}
				mu.Lock()
				defer mu.Unlock()
				return append([]uplink.Record(nil), records...)
			},
			Break: link.Cut, Heal: link.Heal, BreakAfter: link.CutAfter, Stall: link.Stall,
			Goroutines: []string{"milepost/uplink/mqtt."},
		}
	})
}

func waitFor(t *testing.T, addr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err == nil {
			conn.Close()
			return
		}
		if ctx.Err() != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
