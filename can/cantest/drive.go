package cantest

import (
	"io"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"milepost/can"
)

// DriveOptions choose a Drive. The zero value is a good one.
type DriveOptions struct {
	// Start is the time from which the frames are sent, to the microsecond;
	// DefaultStart if it is zero.
	Start time.Time
	// Duration is how long they are; DefaultDuration if it is zero.
	Duration time.Duration
	// Seed chooses the noise, the jitter and the phases of the messages.
	Seed uint64
	// Buses names the two buses; "can0" and "can1" if it is empty. With one name,
	// only the traffic of the first bus is made.
	Buses []string
}

// DefaultDuration is one round of the demo vehicle: from parked to parked again.
const DefaultDuration = 20 * time.Minute

// DefaultStart is a Monday morning.
var DefaultStart = time.Date(2026, time.March, 2, 6, 30, 0, 0, time.UTC)

// Drive is a can.Source: the traffic of a vehicle on two buses of 500 kbit/s.
//
// Each message is released in its cycle, up to 0.1 ms late. On each bus one
// frame is sent at a time, the pending one with the highest priority first, and
// takes the time of its bits, stuff bits included. A frame's Time is the end of
// it. Frames come in the order of their times.
//
// The same options give the same frames. Nothing is allocated for a frame. A
// Drive is not safe for concurrent use.
type Drive struct {
	model   *Model
	names   []string
	start   int64
	end     int64
	random  *rand.PCG
	streams can.Streams
	values  []int64
	vehicle *vehicle
	// stepped is the time up to which the vehicle has been moved.
	stepped int64
	buses   []busTraffic
}

// busTraffic is one bus. Times are microseconds since the start of the Drive.
type busTraffic struct {
	plans []plan
	// release is when each of the plans has its next frame ready.
	release []int64
	// free is the end of the last frame.
	free int64
	// current is the frame that starts at at or, once it is packed, ends at at.
	current int
	at      int64
	packed  bool
}

// stepMicros is how often the vehicle is moved.
const stepMicros = 10_000

// NewDrive makes a drive of the demo vehicle, whose DBC is DemoDBC: rounds of
// 20 minutes through a city, over a motorway and back into a car park.
func NewDrive(options DriveOptions) *Drive {
	d := newDrive(DemoModel(), options)
	d.vehicle = newVehicle(d.random, d.values[:quantities])
	return d
}

// newDrive makes the traffic of a Model. Values below quantities are those of
// the vehicle, the others belong to signals that walk.
func newDrive(m *Model, options DriveOptions) *Drive {
	if options.Start.IsZero() {
		options.Start = DefaultStart
	}
	if options.Duration == 0 {
		options.Duration = DefaultDuration
	}
	if len(options.Buses) == 0 {
		options.Buses = []string{"can0", "can1"}
	}
	d := &Drive{
		model:  m,
		names:  slices.Clone(options.Buses),
		start:  options.Start.Truncate(time.Microsecond).UnixNano(),
		end:    options.Duration.Microseconds(),
		random: rand.NewPCG(options.Seed, 0x6d696c65706f7374),
		values: make([]int64, quantities),
		buses:  make([]busTraffic, len(options.Buses)),
	}
	for i := range d.buses {
		b := &d.buses[i]
		b.plans = planBus(m, uint16(i), &d.values, d.random)
		b.release = make([]int64, len(b.plans))
		for j := range b.plans {
			b.release[j] = b.plans[j].release(d.random)
		}
		b.arbitrate()
	}
	return d
}

// Model describes the messages. Decoding a frame with it gives what the vehicle
// did at the time.
func (d *Drive) Model() *Model { return d.model }

// Buses implements can.Source.
func (d *Drive) Buses() []string { return d.names }

// Read implements can.Source. It never waits.
func (d *Drive) Read(frames []can.Frame) (n int, err error) {
	for n < len(frames) {
		if !d.next(&frames[n]) {
			break
		}
		n++
	}
	if n == 0 && len(frames) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// next writes the next frame, if it ends within the Drive. It goes from event to
// event in the order of time, the starts of frames and their ends, so that a
// frame is packed with the state of the vehicle at its start.
func (d *Drive) next(f *can.Frame) bool {
	for {
		bus := 0
		for i := 1; i < len(d.buses); i++ {
			if d.buses[i].at < d.buses[bus].at {
				bus = i
			}
		}
		b := &d.buses[bus]
		if b.at >= d.end {
			return false
		}
		p := &b.plans[b.current]
		if b.packed {
			d.write(f, uint16(bus), p, b)
			b.free = b.at
			b.arbitrate()
			return true
		}
		for d.vehicle != nil && d.stepped <= b.at {
			d.vehicle.step()
			d.stepped += stepMicros
		}
		p.send(d.values, d.random)
		b.release[b.current] = p.release(d.random)
		b.packed = true
		b.at += int64(p.wireBits) * (1_000_000 / Bitrate)
	}
}

// write fills in what a Frame says. Only the first 8 bytes of Data are used.
func (d *Drive) write(f *can.Frame, bus uint16, p *plan, b *busTraffic) {
	if p.stream == can.NoStream {
		p.stream = d.streams.Number(bus, p.id, p.flags&can.Extended != 0)
	}
	f.Time = d.start + b.at*1000
	f.ID = p.id
	f.Stream = p.stream
	f.Bus = bus
	f.Flags = p.flags
	f.Len = p.len
	f.RawDLC = 0
	copy(f.Data[:8], p.payload[:])
}

// arbitrate finds the next frame of the bus and when it starts: of those that
// wait when the bus becomes free the first in priority, else the first that will
// be released.
func (b *busTraffic) arbitrate() {
	b.packed = false
	b.current, b.at = 0, math.MaxInt64
	for i, release := range b.release {
		if release <= b.free {
			b.current, b.at = i, b.free
			return
		}
		if release < b.at {
			b.current, b.at = i, release
		}
	}
}
