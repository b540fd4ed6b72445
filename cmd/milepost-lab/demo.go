package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"milepost/aggregate"
	"milepost/can/cantest"
	"milepost/can/dbc"
	"milepost/cmd/internal/gateway"
	"milepost/uplink/mqtt"
	"milepost/uplink/spool"
	"milepost/uplink/uplinktest/proxy"
)

const demoHelp = `usage: milepost-lab demo [--keep DIR] [--duration 20m] [--seed N]

Records the drive of a simulated vehicle, replays the log through milepost's
pipeline to an MQTT broker whose link is cut for a third of the drive, and checks
record by record what arrived. Needs no network, no hardware and no configuration.

  --keep DIR       leave the log, its DBC file and what was delivered in DIR
  --duration 20m   how long the drive is, at least 1m
  --seed N         another number, another drive

example:
  milepost-lab demo --keep ./demo
`

// The files of a demo.
const (
	demoLog       = "drive.log"
	demoDBC       = "demo.dbc"
	demoDelivered = "delivered.jsonl"
	demoSpool     = "spool"
)

const demoDevice = "demo-vehicle"

// The back-off of the demo's forwarder. The outage is minutes of the drive, but
// only an instant of the replay.
const (
	minBackoff = 20 * time.Millisecond
	maxBackoff = 200 * time.Millisecond
	giveUp     = 20 * time.Second
)

// minDuration is the shortest drive in which an outage of a third is felt.
const minDuration = time.Minute

// demo is one run of the command.
type demo struct {
	out      io.Writer
	dir      string
	kept     bool
	duration time.Duration
	seed     uint64

	recording recording
	result    gateway.ReplayResult
	account   *account
	outage    outage
	messages  uint64 // that arrived at the broker
	// replayed is when the replay began, summarised when its last window was.
	replayed, summarised time.Time
	checker              *checker
}

func runDemo(ctx context.Context, inv *invocation, args []string) (err error) {
	d := &demo{out: inv.stdout}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&d.dir, "keep", "", "")
	flags.DurationVar(&d.duration, "duration", cantest.DefaultDuration, "")
	flags.Uint64Var(&d.seed, "seed", 0, "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(inv.stdout, demoHelp)
		return err
	} else if err != nil {
		return usagef("%v", err)
	}
	if flags.NArg() > 0 {
		return usagef("what is %q?", flags.Arg(0))
	}
	if d.duration < minDuration {
		return usagef("--duration %v: the drive has to be at least %v long", d.duration, minDuration)
	}
	if d.kept = d.dir != ""; d.kept {
		if err := makeEmpty(d.dir); err != nil {
			return err
		}
	} else {
		if d.dir, err = os.MkdirTemp("", "milepost-demo-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(d.dir)) }()
	}
	return d.run(ctx)
}

// makeEmpty makes a folder, or sees to it that there is nothing in it.
func makeEmpty(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err == nil && len(entries) > 0 {
		err = fmt.Errorf("--keep %s: the folder is not empty; give it one of its own", dir)
	}
	return err
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// run takes the steps and tells of each. It returns an error if the check finds
// anything.
func (d *demo) run(ctx context.Context) error {
	start := time.Now()
	step := func(do func() error, tell func(took time.Duration)) error {
		begun := time.Now()
		err := do()
		if ctx.Err() != nil {
			return fmt.Errorf("interrupted: %w", context.Cause(ctx))
		}
		if err == nil {
			tell(time.Since(begun))
		}
		return err
	}
	if err := step(func() error { return d.drive(ctx) }, d.tellDrive); err != nil {
		return err
	}
	if err := step(func() error { return d.replay(ctx) }, d.tellReplay); err != nil {
		return err
	}
	if err := step(func() error { return d.check(ctx) }, d.tellCheck); err != nil {
		return err
	}
	d.tellSample()
	return d.tellVerdict(time.Since(start))
}

func (d *demo) drive(ctx context.Context) (err error) {
	if err := os.WriteFile(d.path(demoDBC), cantest.DemoDBC(), 0o666); err != nil {
		return err
	}
	d.recording, err = record(ctx, d.path(demoLog), cantest.DriveOptions{Duration: d.duration, Seed: d.seed})
	return err
}

// replay does what milepost replay does with the log, with a broker to deliver
// to and a link that breaks.
func (d *demo) replay(ctx context.Context) (err error) {
	var problems []error
	bindings, err := gateway.Databases{"": {d.path(demoDBC)}}.Bind(dbc.Options{}, func(p dbc.Problem) {
		problems = append(problems, errors.New(p.String()))
	})
	if err = errors.Join(append(problems, err)...); err != nil {
		return err
	}
	broker, err := startBroker(d.path(demoDelivered))
	if err != nil {
		return err
	}
	defer func() {
		messages, closeErr := broker.close()
		d.messages, err = messages, errors.Join(err, closeErr)
	}()
	link, err := proxy.Start(broker.addr)
	if err != nil {
		return err
	}
	defer link.Close()
	mqttSink, err := mqtt.New(mqtt.Options{URL: "mqtt://" + link.Addr()})
	if err != nil {
		return err
	}
	sink := watch(mqttSink)

	third := int64(d.duration / 3)
	d.outage = outage{link: link, sink: sink, from: d.recording.start.UnixNano() + third, to: d.recording.start.UnixNano() + 2*third}
	d.account = newAccount(d.recording.recordsAtMost())
	options := gateway.DefaultOptions()
	options.Workers = runtime.GOMAXPROCS(0)
	replay := &gateway.Replay{
		Options: options, Bindings: bindings, Logs: []string{d.path(demoLog)},
		Device:   demoDevice,
		SpoolDir: d.path(demoSpool), Spool: spool.Options{Sync: time.Second},
		Span: 5 * time.Second, // small entries, so that the link has something to cut
		Targets: func(gateway.TargetOptions, func(string) []byte) ([]gateway.Target, error) {
			return []gateway.Target{{Name: "mqtt", Sink: sink, GiveUp: giveUp, MinBackoff: minBackoff, MaxBackoff: maxBackoff}}, nil
		},
		Watch: func(w *aggregate.Window) {
			d.outage.reached(ctx, w.Start, uint64(len(d.account.entries)))
			d.account.add(w)
			d.summarised = time.Now()
		},
	}
	d.replayed = time.Now()
	d.result, err = replay.Run(ctx)
	return err
}

// check compares what arrived with what was summarised and with what the vehicle
// sent.
func (d *demo) check(ctx context.Context) error {
	delivered, err := os.Open(d.path(demoDelivered))
	if err != nil {
		return err
	}
	defer delivered.Close()
	defer context.AfterFunc(ctx, func() { delivered.Close() })() // ends the reading
	d.checker = newChecker(d.account, demoDevice, d.result.Boot)
	if err := d.checker.read(delivered); err != nil {
		return err
	}
	d.checker.compareSent(d.recording.vehicle)
	d.checker.compareLedger(d.recording.vehicle, &d.result.Ledger)
	return nil
}
