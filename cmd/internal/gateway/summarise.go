package gateway

import (
	"context"
	"fmt"

	"milepost/aggregate"
	"milepost/can"
)

// Emit takes windows in their order. The window is its to keep and release; an
// error ends the run.
type Emit func(*aggregate.Window) error

// Summarise reads a source to its end and emits its windows. The ledger covers
// what was read, also when there is an error.
func Summarise(ctx context.Context, source can.Source, bindings *Bindings, o Options, emit Emit) (Ledger, error) {
	s := newSequential(ctx, bindings, o, emit)
	err := s.run(source)
	return s.ledger(), err
}

// sequential summarises a source in one goroutine.
type sequential struct {
	ctx     context.Context
	c       *collector
	emitErr error
}

func newSequential(ctx context.Context, bindings *Bindings, o Options, emit Emit) *sequential {
	s := &sequential{ctx: ctx}
	s.c = newCollector(bindings, o, func(w *aggregate.Window) {
		if s.emitErr == nil {
			s.emitErr = emit(w)
		}
	})
	return s
}

func (s *sequential) run(source can.Source) error {
	frames := make([]can.Frame, logFrames)
	err := s.c.run(stoppable{source, s}, frames)
	if err != nil && s.ctx.Err() == nil && s.emitErr == nil {
		// What was read before the source failed counts.
		s.c.finish()
		return err
	}
	if err == nil {
		s.c.finish()
	}
	if s.emitErr != nil {
		return s.emitErr
	}
	return err
}

func (s *sequential) ledger() Ledger {
	var l Ledger
	l.add(&s.c.counts, &s.c.folder.counts)
	stats := s.c.windows.Stats()
	l.Late, l.ClockSteps = stats.Late, stats.Steps
	return l
}

// stoppable ends a source when the context or the emission does.
type stoppable struct {
	can.Source
	s *sequential
}

func (s stoppable) Read(frames []can.Frame) (int, error) {
	if s.s.emitErr != nil {
		return 0, s.s.emitErr
	}
	if s.s.ctx.Err() != nil {
		return 0, fmt.Errorf("interrupted: %w", context.Cause(s.s.ctx))
	}
	return s.Source.Read(frames)
}
