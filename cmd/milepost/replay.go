package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"milepost/cmd/internal/config"
	"milepost/cmd/internal/gateway"
	"milepost/uplink"
	"milepost/uplink/spool"
)

var replayCommand = &command{
	name:    "replay",
	summary: "summarise recorded logs second by second and deliver the summaries",
	usage:   "[--dbc [BUS=]FILE]… [--config FILE] [--to csv|jsonl|mqtt://HOST:PORT|kafka://HOST:PORT|http://HOST/PATH] [-o FILE] … LOG…",
	detail: `
Every signal that the databases know is summarised for each second of the log's
time: count, minimum, maximum, average, sum, first and last value, histogram.
Without --to the result is a table of the signals; otherwise the summaries go
where --to and the configuration's sinks say, through the same spool as on a
vehicle. "-" reads a log from the standard input.

With --spool the records are kept in a folder until they are delivered, and an
interrupted replay goes on with --resume, without a record missing or doubled.`,
	example: `milepost replay --dbc car.dbc drive.log
milepost replay --dbc car.dbc --to csv -o drive.csv drive.log.gz
milepost replay --dbc can0=powertrain.dbc --dbc can1=body.dbc --to mqtt://localhost:1883 --spool ./spool drive.log`,
	run: runReplay,
}

// replayFlags are the flags of milepost replay.
type replayFlags struct {
	databases  databaseFlags
	configPath string
	to, output string
	workers    int
	speed      string
	spoolDir   string
	resume     bool
	device     string
	window     time.Duration
	lateness   time.Duration
	giveUp     time.Duration
	quiet      bool
	given      map[string]bool
}

func (f *replayFlags) declare(flags *flag.FlagSet) {
	f.databases.declare(flags)
	flags.StringVar(&f.configPath, "config", "", "take everything that is not said here from the configuration `FILE`")
	flags.StringVar(&f.to, "to", "", "deliver to `WHERE`: csv, jsonl, mqtt://HOST:PORT[/TOPIC], kafka://HOST:PORT[/TOPIC] or http://HOST[:PORT]/PATH")
	flags.StringVar(&f.output, "o", "", "write csv or jsonl to `FILE` and not to the standard output")
	flags.IntVar(&f.workers, "workers", 0, "read a log with `N` workers (as many as there are processors)")
	flags.StringVar(&f.speed, "speed", "0", "replay at the recorded pace (1) or `N` times it (10, 10x); 0 is as fast as possible")
	flags.StringVar(&f.spoolDir, "spool", "", "keep the records in folder `DIR` until they are delivered")
	flags.BoolVar(&f.resume, "resume", false, "go on with the interrupted replay in the --spool folder")
	flags.StringVar(&f.device, "device", "replay", "the `NAME` of the device in the records")
	flags.DurationVar(&f.window, "window", time.Second, "the length of a window, such as 1s or 100ms; divides an hour evenly")
	flags.DurationVar(&f.lateness, "lateness", time.Second, "how `LONG` a window stays open behind the newest for late frames")
	flags.DurationVar(&f.giveUp, "give-up", 20*time.Second, "give up on a broker that fails for so `LONG`; 0 is never")
	flags.BoolVar(&f.quiet, "quiet", false, "print no progress and no summary")
}

func runReplay(ctx context.Context, inv *invocation, c *command, args []string) error {
	var f replayFlags
	var flags *flag.FlagSet
	logs, err := c.parse(inv, args, func(set *flag.FlagSet) { flags = set; f.declare(set) })
	if err != nil {
		return err
	}
	f.given = make(map[string]bool)
	flags.Visit(func(g *flag.Flag) { f.given[g.Name] = true })
	if len(logs) == 0 {
		return usagef("which LOG?")
	}
	inv.keepHeapSmall()
	if n := slices.Index(logs, "-"); n >= 0 && slices.Contains(logs[n+1:], "-") {
		return usagef("the standard input can be read once only")
	}
	// What is said while the replay runs goes above the line of progress.
	bar := newProgress(inv.stderr, 0)
	if f.quiet {
		bar = newProgress(io.Discard, 0)
	}
	messages := io.Writer(inv.stderr)
	if !f.quiet {
		messages = bar
	}
	replay, err := f.replay(inv, logs, messages)
	if err != nil {
		return err
	}
	problems := &logProblems{w: messages}
	replay.LogOptions.OnProblem = problems.report
	replay.Progress = func(p gateway.Progress) {
		if p.Left > 0 {
			bar.left(p.Left)
			return
		}
		bar.update(p.Done, p.Total, p.Frames, time.Unix(0, p.EventTime).UTC())
	}

	var table *signalTable
	if replay.Targets == nil && !f.quiet {
		table = newSignalTable()
		replay.Watch = table.add
	}
	result, err := replay.Run(ctx)
	bar.finish()
	if errors.Is(err, uplink.ErrGone) && quietPipe(err) == nil {
		return nil // who read the results has seen enough
	}
	problems.summarise(strings.Join(logs, ", "), result.Logs)
	if table != nil && (err == nil || errors.Is(err, gateway.ErrCutOff)) {
		if err := table.writeTo(inv.stdout, terminalWidth(inv.stdout)); err != nil {
			return quietPipe(err)
		}
	}
	if !f.quiet && (err == nil || result.Logs.Frames > 0) {
		out := inv.stderr
		if table != nil {
			out = inv.stdout
		}
		writeReplaySummary(out, &result)
	}
	return err
}

// replay puts the flags and the configuration together.
func (f *replayFlags) replay(inv *invocation, logs []string, messages io.Writer) (*gateway.Replay, error) {
	c := config.Default()
	c.Device, c.Dedup.Exception.Enabled, c.Sinks = f.device, false, nil
	if f.configPath != "" {
		loaded, err := config.Load(f.configPath)
		if err != nil {
			return nil, err
		}
		c = loaded
		f.fromConfig(c)
	}
	speed, err := strconv.ParseFloat(strings.TrimSuffix(f.speed, "x"), 64)
	if err != nil || !(speed >= 0 && speed <= math.MaxFloat64) {
		return nil, usagef("--speed %s: not a number such as 1 or 10x", f.speed)
	}
	if f.workers < 0 {
		return nil, usagef("--workers %d: at least 1, or 0 for as many as there are processors", f.workers)
	}
	for name, d := range map[string]time.Duration{"lateness": f.lateness, "give-up": f.giveUp} {
		if d < 0 {
			return nil, usagef("--%s %v: a time is not negative", name, d)
		}
	}
	if f.window <= 0 || time.Hour%f.window != 0 {
		return nil, usagef("--window %v: does not divide an hour evenly", f.window)
	}
	if f.resume && f.spoolDir == "" {
		return nil, usagef("--resume goes with --spool DIR")
	}
	bindings, err := f.databases.load(messages)
	if err != nil {
		return nil, err
	}
	sinks, err := f.sinks(c, speed)
	if err != nil {
		return nil, err
	}
	r := &gateway.Replay{
		Options: gateway.Options{
			Window: f.window, Lateness: f.lateness, ClockStep: c.ClockStep,
			DecodeUnchanged: !c.Dedup.Unchanged,
			Workers:         f.workers,
		},
		Bindings: bindings,
		Version:  thisBuild().Version,
		Logs:     logs, Stdin: inv.stdin,
		KeepOverlap: !c.Dedup.Overlap,
		Speed:       speed,
		Device:      f.device,
		Priorities:  c.Priorities,
		SpoolDir:    f.spoolDir,
		Resume:      f.resume,
		Spool: spool.Options{
			Sync: c.Spool.Sync, ChapterBytes: int64(c.Spool.ChapterSize),
			MemoryBytes: int64(c.Spool.Memory), QuarantineBytes: int64(c.Spool.Quarantine),
		},
		Logger: newLogger(messages, c),
	}
	if f.configPath != "" && c.Spool.Compression == config.CompressionZstd {
		r.Spool.Compression = spool.Zstd
	}
	if f.configPath != "" && f.spoolDir != "" && speed > 0 {
		// At the pace of life there is no waiting: what finds no room makes some, as
		// on a vehicle. As fast as possible, nothing need be lost.
		r.Spool.MaxBytes = int64(c.Spool.MaxSize)
		r.Spool.BallastBytes = int64(c.Spool.Ballast)
		r.Spool.Thin = gateway.NewThinning(c.Spool.Thin)
	}
	if r.Workers == 0 {
		r.Workers = runtime.GOMAXPROCS(0)
	}
	for _, m := range c.Dedup.Mirrors {
		r.Mirrors = append(r.Mirrors, gateway.Mirror{Buses: m.Buses, Within: m.Within})
	}
	if c.Dedup.Exception.Enabled {
		r.Refresh = c.Dedup.Exception.Refresh
	}
	if r.Fingerprint, err = f.fingerprint(r); err != nil {
		return nil, err
	}
	if len(sinks) > 0 {
		r.Targets = func(o gateway.TargetOptions, noteOf func(string) []byte) (targets []gateway.Target, err error) {
			o.Stdout, o.Anew = inv.stdout, f.to != ""
			for i := range sinks {
				o.Note = noteOf(sinks[i].Name)
				t, err := gateway.NewTarget(&sinks[i], o)
				if err != nil {
					return nil, err
				}
				targets = append(targets, t)
			}
			return targets, nil
		}
	}
	return r, nil
}

// fromConfig fills in the flags that were not given.
func (f *replayFlags) fromConfig(c *config.Config) {
	set := func(flag string, fill func()) {
		if !f.given[flag] {
			fill()
		}
	}
	set("device", func() { f.device = c.Device })
	set("window", func() { f.window = c.Window })
	set("lateness", func() { f.lateness = c.Lateness })
	set("match", func() { f.databases.match = string(c.Match) })
	set("not-available", func() { f.databases.notAvailable = string(c.NotAvailable) })
	set("dbc", func() { f.databases.fromConfig(c) })
}

// sinks are those of the configuration, or the one that --to names.
func (f *replayFlags) sinks(c *config.Config, speed float64) ([]config.Sink, error) {
	if f.to == "" {
		if f.output != "" {
			return nil, usagef("-o goes with --to csv or --to jsonl")
		}
		for i := range c.Sinks {
			if f.given["give-up"] {
				c.Sinks[i].GiveUp = f.giveUp
			}
			if speed == 0 { // nothing is more urgent than anything else
				c.Sinks[i].Order = config.OrderStrict
			}
		}
		return c.Sinks, nil
	}
	sink := config.NewSink()
	sink.Name, sink.GiveUp, sink.Order = f.to, f.giveUp, config.OrderStrict
	switch f.to {
	case "csv", "jsonl":
		if !f.given["give-up"] {
			sink.GiveUp = time.Second // a full disk stays full
		}
		sink.Name, sink.Type, sink.Format, sink.Path = f.to, config.SinkFile, config.Format(f.to), "-"
		if f.output != "" {
			sink.Path = f.output
		}
		return []config.Sink{sink}, nil
	}
	if f.output != "" {
		return nil, usagef("-o goes with --to csv or --to jsonl, not with %s", f.to)
	}
	if !strings.Contains(f.to, "://") {
		return nil, usagef("--to %s: use csv, jsonl, mqtt://HOST:PORT, kafka://HOST:PORT or http://HOST/PATH", f.to)
	}
	var err error
	if sink.URL, sink.Topic, err = config.ParseURL(f.to); err != nil {
		return nil, usagef("--to: %v", err)
	}
	sink.Type = sink.URL.SinkType()
	sink.Name = string(sink.Type)
	return []config.Sink{sink}, nil
}

// fingerprint holds what changes the records beside the logs and the device.
func (f *replayFlags) fingerprint(r *gateway.Replay) ([]byte, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%v %v %v %v %v %v %s %s\n", r.Window, r.Lateness, r.ClockStep, r.Mirrors, r.Refresh, r.KeepOverlap, f.databases.match, f.databases.notAvailable)
	if r.Refresh > 0 {
		fmt.Fprintln(h, "series that end are told") // since this is so, there are other records
	}
	for _, rule := range r.Priorities { // they decide the order within a window
		fmt.Fprintf(h, "%q\n", rule)
	}
	for _, argument := range f.databases.files {
		bus, path, err := splitBus(argument)
		if err != nil {
			return nil, err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(h, "%q %x\n", bus, sha256.Sum256(text))
	}
	return h.Sum(nil), nil
}
