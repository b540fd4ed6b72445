package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"milepost/aggregate"
	"milepost/can"
	"milepost/can/canlog"
	"milepost/cmd/internal/config"
	"milepost/cmd/internal/status"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// Replay summarises recorded logs and delivers the summaries.
type Replay struct {
	Options
	Bindings *Bindings
	// Logs are the paths of the logs; "-" is Stdin.
	Logs  []string
	Stdin io.Reader
	// LogOptions say how they are read; From must be zero.
	LogOptions canlog.Options
	// KeepOverlap keeps the frames that several logs share.
	KeepOverlap bool
	// Speed paces the replay: 1 as recorded, 0 as fast as possible.
	Speed float64

	// Device and Fingerprint make the records' identity: the boot ID of a replay
	// is a hash of both and of the logs, so that the same replay gives the same
	// records. Fingerprint is to hold whatever else changes them.
	Device      string
	Fingerprint []byte
	// Version is the program's, for whoever asks for the status.
	Version string

	// SpoolDir holds the records until they are delivered; empty for a
	// temporary folder. Resume goes on with what an interrupted replay left there.
	SpoolDir string
	Spool    spool.Options
	Resume   bool
	// Span is how much event time one entry of the spool may hold; 0 is any.
	Span time.Duration

	// Priorities say how important which series are. Fingerprint is to cover them.
	Priorities []config.PriorityRule

	// Targets makes the sinks; noteOf gives the note that a sink of that name
	// left with its last acknowledgement in an interrupted replay, nil if none.
	Targets func(o TargetOptions, noteOf func(name string) []byte) ([]Target, error)
	// Watch, if set, sees every window before it is stored. It must not keep it.
	Watch func(*aggregate.Window)
	// Progress, if set, is called now and then from one goroutine.
	Progress func(Progress)
	Logger   *slog.Logger
}

// Progress is how far a replay has come.
type Progress struct {
	// Done of Total bytes of the logs are read; Total is 0 where it is not known.
	Done, Total int64
	Frames      uint64
	// EventTime is the start of the newest window, in nanoseconds.
	EventTime int64
	// Left is how many records the slowest target has still to get, once the logs
	// are read; 0 before.
	Left uint64
}

// ReplayResult is what a replay did.
type ReplayResult struct {
	Ledger Ledger
	Logs   canlog.Stats
	// Overlapped frames were in several logs and dropped but for one copy.
	Overlapped uint64
	// From and To bound the windows, in nanoseconds; equal if there were none.
	From, To   int64
	Took       time.Duration
	Resumed    uint64 // records that an earlier run had stored
	Kept       bool   // the spool stays, with what is not delivered
	Deliveries []DeliveryStats
	Boot       uplink.BootID
}

// Check returns an error that names the first equation that does not hold: one of
// the Ledger's, or of the entries that a sink was to get.
func (r *ReplayResult) Check() error {
	if err := r.Ledger.Check(); err != nil {
		return err
	}
	for i := range r.Deliveries {
		for _, e := range r.Deliveries[i].Entries {
			if in, out := e.Before+e.Appended, e.total(); in != out {
				return fmt.Errorf("the ledger does not balance: %d entries of %s priority in the spool for %s, %d accounted for", in, e.Priority, r.Deliveries[i].Name, out)
			}
		}
	}
	return nil
}

// Lost reports whether anything that was stored, or was to be, is gone without
// being delivered.
func (r *ReplayResult) Lost() bool {
	for i := range r.Ledger.Classes {
		if c := &r.Ledger.Classes[i]; c.Evicted > 0 || c.Dropped > 0 {
			return true
		}
	}
	for i := range r.Deliveries {
		for _, e := range r.Deliveries[i].Entries {
			if e.Evicted > 0 || e.Missing > 0 {
				return true
			}
		}
	}
	return false
}

// ErrNothing says that a log holds no frames.
var ErrNothing = errors.New("there is no CAN frame in it")

// ErrCutOff says that a log ends in the middle of a line or of its compressed
// data, as a power cut or an unfinished copy leaves it. What precedes that is
// summarised and delivered all the same.
var ErrCutOff = errors.New("it is cut off at its end; everything before that is summarised and delivered, what follows is in no file: copy the log again if the original is whole")

// Run replays. The result says how far it came, also when there is an error.
func (r *Replay) Run(outer context.Context) (result ReplayResult, err error) {
	start := time.Now()
	defer func() { result.Took = time.Since(start) }()
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}

	r.Options.Read = new(atomic.Uint64)
	input, err := r.open()
	if err != nil {
		return result, err
	}
	defer input.close()
	result.Boot = input.boot

	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	out, err := r.openOutput(input.boot, cancel)
	if err != nil {
		return result, err
	}
	result.From, result.To = 0, 0
	emit := func(w *aggregate.Window) error {
		if result.To == 0 && result.From == 0 {
			result.From = w.Start
		}
		result.From, result.To = min(result.From, w.Start), max(result.To, w.Start+w.Duration)
		if r.Watch != nil {
			r.Watch(w)
		}
		return out.put(ctx, w)
	}
	out.start(ctx)
	if out.spools != nil {
		stop, err := status.Serve(out.dir, func() status.Report { return out.report(input, start) })
		if err != nil { // such as a folder whose path is too long for a socket
			r.Logger.Warn("milepost status will not find this replay", "cause", err)
		} else {
			defer stop()
		}
	}
	result.Ledger, result.Logs, err = input.summarise(ctx, emit)
	if input.merge != nil {
		result.Overlapped = input.merge.Dropped()
	}
	if err != nil {
		result.Ledger.Unfinished = result.Ledger.unaccounted()
	}
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	stop := input.watchDelivery(out)
	finishErr := out.finish(ctx, err == nil)
	stop()
	if err == nil || errors.Is(finishErr, err) {
		err = finishErr
	}
	if outer.Err() != nil && err != nil {
		err = fmt.Errorf("stopped before the end: %w", err)
	}
	err = out.advise(err)
	out.addTo(&result)
	if err == nil {
		if err = result.Check(); err != nil {
			err = fmt.Errorf("BUG: %w", err)
		}
	}
	if err == nil && result.Logs.Frames == 0 {
		err = fmt.Errorf("%s: %w", r.Logs[0], ErrNothing)
	}
	if err == nil && result.Logs.CutOff {
		err = fmt.Errorf("%s: %w", strings.Join(r.Logs, ", "), ErrCutOff)
	}
	return result, err
}

// input is the open logs.
type input struct {
	replay *Replay
	logs   []*canlog.Log
	merge  *canlog.Merge
	boot   uplink.BootID
	total  int64
	newest atomic.Int64 // start of the newest window, in nanoseconds
}

func (r *Replay) open() (in *input, err error) {
	in = &input{replay: r}
	if report := r.LogOptions.OnProblem; report != nil {
		// A log that is read in chunks reports what is wrong with its compression
		// from a worker.
		// It says so again where the rest of it is read as a whole.
		var mu sync.Mutex
		var last canlog.Problem
		r.LogOptions.OnProblem = func(p canlog.Problem) {
			mu.Lock()
			defer mu.Unlock()
			if p != last {
				report(p)
			}
			last = p
		}
	}
	identity := sha256.New()
	part := func(p []byte) { // with its length, so that the parts cannot run together
		identity.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(p))))
		identity.Write(p)
	}
	part([]byte(r.Device))
	part(r.Fingerprint)
	defer func() {
		if err != nil {
			in.close()
		}
	}()
	for _, path := range r.Logs {
		var log *canlog.Log
		if path == "-" {
			head := &headReader{r: r.Stdin}
			if log, err = canlog.NewReader("standard input", head, r.LogOptions); err == nil {
				part(head.firstLine())
			}
		} else {
			head, headErr := fileHead(path)
			if headErr != nil {
				return in, headErr
			}
			part(head)
			log, err = canlog.Open(path, r.LogOptions)
		}
		if err != nil {
			return in, err
		}
		in.logs = append(in.logs, log)
		_, total := log.Progress()
		in.total += total
	}
	copy(in.boot[:], identity.Sum(nil))
	mark(&in.boot)
	return in, nil
}

func (in *input) close() {
	for _, log := range in.logs {
		log.Close()
	}
}

// headBytes is how much of a log goes into the replay's identity.
const headBytes = 64 << 10

func fileHead(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder: name the logs in it", path)
	}
	if !info.Mode().IsRegular() {
		return []byte(path), nil // a pipe or device: reading would take from it
	}
	head := make([]byte, headBytes)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return binary.LittleEndian.AppendUint64(head[:n:n], uint64(info.Size())), nil
}

// headReader remembers the beginning of a stream.
type headReader struct {
	r    io.Reader
	head []byte
}

func (h *headReader) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if room := headBytes - len(h.head); room > 0 {
		h.head = append(h.head, p[:min(n, room)]...)
	}
	return n, err
}

func (h *headReader) firstLine() []byte {
	for i, c := range h.head {
		if c == '\n' {
			return h.head[:i]
		}
	}
	return h.head
}

// summarise reads the logs: one by several workers where that can be, several
// merged by time.
func (in *input) summarise(ctx context.Context, emit Emit) (Ledger, canlog.Stats, error) {
	r := in.replay
	stop := in.watchProgress(&emit)
	defer stop()
	if len(in.logs) == 1 && r.Speed == 0 && r.Logs[0] != "-" {
		name := r.Logs[0]
		reopen := func(at canlog.Position) (*canlog.Log, error) {
			o := r.LogOptions
			o.From = at
			return canlog.Open(name, o)
		}
		return SummariseLog(ctx, in.logs[0], name, r.LogOptions, r.Bindings, r.Options, reopen, emit)
	}
	var source can.Source = in.logs[0]
	if len(in.logs) > 1 {
		var sources []can.Source
		for _, log := range in.logs {
			sources = append(sources, log)
		}
		in.merge = canlog.NewMerge(canlog.MergeOptions{DropOverlap: !r.KeepOverlap}, sources...)
		source = in.merge
	}
	if r.Speed > 0 {
		paced := canlog.NewReplayer(source, r.Speed)
		defer context.AfterFunc(ctx, func() { paced.Close() })()
		source = paced
	}
	ledger, err := Summarise(ctx, source, r.Bindings, r.Options, emit)
	var stats canlog.Stats
	for _, log := range in.logs {
		stats.Add(log.Stats())
	}
	return ledger, stats, err
}

// watchProgress reports now and then how far the replay is, and keeps the newest
// window in mind for whoever asks.
func (in *input) watchProgress(emit *Emit) (stop func()) {
	inner := *emit
	*emit = func(w *aggregate.Window) error {
		in.newest.Store(w.Start)
		return inner(w)
	}
	return in.everyNow(func(p *Progress) {
		for _, log := range in.logs {
			read, _ := log.Progress()
			p.Done += read
		}
	})
}

// watchDelivery reports how much is left to deliver when the logs are read.
func (in *input) watchDelivery(o *output) (stop func()) {
	if o.store == nil {
		return func() {}
	}
	records := o.store.counts.Records
	return in.everyNow(func(p *Progress) {
		p.Done = p.Total
		for _, d := range o.delivery.Stats() {
			p.Left = max(p.Left, records-min(d.Done, records))
		}
	})
}

// everyNow calls Progress now and then with what fill fills in, until it is
// stopped.
func (in *input) everyNow(fill func(*Progress)) (stop func()) {
	report := in.replay.Progress
	if report == nil {
		return func() {}
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		ticker := time.NewTicker(200 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
			}
			p := Progress{Total: in.total, Frames: in.replay.Options.Read.Load(), EventTime: in.newest.Load()}
			fill(&p)
			report(p)
		}
	})
	return func() {
		close(done)
		wait.Wait()
	}
}
