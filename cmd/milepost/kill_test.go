package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"milepost/uplink/uplinktest/kafkabroker"
	"milepost/uplink/uplinktest/mqttbroker"
)

// receiver is a broker that a replay delivers to.
type receiver interface {
	// to is the argument of --to.
	to() string
	// lines is what it has received, a record each, in order, copies included.
	lines(t *testing.T) []string
}

type mqttReceiver struct{ *mqttbroker.Broker }

func startMQTT(t *testing.T) receiver {
	b, err := mqttbroker.Start("")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop() })
	return mqttReceiver{b}
}

func (r mqttReceiver) to() string { return "mqtt://" + r.Addr() }

func (r mqttReceiver) lines(*testing.T) (lines []string) {
	for _, m := range r.Messages() {
		lines = append(lines, strings.Split(strings.TrimSuffix(string(m.Payload), "\n"), "\n")...)
	}
	return lines
}

type kafkaReceiver struct{ *kafkabroker.Broker }

func startKafka(t *testing.T) receiver {
	b, err := kafkabroker.Start(kafkabroker.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop() })
	return kafkaReceiver{b}
}

func (r kafkaReceiver) to() string { return "kafka://" + r.Addr() + "/drive" }

func (r kafkaReceiver) lines(t *testing.T) (lines []string) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	messages, err := r.Messages(ctx, "drive")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		lines = append(lines, string(m.Value))
	}
	return lines
}

// TestKillAndResume kills replays at random instants and resumes them. What
// arrives is what an undisturbed replay delivers: no record is missing, and the
// copies of one are identical.
func TestKillAndResume(t *testing.T) {
	kills := 25
	if testing.Short() {
		kills = 5
	}
	classes := writeFile(t, t.TempDir(), "milepost.yaml", "priorities: [{signal: \"B*\", priority: high}, {message: \"[L-Z]*\", priority: low}]\ndedup: {exception: {enabled: false}}\n")
	for name, c := range map[string]struct {
		begin func(*testing.T) receiver
		args  []string
	}{
		"mqtt": {startMQTT, nil}, "kafka": {startKafka, nil}, "classes": {startMQTT, []string{"--config", classes}},
	} {
		begin := c.begin
		t.Run(name, func(t *testing.T) {
			var total killCounts
			var whole time.Duration // that an undisturbed replay takes
			for replay := 0; total.kills < kills; replay++ {
				if replay > 3*kills {
					t.Fatalf("only %d of %d processes were killed before they were done", total.kills, total.processes)
				}
				k := killable{receiver: begin(t), args: c.args, device: fmt.Sprintf("%s-%d", name, replay)}
				if replay == 0 {
					whole = k.time(t)
				} else {
					const most = 5 // before it is left in peace
					k.kill(t, &whole, min(most, kills-total.kills))
				}
				k.check(t)
				total.add(k.counts)
			}
			t.Logf("undisturbed %v; %+v", whole.Round(time.Millisecond), total)
		})
	}
}

// killCounts says how a test went.
type killCounts struct{ kills, processes, records, copies int }

func (c *killCounts) add(o killCounts) {
	c.kills += o.kills
	c.processes += o.processes
	c.records += o.records
	c.copies += o.copies
}

// killable is one replay, of as many processes as it takes.
type killable struct {
	receiver receiver
	args     []string
	device   string // each has its own, and so a boot ID of its own
	dir      string // of the spool
	counts   killCounts
}

// run starts a process that goes on with the replay.
func (k *killable) run(t *testing.T) (wait func() int, kill func()) {
	if k.dir == "" {
		k.dir = filepath.Join(t.TempDir(), "spool")
	}
	log, database := longDrive(t)
	command, _, stderr := process(t, append([]string{"replay", "--dbc", database, "--device", k.device,
		"--to", k.receiver.to(), "--spool", k.dir, "--resume", log}, k.args...)...)
	start(t, command)
	k.counts.processes++
	return func() int {
		code := exitCode(t, command)
		if code > exitDone { // below: killed
			t.Fatalf("exit code %d: %s", code, stderr)
		}
		return code
	}, func() { command.Process.Kill() }
}

// time measures how long it takes.
func (k *killable) time(t *testing.T) time.Duration {
	begin := time.Now()
	wait, _ := k.run(t)
	wait()
	return time.Since(begin)
}

// kill kills it at most so many times, and lets it come to its end.
func (k *killable) kill(t *testing.T, whole *time.Duration, most int) {
	for k.counts.kills < most {
		wait, kill := k.run(t)
		// Where in its work the process is by then is chance; that it is all over
		// the replay is what matters.
		time.Sleep(rand.N(*whole))
		kill()
		if wait() == exitDone { // killed too late: the machine is less busy than it was
			*whole = *whole*4/5 + time.Millisecond
			return
		}
		k.counts.kills++
	}
	wait, _ := k.run(t)
	wait()
}

// check compares what has arrived with an undisturbed replay, record by record.
func (k *killable) check(t *testing.T) {
	t.Helper()
	log, database := longDrive(t)
	undisturbed := milepost(nil, append([]string{"replay", "--dbc", database, "--device", k.device, "--to", "jsonl", "--quiet", log}, k.args...)...)
	if undisturbed.code != exitDone {
		t.Fatal(undisturbed.stderr)
	}
	lines := strings.Split(strings.TrimSuffix(undisturbed.stdout, "\n"), "\n")
	want := make([]string, len(lines)) // by sequence: the order of classes is another
	for _, line := range lines {
		want[recordKey(t, line).Sequence-1] = line
	}
	boot := recordKey(t, want[0]).Boot
	arrived := make([]bool, len(want))
	for _, line := range k.receiver.lines(t) {
		key := recordKey(t, line)
		if key.Device != k.device || key.Boot != boot || key.Sequence < 1 || key.Sequence > len(want) {
			t.Fatalf("%+v is not of this replay: %s of %d records", key, boot, len(want))
		}
		if line != want[key.Sequence-1] {
			t.Fatalf("record %d is\n%s, want\n%s", key.Sequence, line, want[key.Sequence-1])
		}
		if arrived[key.Sequence-1] {
			k.counts.copies++
		} else {
			k.counts.records++
		}
		arrived[key.Sequence-1] = true
	}
	if missing := len(want) - k.counts.records; missing > 0 {
		t.Fatalf("%d of %d records are missing after %d kills, the first is %d", missing, len(want), k.counts.kills, slices.Index(arrived, false)+1)
	}
}

// TestKillIntoFile kills replays into files: a file that was begun is gone on
// with at the right byte, one of the configuration behind what it held before.
func TestKillIntoFile(t *testing.T) {
	log, database := longDrive(t)
	csv := milepost(nil, "replay", "--dbc", database, "--to", "csv", "--quiet", log).stdout
	jsonl := milepost(nil, "replay", "--dbc", database, "--device", "car", "--to", "jsonl", "--quiet", log).stdout
	const before = "{\"seq\":0}\n"
	for name, c := range map[string]struct {
		file string
		args []string
		want string
	}{
		"flags":  {"drive.csv", []string{"--to", "csv", "-o", "drive.csv"}, csv},
		"config": {"drive.jsonl", []string{"--config", "milepost.yaml"}, before + jsonl},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir, "milepost.yaml", "device: car\ndedup: {exception: {enabled: false}}\nsinks:\n  - {name: archive, type: file, path: drive.jsonl, format: jsonl}\n")
			writeFile(t, dir, "drive.jsonl", before)
			args := append([]string{"replay", "--dbc", database, "--spool", "spool", "--resume", log}, c.args...)
			whole := 200 * time.Millisecond
			for kills := 0; ; kills++ {
				command, _, stderr := process(t, args...)
				command.Dir = dir
				start(t, command)
				if kills < 5 {
					time.Sleep(rand.N(whole))
					command.Process.Kill()
				}
				code := exitCode(t, command)
				if code > exitDone {
					t.Fatalf("exit code %d: %s", code, stderr)
				}
				if code == exitDone {
					break
				}
			}
			if got := readFile(t, dir, c.file); got != c.want {
				t.Errorf("the file has %d bytes, want %d; they are equal up to byte %d", len(got), len(c.want), commonPrefix(got, c.want))
			}
		})
	}
}

func commonPrefix(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// jsonKey is what makes a record unique.
type jsonKey struct {
	Device   string `json:"device"`
	Boot     string `json:"boot"`
	Sequence int    `json:"seq"`
}

func recordKey(t *testing.T, line string) (key jsonKey) {
	t.Helper()
	if err := json.Unmarshal([]byte(line), &key); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	return key
}
