// Package sensors defines what is measured beside the buses: lines, voltages,
// temperatures, positions.
//
// The packages below it are the drivers, one a technology: gpio, sysfs, i2c,
// gnss. They know neither windows nor records; whoever runs a Sensor binds its
// channels to series.
package sensors

import (
	"context"
	"time"
)

// Channel is one quantity that a Sensor measures.
type Channel struct {
	// Name is the channel's name among those of its sensor: "temperature".
	Name string
	// Unit is the unit of its values as SI writes it: "°C", "V", "m/s²"; empty
	// for plain numbers and states.
	Unit string
}

// Reading is one value of one channel.
type Reading struct {
	// Time is when it was measured, in nanoseconds since the Unix epoch, UTC: the
	// kernel's time stamp where it gives one.
	Time int64
	// Channel is an index into the Sensor's Channels.
	Channel int
	// Value is in the channel's unit. It is finite.
	Value float64
}

// Sensor measures one thing: a line, a chip, a receiver.
//
// A Sensor that is missing, or fails, is a state and no end: it is tried again
// until it works.
type Sensor interface {
	// Channels are what it measures, the same at all times.
	Channels() []Channel
	// Run measures until the context is done, when it returns nil. It hands over
	// readings, in the order of their times, from one goroutine at a time; emit
	// does not block and does not keep the slice. Any other error says that the
	// sensor can never work as it is configured. Run is called once.
	Run(ctx context.Context, emit func([]Reading)) error
	// Status is how it is doing. It is safe for concurrent use.
	Status() Status
}

// Status is the state of a Sensor.
type Status struct {
	// Err is why it does not work: it is missing, or the last try has failed. Nil
	// while it works, and before the first try.
	Err error
	// Since is when Err became or ceased to be nil; zero before the first try.
	Since time.Time
	// Readings were handed over. Failures are tries that gave none.
	Readings, Failures uint64
	// Lost are events that the kernel dropped before they could be read.
	Lost uint64
}
