package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"milepost/aggregate"
	"milepost/can"
	"milepost/can/canlog"
)

// chunkSize is what a worker reads at a time: so much that few windows are cut
// in two, and so little that it stays in the second-level cache.
const chunkSize = 2 << 20

// SummariseLog is Summarise for a log of which a second handle can be had. With
// more than one worker the log is read in chunks at the same time, and the parts
// of windows that chunks share are merged; sums, minima, maxima and histograms
// do not depend on order, so that the windows are the same, to the bit.
//
// What does depend on order is lateness: whether a frame's window is still open
// when it comes. A worker does not know the times before its chunk, so the
// chunks are checked as they are put together, and where lateness, a clock that
// was set back or a line that needs its predecessor shows up, the log is read
// again from that chunk on, by one.
//
// reopen opens the log anew at a position.
func SummariseLog(ctx context.Context, log *canlog.Log, name string, logOptions canlog.Options, bindings *Bindings, o Options,
	reopen func(canlog.Position) (*canlog.Log, error), emit Emit) (Ledger, canlog.Stats, error) {
	if o.Workers <= 1 || len(o.Mirrors) > 0 || !log.Splittable() {
		ledger, err := Summarise(ctx, log, bindings, o, emit)
		return ledger, log.Stats(), err
	}
	splitter, err := log.Split(chunkSize, o.Window)
	if err != nil {
		return Ledger{}, log.Stats(), err
	}
	return newParallel(log, name, logOptions, bindings, o, emit).run(ctx, splitter, reopen)
}

// parallel puts the chunks of a log together in order. It runs in the caller's
// goroutine, which is the only one that emits and touches the fields below.
type parallel struct {
	log        *canlog.Log
	name       string
	logOptions canlog.Options
	bindings   *Bindings
	options    Options
	emit       Emit

	results chan *chunkResult
	room    chan struct{} // holds one for each chunk under way; its capacity bounds them

	ledger   Ledger
	stats    canlog.Stats
	started  bool
	newest   int64 // number of the newest window so far
	lastTime int64
	lines    int64               // before the next chunk
	open     []*aggregate.Window // parts of windows that more may come for, by start
}

func newParallel(log *canlog.Log, name string, logOptions canlog.Options, bindings *Bindings, o Options, emit Emit) *parallel {
	return &parallel{
		log: log, name: name, logOptions: logOptions, bindings: bindings, options: o,
		results: make(chan *chunkResult), room: make(chan struct{}, 4*o.Workers), emit: emit,
		lines: log.Position().Line,
	}
}

// chunkResult is what a worker made of a chunk.
type chunkResult struct {
	chunk    canlog.Chunk
	err      error // of the splitter: there is no chunk, or none after it
	windows  []*aggregate.Window
	counts   collectCounts
	folded   foldCounts
	stats    canlog.Stats
	problems []canlog.Problem
	// ordered: none of its frames was late or before a set-back clock, as far as
	// the chunk can tell, and no line needed those before the chunk.
	ordered        bool
	empty          bool
	lowest, newest int64 // numbers of the earliest and the newest window
	lastTime       int64
	lines          int64
}

func (p *parallel) run(ctx context.Context, splitter *canlog.Splitter, reopen func(canlog.Position) (*canlog.Log, error)) (Ledger, canlog.Stats, error) {
	workersCtx, cancel := context.WithCancel(ctx)
	var workers sync.WaitGroup
	for range p.options.Workers {
		workers.Go(func() { newChunkWorker(p).run(workersCtx, splitter) })
	}
	go func() {
		workers.Wait()
		close(p.results)
	}()
	stop := func() {
		cancel()
		for range p.results {
		}
	}

	waiting := make(map[int64]*chunkResult)
	var next int64
	var splitErr error
	for r := range p.results {
		if r.err != nil {
			if r.err != io.EOF {
				splitErr = r.err
			}
			continue
		}
		waiting[r.chunk.Index] = r
		for r := waiting[next]; r != nil; r = waiting[next] {
			if err := context.Cause(ctx); err != nil {
				stop()
				return p.ledger, p.stats, fmt.Errorf("interrupted: %w", err)
			}
			if !p.fits(r) {
				stop()
				err := p.goOnAlone(ctx, r.chunk, reopen)
				return p.ledger, p.stats, err
			}
			if err := p.accept(r); err != nil {
				stop()
				return p.ledger, p.stats, err
			}
			delete(waiting, next)
			next++
		}
	}
	cancel()
	if err := context.Cause(ctx); err != nil {
		return p.ledger, p.stats, fmt.Errorf("interrupted: %w", err)
	}
	p.stats.Add(p.log.Stats())
	if err := p.emitBelow(p.newest + 1); err != nil {
		return p.ledger, p.stats, err
	}
	return p.ledger, p.stats, splitErr
}

// behind is how many windows stay open behind the newest, as in
// aggregate.Collector.
func (p *parallel) behind() int64 {
	return int64((p.options.Lateness + p.options.Window - 1) / p.options.Window)
}

// fits says whether the chunk gives the same in its place as it gave alone.
func (p *parallel) fits(r *chunkResult) bool {
	return r.ordered && (r.empty || !p.started || r.lowest >= p.newest-p.behind())
}

// accept takes the parts of a chunk's windows and emits those that are complete.
func (p *parallel) accept(r *chunkResult) error {
	p.ledger.add(&r.counts, &r.folded)
	p.stats.Add(r.stats)
	for _, problem := range r.problems {
		problem.Line += p.lines
		p.logOptions.OnProblem(problem)
	}
	p.lines += r.lines
	for _, w := range r.windows {
		p.join(w)
	}
	<-p.room
	if r.empty {
		return nil
	}
	if !p.started || r.newest > p.newest {
		p.newest = r.newest
	}
	p.started = true
	p.lastTime = r.lastTime
	return p.emitBelow(p.newest - p.behind())
}

func (p *parallel) join(w *aggregate.Window) {
	at := len(p.open)
	for at > 0 && p.open[at-1].Start > w.Start {
		at--
	}
	if at > 0 && p.open[at-1].Start == w.Start {
		p.open[at-1].Merge(w)
		return
	}
	p.open = append(p.open, nil)
	copy(p.open[at+1:], p.open[at:])
	p.open[at] = w
}

func (p *parallel) emitBelow(number int64) error {
	n := 0
	for n < len(p.open) && p.open[n].Start < number*int64(p.options.Window) {
		if err := p.emit(p.open[n]); err != nil {
			return err
		}
		n++
	}
	p.open = p.open[:copy(p.open, p.open[n:])]
	return nil
}

// goOnAlone reads the rest of the log from a chunk on in one goroutine.
func (p *parallel) goOnAlone(ctx context.Context, from canlog.Chunk, reopen func(canlog.Position) (*canlog.Log, error)) error {
	log, err := reopen(canlog.Position{Offset: from.Offset, Line: p.lines, Time: p.lastTime})
	if err != nil {
		return err
	}
	defer log.Close()
	s := newSequential(ctx, p.bindings, p.options, p.emit)
	if p.started {
		s.c.windows.Resume(p.newest, p.open)
	}
	err = s.run(log)
	rest := s.ledger()
	p.ledger.add(&s.c.counts, &s.c.folder.counts)
	p.ledger.Late, p.ledger.ClockSteps = rest.Late, rest.ClockSteps
	// What the splitter skipped before the chunk counts, what it skipped behind
	// it was read again.
	p.stats.Bytes = from.Offset - p.logOptions.From.Offset
	p.stats.Add(log.Stats())
	return err
}

// chunkWorker reads chunks.
type chunkWorker struct {
	p      *parallel
	source *canlog.Text
	c      *collector
	frames []can.Frame
	result *chunkResult
}

func newChunkWorker(p *parallel) *chunkWorker {
	w := &chunkWorker{p: p, frames: make([]can.Frame, logFrames)}
	options := p.logOptions
	if options.OnProblem != nil {
		options.OnProblem = func(problem canlog.Problem) { w.result.problems = append(w.result.problems, problem) }
	}
	w.source = canlog.NewText(p.name, options)
	w.c = newCollector(p.bindings, p.options, func(window *aggregate.Window) {
		w.result.windows = append(w.result.windows, window)
	})
	return w
}

func (w *chunkWorker) run(ctx context.Context, splitter *canlog.Splitter) {
	// The text is read and done with by the same worker, in memory that stays
	// in its processor's cache; the result does without it.
	var chunk canlog.Chunk
	for {
		select {
		case w.p.room <- struct{}{}:
		case <-ctx.Done():
			return
		}
		r := &chunkResult{err: splitter.Next(&chunk)}
		if r.err == nil {
			w.read(r, chunk)
		}
		r.chunk = canlog.Chunk{Index: chunk.Index, Offset: chunk.Offset}
		select {
		case w.p.results <- r:
		case <-ctx.Done():
			return
		}
		if r.err != nil {
			return
		}
	}
}

func (w *chunkWorker) read(r *chunkResult, chunk canlog.Chunk) {
	w.result = r
	before := w.c.windows.Stats()
	statsBefore := w.source.Stats()
	w.c.counts, w.c.folder.counts = collectCounts{}, foldCounts{}
	w.c.windows.Restart()
	w.source.Reset(chunk)
	err := w.c.run(w.source, w.frames)
	w.c.finish()
	if err != nil { // a Text reads memory
		r.err = errors.Join(errors.New("BUG: reading a chunk failed"), err)
	}
	r.counts, r.folded = w.c.counts, w.c.folder.counts
	r.stats = since(w.source.Stats(), statsBefore)
	r.empty = r.counts.Frames == 0
	r.ordered = w.c.windows.Stats() == before && !w.source.Dependent()
	r.lowest, r.newest = w.c.windows.Lowest(), w.c.windows.NewestNumber()
	r.lastTime = w.c.last
	r.lines = w.source.Lines()
}

// since is what was counted between two states of the same Stats.
func since(now, before canlog.Stats) canlog.Stats {
	now.Bytes -= before.Bytes
	now.Lines -= before.Lines
	now.Frames -= before.Frames
	now.Remote -= before.Remote
	now.Errors -= before.Errors
	now.FD -= before.FD
	now.NoTime -= before.NoTime
	now.XL -= before.XL
	now.Comments -= before.Comments
	now.Details -= before.Details
	now.Bad -= before.Bad
	now.RecorderDrops -= before.RecorderDrops
	return now
}
