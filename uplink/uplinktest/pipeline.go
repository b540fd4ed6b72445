package uplinktest

import (
	"context"
	"errors"
	"fmt"

	"milepost/uplink"
)

// PipelinedSink is an uplink.Pipelined that fails when Fail says so, and notes
// where its caller does not keep to the rules.
type PipelinedSink struct {
	MemorySink
	// Fail, if set, is called with each Begin and with the number of the call, from 1
	// on. Its error is the one of the call.
	Fail func(call int, records []uplink.Record) error
	// Waiting, if set, is called when a call is waited for, before that returns, with
	// how many are under way.
	Waiting func(call, underway int)
	// Blind sinks deliver what began behind a failure.
	Blind bool

	calls    int
	open     []int // calls that are not waited for
	failed   bool  // one that was open with those
	Most     int   // calls that were open at a time
	Offences []string
}

// Send implements uplink.Sink.
func (s *PipelinedSink) Send(ctx context.Context, records []uplink.Record) error {
	return s.Begin(ctx, records)()
}

// Begin implements uplink.Pipelined.
func (s *PipelinedSink) Begin(ctx context.Context, records []uplink.Record) (wait func() error) {
	s.calls++
	call := s.calls
	if len(s.open) == 0 {
		s.failed = false
	}
	s.open = append(s.open, call)
	if s.Most = max(s.Most, len(s.open)); len(s.open) > 2 {
		s.Offences = append(s.Offences, fmt.Sprintf("%d calls are under way", len(s.open)))
	}
	before := make([]uplink.Key, len(records))
	for i := range records {
		before[i] = records[i].Key()
	}
	err := ctx.Err()
	switch {
	case err == nil && s.failed && !s.Blind:
		err = errors.New("what was sent before has failed")
	case err == nil && s.Fail != nil:
		err = s.Fail(call, records)
	}
	s.failed = s.failed || err != nil
	return func() error {
		if len(s.open) == 0 || s.open[0] != call {
			s.Offences = append(s.Offences, fmt.Sprintf("call %d is waited for, those under way are %d", call, s.open))
			return errors.New("not under way")
		}
		if s.Waiting != nil {
			s.Waiting(call, len(s.open))
		}
		s.open = s.open[1:]
		for i := range records {
			if records[i].Key() != before[i] {
				s.Offences = append(s.Offences, fmt.Sprintf("record %d of call %d was changed", i, call))
			}
		}
		if err == nil {
			err = s.MemorySink.Send(ctx, records)
		}
		return err
	}
}

// Calls is the number of calls of Begin, to be read after the last one.
func (s *PipelinedSink) Calls() int { return s.calls }

// Open is how many calls are not waited for.
func (s *PipelinedSink) Open() int { return len(s.open) }
