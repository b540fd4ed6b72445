package kafka_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/kafka"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/kafkabroker"
	"milepost/uplink/uplinktest/kafkaserver"
	"milepost/uplink/uplinktest/ratio"
)

// BenchmarkDrain empties a spool into Kafka, and lets the client alone send the
// same bytes with the same options, from memory and ready-made: what it costs to
// read, decode and encode them is the difference. The ratio is of their speeds,
// the median of pairs. With MILEPOST_KAFKA=1 the broker is a real one, too.
func BenchmarkDrain(b *testing.B) {
	fake, err := kafkabroker.Start(kafkabroker.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer fake.Stop()
	brokers := []struct{ name, address string }{{"kfake", fake.Addr()}}
	if os.Getenv("MILEPOST_KAFKA") != "" {
		server, err := kafkaserver.Start(b.Context(), kafkaserver.Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		defer server.Kill()
		brokers = append(brokers, struct{ name, address string }{"kafka", server.Addr()})
	}
	const rounds = 5
	topics := 0
	dir, records := fillSpool(b)
	for _, broker := range brokers {
		for _, encoding := range []uplink.Encoding{uplink.JSON, uplink.Protobuf} {
			for _, codec := range []string{"none", "lz4", "zstd"} {
				b.Run(fmt.Sprintf("%s/%v/%s", broker.name, encoding, codec), func(b *testing.B) {
					messages := ready(b, dir, encoding)
					var wall, cpu []float64
					var costs [2]cost
					ways := []func(topic string) cost{
						func(topic string) cost {
							return drain(b, dir, kafka.Options{URL: "kafka://" + broker.address + "/" + topic, Encoding: encoding, Compression: codec})
						},
						func(topic string) cost { return bareLoop(b, broker.address, topic, codec, messages) },
					}
					for b.Loop() {
						for range rounds {
							for _, k := range rand.Perm(2) {
								topics++
								runtime.GC() // each cleans up behind itself
								costs[k] = ways[k](fmt.Sprintf("drain-%d", topics))
							}
							wall = append(wall, costs[1].wall.Seconds()/costs[0].wall.Seconds())
							cpu = append(cpu, costs[1].cpu.Seconds()/max(costs[0].cpu.Seconds(), 1e-9))
						}
					}
					ratio.Report(b, "of a bare franz-go loop", wall, ratio.AtLeast(.8))
					ratio.Report(b, "of its CPU, the broker's included", cpu, ratio.None())
					b.ReportMetric(float64(records)/costs[0].wall.Seconds(), "rec/s")
					b.ReportMetric(0, "ns/op")
				})
			}
		}
	}
}

// cost is what a run takes.
type cost struct{ wall, cpu time.Duration }

// fillSpool makes a spool as a gateway leaves it: batches of windows.
func fillSpool(b *testing.B) (dir string, records int) {
	b.Helper()
	dir = b.TempDir()
	queue, err := spool.Open(dir, spool.Options{Sync: spool.SyncNever})
	if err != nil {
		b.Fatal(err)
	}
	defer queue.Close()
	var groups []*aggregate.Group
	for i := range 60 {
		g := &aggregate.Group{Bus: "can0", ID: uint32(0x100 + i), HasID: true, Name: "MESSAGE_" + strconv.Itoa(i)}
		for j := range 5 {
			g.Series = append(g.Series, aggregate.Series{Name: fmt.Sprintf("Signal_%d_%d", i, j), Unit: "km/h", Bits: 16, Factor: 0.01, Offset: -20})
		}
		groups = append(groups, g)
	}
	encoder := uplink.NewBatchEncoder("van-17", uplinktest.Boot, 1)
	var folder aggregate.ColumnFolder
	state := uint64(1)
	for second := range int64(500) {
		w := aggregate.NewWindow(second*1e9, 1e9, 0)
		for i, g := range groups {
			summaries := w.AddGroup(g)
			for j := range g.Series {
				var c aggregate.Column
				value := int64(i*1000 + j*100)
				for range 10 + i%3*20 {
					if state = state*6364136223846793005 + 1442695040888963407; j > 1 { // the others stay as they are
						value += int64(state>>60) - 8
					}
					c.Values, c.Weights = append(c.Values, value), append(c.Weights, 1)
				}
				folder.Fold(&g.Series[j], c, w, &summaries[j])
			}
		}
		records += encoder.Add(w)
		if encoder.Size() >= 128<<10 {
			if _, err := queue.Append(encoder.Take()); err != nil {
				b.Fatal(err)
			}
		}
	}
	if batch := encoder.Take(); batch != nil {
		if _, err := queue.Append(batch); err != nil {
			b.Fatal(err)
		}
	}
	return dir, records
}

// drain forwards all of a spool.
func drain(b *testing.B, dir string, o kafka.Options) cost {
	b.Helper()
	queue, err := spool.Open(dir, spool.Options{Sync: spool.SyncNever})
	if err != nil {
		b.Fatal(err)
	}
	defer queue.Close()
	if err := queue.End(); err != nil {
		b.Fatal(err)
	}
	const name = "drain"
	if err := queue.RemoveCursor(name); err != nil {
		b.Fatal(err)
	}
	if _, err := queue.Cursor("keep", spool.Oldest); err != nil { // what is delivered is for the next round, too
		b.Fatal(err)
	}
	cursor, err := queue.Cursor(name, spool.Oldest)
	if err != nil {
		b.Fatal(err)
	}
	defer cursor.Close()
	sink, err := kafka.New(o)
	if err != nil {
		b.Fatal(err)
	}
	defer sink.Close()
	if err := sink.Send(b.Context(), uplinktest.Records(1, 1)); err != nil { // the topic is made, and the connection
		b.Fatal(err)
	}
	forwarder := uplink.NewForwarder(cursor, sink, uplink.ForwarderOptions{Decode: new(uplink.BatchDecoder).Decode})
	start, cpu := time.Now(), processorTime()
	if err := forwarder.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	return cost{time.Since(start), processorTime() - cpu}
}

// ready makes all messages of a spool.
func ready(b *testing.B, dir string, encoding uplink.Encoding) (messages []kgo.Record) {
	b.Helper()
	queue, err := spool.Open(dir, spool.Options{Sync: spool.SyncNever})
	if err != nil {
		b.Fatal(err)
	}
	defer queue.Close()
	if err := queue.End(); err != nil {
		b.Fatal(err)
	}
	cursor, err := queue.Cursor("keep", spool.Oldest)
	if err != nil {
		b.Fatal(err)
	}
	defer cursor.Close()
	contentType, decoder := "application/json", new(uplink.BatchDecoder)
	if encoding == uplink.Protobuf {
		contentType = "application/x-protobuf"
	}
	for {
		entry, err := cursor.TryNext(nil)
		if err == spool.ErrEnd {
			return messages
		}
		if err != nil {
			b.Fatal(err)
		}
		records, err := decoder.Decode(entry.Payload, nil)
		if err != nil {
			b.Fatal(err)
		}
		for i := range records {
			r := &records[i]
			messages = append(messages, kgo.Record{
				Key: []byte(r.Device), Value: encoding.AppendOne(nil, r),
				Headers: []kgo.RecordHeader{
					{Key: "boot", Value: r.Boot.AppendString(nil)}, {Key: "seq", Value: strconv.AppendUint(nil, r.Sequence, 10)},
					{Key: "content-type", Value: []byte(contentType)}, {Key: "schema", Value: []byte("milepost.v1.Record")},
				},
			})
		}
	}
}

// bareLoop produces messages as fast as the client takes them.
func bareLoop(b *testing.B, address, topic, codec string, messages []kgo.Record) cost {
	b.Helper()
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(address), kgo.DefaultProduceTopic(topic), kgo.AllowAutoTopicCreation(),
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(codecs[codec]), kgo.MaxBufferedBytes(8<<20),
	)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	warm := messages[0]
	if err := client.ProduceSync(b.Context(), &warm).FirstErr(); err != nil {
		b.Fatal(err)
	}
	records := slices.Clone(messages) // a record keeps the marks of its delivery
	var left sync.WaitGroup
	left.Add(len(records))
	failed := make(chan error, 1)
	start, cpu := time.Now(), processorTime()
	for i := range records {
		client.Produce(context.Background(), &records[i], func(_ *kgo.Record, err error) {
			if err != nil {
				select {
				case failed <- err:
				default:
				}
			}
			left.Done()
		})
	}
	left.Wait()
	c := cost{time.Since(start), processorTime() - cpu}
	select {
	case err := <-failed:
		b.Fatal(err)
	default:
	}
	return c
}
