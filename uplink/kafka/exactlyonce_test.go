package kafka_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"milepost/uplink"
	"milepost/uplink/kafka"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest/kafkabroker"
	"milepost/uplink/uplinktest/kafkaserver"
)

// Environment variables that make the test binary a gateway that forwards what is
// in a spool.
const (
	envSpool  = "MILEPOST_TEST_SPOOL"
	envBroker = "MILEPOST_TEST_BROKER"
	envOnce   = "MILEPOST_TEST_EXACTLY_ONCE"
)

// inGroup is how many records a transaction has.
const inGroup = 200

// TestMain lets the test binary be the program that TestExactlyOnce kills.
func TestMain(m *testing.M) {
	dir := os.Getenv(envSpool)
	if dir == "" {
		os.Exit(m.Run())
	}
	if err := forward(dir, os.Getenv(envBroker), os.Getenv(envOnce) != ""); err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// forward sends what is in a spool. Its cursor is never durable: a gateway whose
// power is cut just before it would have been begins where Kafka says.
func forward(dir, broker string, once bool) error {
	queue, err := spool.Open(dir, spool.Options{Sync: spool.SyncNever})
	if err != nil {
		return err
	}
	if err := queue.End(); err != nil {
		return err
	}
	cursor, err := queue.Cursor("kafka", spool.Oldest)
	if err != nil {
		return err
	}
	o := kafka.Options{URL: "kafka://" + broker, DialTimeout: 2 * time.Second, AckTimeout: 4 * time.Second}
	var sink uplink.Sink
	if once {
		var s *kafka.TransactionalSink
		if s, err = kafka.NewTransactional(o, kafka.TransactionOptions{ID: "milepost-van-kafka", Timeout: 10 * time.Second}); err == nil {
			sink = narrator{s}
		}
	} else {
		var s *kafka.Sink
		if s, err = kafka.New(o); err == nil {
			sink = teller{s}
		}
	}
	if err != nil {
		return err
	}
	return uplink.NewForwarder(cursor, sink, uplink.ForwarderOptions{
		Name: "kafka", Decode: decodeFleet, MaxRecords: inGroup, ExactlyOnce: once,
		MinBackoff: 10 * time.Millisecond, MaxBackoff: 100 * time.Millisecond,
	}).Run(context.Background())
}

// decodeFleet is decodeEntry for the records of three vehicles.
func decodeFleet(payload []byte, dst []uplink.Record) ([]uplink.Record, error) {
	before := len(dst)
	dst, err := decodeEntry(payload, dst)
	for i := before; i < len(dst); i++ {
		dst[i].Device = fmt.Sprintf("van-%d", dst[i].Sequence%3)
	}
	return dst, err
}

// narrator and teller print a line before and after each Send, and wait before it
// for who may kill them: he decides how far they are then.
type narrator struct{ *kafka.TransactionalSink }

func (n narrator) SendAt(ctx context.Context, records []uplink.Record, queue string, position []byte) error {
	announce()
	err := n.TransactionalSink.SendAt(ctx, records, queue, position)
	fmt.Println("sent", err)
	return err
}

type teller struct{ *kafka.Sink }

func (t teller) Send(ctx context.Context, records []uplink.Record) error {
	return t.Begin(ctx, records)()
}

func (t teller) Begin(ctx context.Context, records []uplink.Record) func() error {
	announce()
	wait := t.Sink.Begin(ctx, records)
	return func() error {
		err := wait()
		fmt.Println("sent", err)
		return err
	}
}

// announce waits for a byte, or for the end of input.
func announce() {
	fmt.Println(announced)
	os.Stdin.Read(make([]byte, 1))
}

const announced = "sends"

// killableBroker is a broker that dies and comes back.
type killableBroker interface {
	Kill() error
	Restart(ctx context.Context) error
}

// embedded makes a kfake one of those; as it lives in the process of the test,
// nothing of it can be killed in the middle.
type embedded struct{ *kafkabroker.Broker }

func (b embedded) Kill() error                   { return b.Stop() }
func (b embedded) Restart(context.Context) error { return b.Broker.Restart() }

// killing is a plan: so many records are forwarded by processes of which so many
// are killed, and so often the broker, all at random moments.
type killing struct {
	records       uint64
	kills         int
	brokerKills   int
	broker        killableBroker
	address, read string
	once          bool
}

// run executes the plan and returns how many processes there were.
func (k killing) run(t *testing.T) (processes int) {
	dir := filepath.Join(t.TempDir(), "spool")
	queue, err := spool.Open(dir, spool.Options{Sync: spool.SyncNever, ChapterBytes: 2048})
	if err != nil {
		t.Fatal(err)
	}
	const inEntry = 40
	for first := uint64(1); first <= k.records; first += inEntry {
		if _, err := queue.Append(entry(first, min(inEntry, k.records+1-first), false)); err != nil {
			t.Fatal(err)
		}
	}
	if err := queue.Close(); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	kills, brokerKills := 0, 0
	for {
		processes++
		if processes > 2*k.kills+10 {
			t.Fatalf("after %d processes it is not done", processes)
		}
		p := k.start(t, dir)
		if kills == k.kills {
			if rest, err := p.wait(); err != nil {
				t.Fatalf("the last process: %v\n%s", err, rest)
			}
			return processes
		}
		// There is work for all of them, and something left for the last.
		lines := 2 * int(k.records) / inGroup
		for range random.IntN(lines * 6 / 5 / (k.kills + 1)) {
			if !p.next() {
				t.Fatalf("it was done after %d of %d kills", kills, k.kills)
			}
		}
		if brokerKills < k.brokerKills && (kills+1)*k.brokerKills/k.kills > brokerKills {
			brokerKills++
			time.Sleep(rand.N(20 * time.Millisecond)) // anywhere in a transaction
			if err := k.broker.Kill(); err != nil {
				t.Fatal(err)
			}
			if err := k.broker.Restart(t.Context()); err != nil {
				t.Fatal(err)
			}
			p.next()
		}
		time.Sleep(rand.N(20 * time.Millisecond)) // anywhere in a transaction
		if p.kill() {
			kills++
		}
	}
}

// gateway is a process that forwards.
type gateway struct {
	cmd     *exec.Cmd
	proceed io.WriteCloser
	lines   *bufio.Scanner
}

func (k killing) start(t *testing.T, dir string) *gateway {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envSpool+"="+dir, envBroker+"="+k.address)
	if k.once {
		cmd.Env = append(cmd.Env, envOnce+"=1")
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	proceed, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return &gateway{cmd, proceed, bufio.NewScanner(out)}
}

// next waits for a line, and lets the process send if that is what it is about to
// do. There is no line if the process has ended.
func (g *gateway) next() bool {
	if !g.lines.Scan() {
		return false
	}
	if g.lines.Text() == announced {
		g.proceed.Write([]byte{0}) // unless it is dead by now
	}
	return true
}

// kill kills the process and reports whether it was in time.
func (g *gateway) kill() bool {
	g.cmd.Process.Kill()
	_, err := g.wait()
	return err != nil
}

// wait waits for the process's end and returns what it still said.
func (g *gateway) wait() (rest string, err error) {
	g.proceed.Close()
	var text strings.Builder
	for g.next() {
		fmt.Fprintln(&text, g.lines.Text())
	}
	return text.String(), g.cmd.Wait()
}

// check compares what a read-committed consumer sees with what was in the spool:
// all of it, in order for each vehicle, and how many copies.
func (k killing) check(t *testing.T) (copies int) {
	t.Helper()
	seen := make(map[uint64]bool)
	last := make(map[string]uint64)
	for _, r := range committed(t, k.read, "milepost.records") {
		switch {
		case seen[r.Sequence]:
			copies++
			continue
		case r.Sequence <= last[r.Device]:
			t.Fatalf("%s: record %d after %d", r.Device, r.Sequence, last[r.Device])
		}
		seen[r.Sequence], last[r.Device] = true, r.Sequence
	}
	if uint64(len(seen)) != k.records {
		t.Errorf("%d of %d records are committed", len(seen), k.records)
	}
	return copies
}

// aborted counts the messages that a consumer who does not ask for committed ones
// sees more.
func (k killing) aborted(t *testing.T) int {
	client, err := kgo.NewClient(kgo.SeedBrokers(k.read), kgo.ConsumeTopics("milepost.records"), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	n := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		if errors.Is(fetches.Err0(), context.DeadlineExceeded) {
			return n - int(k.records)
		}
		n += fetches.NumRecords()
	}
}

// TestExactlyOnceReal kills the gateway 50 times, and a real Kafka 10 times.
func TestExactlyOnceReal(t *testing.T) {
	server, _ := startReal(t, kafkaserver.Options{Properties: map[string]string{"num.partitions": "3"}})
	k := killing{
		records: 100_000, kills: 50, brokerKills: 10, once: true,
		broker: server, address: server.Addr(), read: server.AdminAddr(),
	}
	processes := k.run(t)
	if copies := k.check(t); copies > 0 {
		t.Errorf("%d copies", copies)
	}
	t.Logf("%d records through %d processes; %d messages were aborted", k.records, processes, k.aborted(t))
}

// TestExactlyOnce is a shorter one with a Kafka that is none. Without transactions
// the same brings copies, which shows that the test can fail.
func TestExactlyOnce(t *testing.T) {
	for _, once := range []bool{true, false} {
		broker, err := kafkabroker.Start(kafkabroker.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		defer broker.Stop()
		k := killing{
			records: 6000, kills: 8, brokerKills: 2, once: once,
			broker: embedded{broker}, address: broker.Addr(), read: broker.Addr(),
		}
		processes := k.run(t)
		copies := k.check(t)
		if once != (copies == 0) {
			t.Errorf("exactly once %t: %d copies", once, copies)
		}
		t.Logf("exactly once %t: %d records through %d processes, %d copies", once, k.records, processes, copies)
	}
}
