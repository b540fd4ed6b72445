package mqtt_test

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	paho "github.com/eclipse/paho.mqtt.golang"

	"milepost/uplink"
	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/mqttbroker"
	"milepost/uplink/uplinktest/proxy"
	"milepost/uplink/uplinktest/ratio"
)

// link is a proxy of the given round-trip time to a broker in the process.
func benchLink(b *testing.B, roundTrip time.Duration) string {
	b.Helper()
	broker, err := mqttbroker.Start("")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { broker.Stop() })
	if roundTrip == 0 {
		return broker.Addr()
	}
	link, err := proxy.Start(broker.Addr())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { link.Close() })
	link.SetLatency(roundTrip / 2)
	return link.Addr()
}

// publisher is a way to publish n messages with QoS 1 and a window.
type publisher func(b *testing.B, addr string, window int) (run func(n int))

// sinkPublisher is the Sink, a record a message.
func sinkPublisher(b *testing.B, addr string, window int) func(n int) {
	sink, err := mqtt.New(mqtt.Options{URL: "mqtt://" + addr, Window: window, Single: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { sink.Close() })
	records := uplinktest.Records(1, 50_000)
	return func(n int) {
		for n > 0 {
			some := min(n, len(records))
			if err := sink.Send(b.Context(), records[:some]); err != nil {
				b.Fatal(err)
			}
			n -= some
		}
	}
}

// pahoPublisher is a bare loop over paho: each record is encoded, and the oldest
// token waited for when the window is full.
func pahoPublisher(b *testing.B, addr string, window int) func(n int) {
	client := paho.NewClient(paho.NewClientOptions().AddBroker("tcp://" + addr).SetClientID("bare").SetAutoReconnect(false).SetOrderMatters(false))
	if token := client.Connect(); token.Wait() && token.Error() != nil {
		b.Fatal(token.Error())
	}
	b.Cleanup(func() { client.Disconnect(100) })
	records := uplinktest.Records(1, 50_000)
	return func(n int) {
		tokens := make([]paho.Token, 0, n)
		for i := range n {
			if i >= window {
				wait(b, tokens[i-window])
			}
			tokens = append(tokens, client.Publish("milepost/van-17/records", 1, false, uplink.AppendJSON(nil, &records[i%len(records)])))
		}
		for _, token := range tokens[max(0, n-window):] {
			wait(b, token)
		}
	}
}

func wait(b *testing.B, token paho.Token) {
	if token.Wait(); token.Error() != nil {
		b.Fatal(token.Error())
	}
}

// BenchmarkWindow: QoS 1 over a link with a round trip of 50 ms: the part of
// window / round trip that was reached, by the Sink and by a bare loop over paho in
// turns, and the one in terms of the other.
func BenchmarkWindow(b *testing.B) {
	const roundTrip, rounds = 50 * time.Millisecond, 5
	for _, window := range []int{1, 10, 20, 100} {
		b.Run(fmt.Sprint(window), func(b *testing.B) {
			addr := benchLink(b, roundTrip)
			n := 20 * window
			rate := func(p publisher) float64 {
				run := p(b, addr, window)
				run(1) // connects
				start := time.Now()
				run(n)
				return float64(n) / time.Since(start).Seconds()
			}
			var ours, bare, ofBare []float64
			link := float64(window) / roundTrip.Seconds()
			for b.Loop() {
				for range rounds {
					var reached [2]float64
					for _, k := range rand.Perm(2) {
						reached[k] = rate([]publisher{sinkPublisher, pahoPublisher}[k]) / link
					}
					ours, bare, ofBare = append(ours, reached[0]), append(bare, reached[1]), append(ofBare, reached[0]/reached[1])
				}
			}
			ratio.Report(b, "of window / round trip", ours, ratio.AtLeast(.7))
			ratio.Report(b, "the same of a bare paho loop", bare, ratio.None())
			ratio.Report(b, "of a bare paho loop", ofBare, ratio.None())
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkCost: time, processor time (the broker's included, which is the same
// for both) and memory of a message, without a link between.
func BenchmarkCost(b *testing.B) {
	type cost struct{ wall, cpu, allocs, bytes float64 }
	measure := func(b *testing.B, p publisher) (c cost) {
		run := p(b, benchLink(b, 0), 100)
		run(1000)
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		start, used := time.Now(), processorTime()
		const n = 50_000
		run(n)
		c.wall, c.cpu = float64(time.Since(start))/n, float64(processorTime()-used)/n
		runtime.ReadMemStats(&after)
		c.allocs, c.bytes = float64(after.Mallocs-before.Mallocs)/n, float64(after.TotalAlloc-before.TotalAlloc)/n
		return c
	}
	var bare, ours cost
	for b.Loop() {
		c := measure(b, pahoPublisher)
		bare.wall, bare.cpu, bare.allocs, bare.bytes = bare.wall+c.wall, bare.cpu+c.cpu, bare.allocs+c.allocs, bare.bytes+c.bytes
		c = measure(b, sinkPublisher)
		ours.wall, ours.cpu, ours.allocs, ours.bytes = ours.wall+c.wall, ours.cpu+c.cpu, ours.allocs+c.allocs, ours.bytes+c.bytes
	}
	n := float64(b.N)
	b.ReportMetric(ours.wall/n, "ns/message")
	b.ReportMetric(bare.wall/ours.wall, "of_paho_speed")
	b.ReportMetric(ours.cpu/bare.cpu, "of_paho_cpu")
	b.ReportMetric((ours.allocs-bare.allocs)/n, "allocs_beyond_paho")
	b.ReportMetric(ours.allocs/bare.allocs, "of_paho_allocs")
	b.ReportMetric(ours.bytes/bare.bytes, "of_paho_bytes")
	b.ReportMetric(0, "ns/op")
}
