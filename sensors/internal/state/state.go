// Package state keeps the Status of a Sensor.
package state

import (
	"sync"
	"time"

	"milepost/sensors"
)

// State is how a Sensor is doing. Its zero value is that of one that has not been
// tried. It is safe for concurrent use.
type State struct {
	mu     sync.Mutex
	status sensors.Status
}

// Worked notes a try that gave some readings, perhaps none: a receiver that says
// that it knows nothing works.
func (s *State) Worked(readings int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Readings += uint64(readings)
	s.setLocked(nil)
}

// Failed notes tries that gave none, and why.
func (s *State) Failed(tries int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Failures += uint64(tries)
	s.setLocked(err)
}

// Partly notes that some inputs gave readings, and others failed.
func (s *State) Partly(readings, failed int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status.Readings += uint64(readings)
	s.status.Failures += uint64(failed)
	s.setLocked(err)
}

func (s *State) setLocked(err error) {
	if s.status.Since.IsZero() || (err == nil) != (s.status.Err == nil) {
		s.status.Since = time.Now()
	}
	s.status.Err = err
}

// Status is the present one.
func (s *State) Status() sensors.Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.status
}
