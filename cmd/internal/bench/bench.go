// Package bench measures milepost against the loops that do less than it does,
// in one run on one machine, and prints ratios: those carry over to other
// machines, times do not.
package bench

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"milepost/aggregate"
	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/cantest"
	"milepost/can/dbc"
	"milepost/cmd/internal/gateway"
	"milepost/uplink"
)

//go:embed peer.py
var peer []byte

// bench is one run.
type bench struct {
	ctx            context.Context
	out            io.Writer
	dir            string // of what it makes
	log, database  string
	text           []byte // of the database
	frames         int
	self, milepost string
	python         string
	rounds         int
}

// Loop is the command that Run runs itself with to measure a loop in a process
// of its own: Loop NAME LOG DATABASE.
const Loop = "bench-loop"

// RunLoop is what the process does.
func RunLoop(out io.Writer, args []string) error {
	if len(args) != 3 {
		return errors.New("bench-loop NAME LOG DATABASE")
	}
	var n int
	var err error
	switch args[0] {
	case "lines":
		n, err = lineLoop(args[1])
	case "einride":
		var text []byte
		if text, err = os.ReadFile(args[2]); err == nil {
			n, err = einrideLoop(args[1], text)
		}
	default:
		err = fmt.Errorf("there is no loop %q", args[0])
	}
	fmt.Fprintln(out, n)
	return err
}

// Run measures and prints. The arguments are flags.
func Run(ctx context.Context, out io.Writer, args []string) error {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	var (
		workload = flags.String("workload", "drive", "`WHAT` is replayed: drive, the demo vehicle's simulated drive, or synthetic, in which nearly every signal changes all the time")
		duration = flags.Duration("duration", 38*time.Minute, "how `LONG` a drive is simulated")
		rounds   = flags.Int("rounds", 3, "how `MANY` times each is measured; the median counts")
		python   = flags.String("python", "", "a Python `INTERPRETER` with python-can and cantools, to measure against them")
		milepost = flags.String("milepost", "", "the milepost `BINARY`; built with go if not given")
	)
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "milepost-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{ctx: ctx, out: out, dir: dir, milepost: *milepost, python: *python, rounds: *rounds}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.milepost == "" {
		b.milepost = filepath.Join(dir, "milepost")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.milepost, "./cmd/milepost")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if text, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build milepost: %w\n%s", err, text)
		}
	}
	if err := b.record(*workload, *duration); err != nil {
		return err
	}
	for _, step := range []func() error{b.ratios, b.shares, b.workers, b.memory, b.peers} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// record writes the log and its database.
func (b *bench) record(workload string, duration time.Duration) error {
	options := cantest.DriveOptions{Duration: duration}
	var drive *cantest.Drive
	switch workload {
	case "drive":
		drive, b.text = cantest.NewDrive(options), cantest.DemoDBC()
	case "synthetic":
		drive, b.text = cantest.NewWorkload(options), cantest.WorkloadDBC()
	default:
		return fmt.Errorf("there is no workload %q", workload)
	}
	b.log, b.database = filepath.Join(b.dir, "drive.log"), filepath.Join(b.dir, "drive.dbc")
	if err := os.WriteFile(b.database, b.text, 0o644); err != nil {
		return err
	}
	n, err := writeLog(b.log, drive, -1)
	if err != nil {
		return err
	}
	b.frames = n
	info, err := os.Stat(b.log)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "%s: %s frames, %d MB, %s of driving; %s, %d processors, %s\n\n", workload,
		gateway.Grouped(uint64(n)), info.Size()/1e6, duration, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	return nil
}

// writeLog writes up to limit frames (all if negative) and returns how many.
func writeLog(path string, source can.Source, limit int) (n int, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	// In large pieces, as a file that was copied here: the page cache keeps it in
	// large folios then, which all who read it are faster with.
	pieces := bufio.NewWriterSize(f, 4<<20)
	w := canlog.NewWriter(pieces, canlog.WriterOptions{})
	frames := make([]can.Frame, 256)
	for err == nil && (limit < 0 || n < limit) {
		var read int
		read, err = source.Read(frames)
		if limit >= 0 {
			read = min(read, limit-n)
		}
		n += read
		if writeErr := w.Write(frames[:read], source.Buses()); writeErr != nil {
			err = writeErr
		}
	}
	if err == io.EOF {
		err = nil
	}
	// The kernel is to be done with writing it when it is measured how it is read.
	return n, errors.Join(err, w.Flush(), pieces.Flush(), f.Sync(), f.Close())
}

// usage is what a process took.
type usage struct {
	wall, cpu time.Duration
	rss       int64 // bytes, at most
}

func (b *bench) measure(env []string, name string, args ...string) (usage, error) {
	cmd := exec.CommandContext(b.ctx, name, args...)
	cmd.Env = append(os.Environ(), env...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	start := time.Now()
	err := cmd.Start()
	var rss int64
	if err == nil {
		ended := make(chan struct{})
		peak := make(chan int64)
		go func() { peak <- watchRSS(cmd.Process.Pid, ended) }()
		err = cmd.Wait()
		close(ended)
		rss = <-peak
	}
	if err != nil {
		return usage{}, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return usage{time.Since(start), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), rss}, nil
}

// replay measures a whole replay: from the log to records in a spool.
func (b *bench) replay(workers int, log string, more ...string) (usage, error) {
	spool := filepath.Join(b.dir, "spool")
	defer os.RemoveAll(spool)
	args := append([]string{"replay", "--quiet", "--workers", strconv.Itoa(workers), "--dbc", b.database, "--spool", spool}, more...)
	return b.measure([]string{"GOMAXPROCS=" + strconv.Itoa(workers)}, b.milepost, append(args, log)...)
}

// watchRSS looks at the high-water mark of a process's memory until it has
// ended, in bytes; 0 where there is no /proc. (What wait4 tells is of no use: a
// child begins with the mark of its parent.)
func watchRSS(pid int, ended <-chan struct{}) (peak int64) {
	ticker := time.NewTicker(3 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ended:
			return peak
		case <-ticker.C:
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
				peak = max(peak, kib<<10)
			}
		}
	}
}

func (b *bench) loop(name string) (usage, error) {
	return b.measure([]string{"GOMAXPROCS=1"}, b.self, Loop, name, b.log, b.database)
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

func (b *bench) perFrame(d time.Duration) float64 {
	return float64(d.Nanoseconds()) / float64(b.frames)
}

// ratios measures replay and the loops in turn.
func (b *bench) ratios() error {
	var replays, lines, einride []time.Duration
	for range b.rounds {
		for _, m := range []struct {
			into *[]time.Duration
			run  func() (usage, error)
		}{
			{&lines, func() (usage, error) { return b.loop("lines") }},
			{&replays, func() (usage, error) { return b.replay(1, b.log) }},
			{&einride, func() (usage, error) { return b.loop("einride") }},
		} {
			u, err := m.run()
			if err != nil {
				return err
			}
			*m.into = append(*m.into, u.cpu)
		}
	}
	r, l, e := median(replays), median(lines), median(einride)
	fmt.Fprintf(b.out, "%-66s %8s\n", "CPU time (medians)", "ns/frame")
	row := func(what string, d time.Duration) { fmt.Fprintf(b.out, "%-66s %8.1f\n", what, b.perFrame(d)) }
	row("splitting the log into lines", l)
	row("milepost replay: all signals, histograms, encoded and spooled", r)
	row("go.einride.tech/can: all signals, no histograms, nothing stored", e)
	fmt.Fprintln(b.out)
	b.goal("times as fast as the einride loop", float64(e)/float64(r), 5, false)
	b.goal("times the CPU of splitting lines", float64(r)/float64(l), 7, true)
	return nil
}

// goal prints a figure and what it should be.
func (b *bench) goal(what string, got, want float64, atMost bool) {
	sign, met := "at least", got >= want
	if atMost {
		sign, met = "at most", got <= want
	}
	verdict := "met"
	if !met {
		verdict = "MISSED"
	}
	fmt.Fprintf(b.out, "%-50s %10.4g   %s %g: %s\n", what, got, sign, want, verdict)
}

// shares measures, within this process, what encoding costs and whether
// anything is allocated.
func (b *bench) shares() error {
	database, err := dbc.Parse(b.database, b.text)
	if err != nil {
		return err
	}
	bindings := gateway.NewBindings(dbc.Compile([]*dbc.Database{database}, dbc.Options{}), nil)
	run := func(emit gateway.Emit) (cpu time.Duration, mallocs uint64, err error) {
		log, err := canlog.Open(b.log, canlog.Options{})
		if err != nil {
			return 0, 0, err
		}
		defer log.Close()
		var before, after runtime.MemStats
		windows := 0
		warm := func(w *aggregate.Window) error {
			if windows++; windows == 60 { // by then all memory is there
				runtime.ReadMemStats(&before)
			}
			return emit(w)
		}
		start := cpuTime()
		_, err = gateway.Summarise(b.ctx, log, bindings, gateway.DefaultOptions(), warm)
		cpu = cpuTime() - start
		runtime.ReadMemStats(&after)
		return cpu, after.Mallocs - before.Mallocs, err
	}
	encoder := uplink.NewBatchEncoder("bench", uplink.BootID{}, 1)
	var with, without []time.Duration
	var mallocs uint64
	for range b.rounds {
		cpu, _, err := run(func(w *aggregate.Window) error { w.Release(); return nil })
		if err != nil {
			return err
		}
		without = append(without, cpu)
		cpu, n, err := run(func(w *aggregate.Window) error {
			encoder.Add(w)
			w.Release()
			if encoder.Size() > 128<<10 {
				encoder.Take()
			}
			return nil
		})
		if err != nil {
			return err
		}
		with, mallocs = append(with, cpu), n
	}
	w, wo := median(with), median(without)
	b.goal("encoding's share of the CPU (without the spool), %", 100*float64(w-wo)/float64(w), 25, true)
	// The goal is none a frame; a few in a whole replay are the runtime's own.
	b.goal("heap allocations a frame in steady state", float64(mallocs)/float64(b.frames), 0.0005, true)
	return nil
}

// workers compares one worker with two, and what they deliver.
func (b *bench) workers() error {
	var walls [2][]time.Duration
	var sums [2][]byte
	for range b.rounds {
		for i := range walls {
			u, err := b.replay(i+1, b.log)
			if err != nil {
				return err
			}
			walls[i] = append(walls[i], u.wall)
		}
	}
	for i := range sums {
		out := filepath.Join(b.dir, "out.csv")
		if _, err := b.replay(i+1, b.log, "--to", "csv", "-o", out); err != nil {
			return err
		}
		text, err := os.ReadFile(out)
		if err != nil {
			return err
		}
		sum := sha256.Sum256(text)
		sums[i] = sum[:]
	}
	if runtime.NumCPU() < 2 {
		fmt.Fprintln(b.out, "two workers: this machine has one processor")
	} else {
		b.goal("wall time of two workers over that of one", float64(median(walls[1]))/float64(median(walls[0])), 0.65, true)
	}
	if !bytes.Equal(sums[0], sums[1]) {
		return errors.New("one worker and two give different CSV")
	}
	fmt.Fprintf(b.out, "%-50s %10s\n", "output of one worker and of two", "identical")
	return nil
}

// memory measures a short log and the long one.
func (b *bench) memory() error {
	short := filepath.Join(b.dir, "short.log")
	log, err := canlog.Open(b.log, canlog.Options{})
	if err != nil {
		return err
	}
	defer log.Close()
	if _, err := writeLog(short, log, 100_000); err != nil {
		return err
	}
	var peaks [2]int64
	for i, path := range []string{short, b.log} {
		u, err := b.replay(1, path)
		if err != nil {
			return err
		}
		peaks[i] = u.rss
	}
	b.goal("peak RSS of 100,000 frames, MiB", float64(peaks[0])/(1<<20), 32, true)
	b.goal("peak RSS of all frames, MiB", float64(peaks[1])/(1<<20), 32, true)
	if peaks[0] > 0 {
		b.goal("peak RSS of all frames over that of 100,000", float64(peaks[1])/float64(peaks[0]), 1.1, true)
	}
	return nil
}

// peers measures python-can with cantools on a part of the log.
func (b *bench) peers() error {
	if b.python == "" {
		fmt.Fprintln(b.out, "python-can and cantools: not measured, no --python given")
		return nil
	}
	const frames = 200_000
	part := filepath.Join(b.dir, "part.log")
	log, err := canlog.Open(b.log, canlog.Options{})
	if err != nil {
		return err
	}
	defer log.Close()
	n, err := writeLog(part, log, frames)
	if err != nil {
		return err
	}
	script := filepath.Join(b.dir, "peer.py")
	if err := os.WriteFile(script, peer, 0o644); err != nil {
		return err
	}
	// The difference of two lengths leaves the start of the interpreter out.
	long, err := b.measure(nil, b.python, script, part, b.database, strconv.Itoa(n))
	if err != nil {
		return err
	}
	brief, err := b.measure(nil, b.python, script, part, b.database, strconv.Itoa(n/10))
	if err != nil {
		return err
	}
	theirs := float64((long.cpu - brief.cpu).Nanoseconds()) / float64(n-n/10)
	u, err := b.replay(1, b.log)
	if err != nil {
		return err
	}
	fmt.Fprintf(b.out, "\n%-66s %8.0f\n", "python-can and cantools: all signals, no histograms", theirs)
	b.goal("times as fast as python-can and cantools", theirs/b.perFrame(u.cpu), 80, false)
	return nil
}
