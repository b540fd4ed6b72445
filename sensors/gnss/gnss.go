// Package gnss reads satellite navigation receivers (GPS, Galileo and others): by
// gpsd, or as NMEA 0183 from a serial port. It gives position and speed, and the
// time of day for a gateway that has no clock of its own.
//
// Readings carry the time of this machine's clock at which the first byte of their
// report arrived, as everything does that milepost measures. That is later than the
// moment of the fix by what the receiver needs, mostly 50 to 500 ms.
package gnss

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"time"

	"milepost/sensors"
	"milepost/sensors/internal/state"
)

// Options say where a receiver is.
type Options struct {
	// Port is a serial port with NMEA 0183, or a device of the kernel's gnss class:
	// "/dev/ttyAMA0", "/dev/gnss0". A name below /dev/serial/by-id stays when the
	// receiver is plugged in anew. Empty is for gpsd.
	Port string
	// Baud is the port's speed, 9600 if zero.
	Baud int
	// GPSD is gpsd's address, "localhost:2947" if empty.
	GPSD string
	// Receiver is which of gpsd's receivers to listen to, by its device: "/dev/ttyACM0".
	// Empty is for the only one.
	Receiver string
	// Silence is for how long a receiver may say nothing before that is a failure, and
	// it is opened anew: 10 s if zero.
	Silence time.Duration

	// Time, if not nil, gets the time of every valid fix. It is called by the goroutine
	// of Run, and does not block.
	Time func(Fix)
	// NotBefore and NotAfter bound the dates that are believed: 2026-01-01 if zero, and
	// 1024 weeks after NotBefore if zero. A receiver counts weeks modulo 1024, and an
	// old one is years off by a multiple of them.
	NotBefore, NotAfter time.Time
}

// Fix is one time of day that a receiver has given, with a position: a receiver
// that has none may guess.
type Fix struct {
	// UTC is the receiver's time, in nanoseconds since the Unix epoch.
	UTC int64
	// Wall and Boot are CLOCK_REALTIME and CLOCK_BOOTTIME, in nanoseconds, at which the
	// first byte of the report arrived. Boot is zero where the system has no such clock.
	Wall, Boot int64
	// Error is how much later than UTC that may have been, as far as is known.
	Error time.Duration
	// LeapKnown says that the receiver knows how many leap seconds there were. Until it
	// has got them from a satellite (up to 13 minutes), UTC may be off by some whole
	// seconds besides. NMEA does not tell.
	LeapKnown bool
	// Dimensions are 2 or 3.
	Dimensions int
}

// The channels, in this order.
const (
	latitude = iota
	longitude
	altitude
	speed
	track
	satellites
	fix
	hdop
)

var channels = []sensors.Channel{
	{Name: "latitude", Unit: "°"}, {Name: "longitude", Unit: "°"}, {Name: "altitude", Unit: "m"},
	{Name: "speed", Unit: "m/s"}, {Name: "track", Unit: "°"},
	{Name: "satellites"}, {Name: "fix"}, {Name: "hdop"},
}

const (
	defaultSilence = 10 * time.Second
	// rollover is after how long the number of a GPS week repeats itself.
	rollover = 1024 * 7 * 24 * time.Hour
	// latency is by how much a report may come after the moment of its fix.
	latency = time.Second
)

// Receiver is one receiver.
type Receiver struct {
	options  Options
	state    state.State
	readings []sensors.Reading
	emit     func([]sensors.Reading)
	// open opens the connection, and returns what makes reports of its lines.
	open func(ctx context.Context) (connection, lineReader, error)
}

// connection is a serial port or a connection to gpsd. Closing it ends a Read.
type connection interface {
	Read([]byte) (int, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// lineReader makes reports of lines.
type lineReader interface {
	// line takes a line without its end, and the arrival of its first byte. It says
	// what is wrong with it.
	line(text []byte, at arrival) error
	// pending says whether lines are waiting for others of the same report, and pause
	// that none has come for a while.
	pending() bool
	pause()
}

// New returns the receiver that the options describe, or what is wrong with them.
// It does not ask whether it is there.
func New(o Options) (*Receiver, error) {
	if o.Silence == 0 {
		o.Silence = defaultSilence
	}
	if o.Silence < time.Second {
		return nil, fmt.Errorf("GNSS receiver: a silence of %v is too short: receivers report once a second", o.Silence)
	}
	if o.NotBefore.IsZero() {
		o.NotBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if o.NotAfter.IsZero() {
		o.NotAfter = o.NotBefore.Add(rollover)
	}
	if !o.NotAfter.After(o.NotBefore) {
		return nil, fmt.Errorf("GNSS receiver: no date is after %v and before %v", o.NotBefore, o.NotAfter)
	}
	r := &Receiver{options: o}
	if o.Port != "" {
		if o.GPSD != "" || o.Receiver != "" {
			return nil, errors.New("GNSS receiver: give a serial port or gpsd, not both")
		}
		if r.options.Baud == 0 {
			r.options.Baud = 9600
		}
		if !slices.Contains(bauds, r.options.Baud) {
			return nil, fmt.Errorf("GNSS receiver: %s cannot have %d baud; there are %d", o.Port, o.Baud, bauds)
		}
		r.open = r.openPort
		return r, nil
	}
	if o.Baud != 0 {
		return nil, errors.New("GNSS receiver: gpsd finds the baud rate by itself; a baud rate belongs to a serial port")
	}
	if o.GPSD == "" {
		r.options.GPSD = "localhost:2947"
	} else if _, _, err := net.SplitHostPort(o.GPSD); err != nil {
		return nil, fmt.Errorf("GNSS receiver: gpsd's address: %w; it is like localhost:2947", err)
	}
	r.open = r.openGPSD
	return r, nil
}

// Channels are latitude and longitude (°), altitude above mean sea level (m), speed
// (m/s), track (° from north), satellites (used), fix (0, 2 or 3 dimensions) and hdop.
// What a receiver does not say is no reading; without a fix there are fix (0) and
// satellites alone.
func (r *Receiver) Channels() []sensors.Channel { return slices.Clone(channels) }

// Status is how the receiver is doing. Having no fix is no failure. Each line that is
// none counts as one, and alone does not make an error.
func (r *Receiver) Status() sensors.Status { return r.state.Status() }

// Run reads the receiver. One that is not there, or falls silent, is opened again
// and again.
func (r *Receiver) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	const shortest, longest = time.Second, 5 * time.Second
	r.emit = emit
	wait := shortest
	for {
		begin := r.Status().Readings
		err := r.session(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.state.Failed(1, fmt.Errorf("GNSS receiver: %w", err))
		if r.Status().Readings != begin {
			wait = shortest // it worked: perhaps it was unplugged for a moment
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait/2 + rand.N(wait/2)):
		}
		wait = min(2*wait, longest)
	}
}

// send hands readings over.
func (r *Receiver) send(err error) {
	if len(r.readings) > 0 {
		r.emit(r.readings)
	}
	if err == nil {
		r.state.Worked(len(r.readings))
	} else {
		r.state.Partly(len(r.readings), 1, err)
	}
	r.readings = r.readings[:0]
}

func (r *Receiver) add(at arrival, channel int, value float64) {
	r.readings = append(r.readings, sensors.Reading{Time: at.wall, Channel: channel, Value: value})
}

// time gives a fix's time to whom it may concern, or says why not.
func (r *Receiver) time(f Fix) error {
	if r.options.Time == nil {
		return nil
	}
	if t := time.Unix(0, f.UTC).UTC(); t.Before(r.options.NotBefore) || t.After(r.options.NotAfter) {
		return fmt.Errorf("GNSS receiver: its date, %s, is not believed: it is not between %s and %s; is it a receiver whose week number has overflowed?",
			t.Format(time.DateOnly), r.options.NotBefore.Format(time.DateOnly), r.options.NotAfter.Format(time.DateOnly))
	}
	r.options.Time(f)
	return nil
}
