package gpio

import (
	"sync"
	"time"

	"milepost/sensors"
)

// status is a sensors.Status that many may ask for.
type status struct {
	mu sync.Mutex
	s  sensors.Status
}

func (s *status) get() sensors.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.s
}

func (s *status) works() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.s.Err != nil || s.s.Since.IsZero() {
		s.s.Err, s.s.Since = nil, time.Now()
	}
}

func (s *status) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Failures++
	if s.s.Err == nil {
		s.s.Since = time.Now()
	}
	s.s.Err = err
}

func (s *status) handed(readings int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Readings += uint64(readings)
}

func (s *status) lost(events uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.s.Lost += uint64(events)
}

// batch gathers readings and hands them over.
type batch struct {
	emit     func([]sensors.Reading)
	status   *status
	readings []sensors.Reading
}

const batchReadings = 256

func (b *batch) add(at int64, channel int, value float64) {
	b.readings = append(b.readings, sensors.Reading{Time: at, Channel: channel, Value: value})
	if len(b.readings) >= batchReadings {
		b.flush()
	}
}

func (b *batch) flush() {
	if len(b.readings) == 0 {
		return
	}
	b.status.handed(len(b.readings))
	b.emit(b.readings)
	b.readings = b.readings[:0]
}
