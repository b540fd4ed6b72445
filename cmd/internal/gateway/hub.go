package gateway

import (
	"encoding/binary"
	"io"
	"math"
	"os"
	"sync"
	"time"

	"milepost/aggregate"
	"milepost/can"
	"milepost/can/dbc"
	"milepost/sensors"
)

// hub makes one Bus of all sensors, so that their readings go the way of frames:
// each channel is a stream, and a reading a frame that holds its value as a
// 64-bit floating-point number.
type hub struct {
	buses    []string
	bus      []uint16 // of each stream
	first    []uint32 // stream of each sensor
	bindings []*Binding

	mu       sync.Mutex
	queue    []hubReading
	dropped  uint64
	misdated uint64
	closed   bool
	wake     chan struct{}

	// The reader's own.
	deadline time.Time
	taken    []hubReading
	next     int
}

type hubReading struct {
	time   int64
	value  float64
	stream uint32
}

// hubQueue is how many readings may wait. The reader takes them as they come.
const hubQueue = 1 << 14

// readingPlan decodes the payload of a reading.
var readingPlan = func() *dbc.Plan {
	message := &dbc.Message{Name: "reading", Length: 8, Signals: []*dbc.Signal{{Name: "value", Length: 64, Kind: dbc.Float64, Factor: 1}}}
	decoder := dbc.Compile([]*dbc.Database{{Messages: []*dbc.Message{message}}}, dbc.Options{Match: dbc.MatchExact})
	return decoder.Lookup(0, false)
}()

func newHub(all []LiveSensor) *hub {
	h := &hub{wake: make(chan struct{}, 1)}
	numbers := make(map[string]uint16)
	channels := make(map[string]uint32) // so far, of a driver
	for _, s := range all {
		if _, ok := numbers[s.Driver]; !ok {
			numbers[s.Driver] = uint16(len(h.buses))
			h.buses = append(h.buses, s.Driver)
		}
		h.first = append(h.first, uint32(len(h.bindings)))
		for _, channel := range s.Sensor.Channels() {
			group := &aggregate.Group{
				Bus: s.Driver, Name: s.Name, ID: channels[s.Driver], // which tells the groups of a driver apart
				Series: []aggregate.Series{{Name: channel.Name, Unit: channel.Unit, Kind: aggregate.Float, Bits: 64, Factor: 1}},
			}
			channels[s.Driver]++
			h.bus = append(h.bus, numbers[s.Driver])
			h.bindings = append(h.bindings, &Binding{Plan: readingPlan, Group: group})
		}
	}
	return h
}

// A reading comes soon after it was measured. One whose time is farther from now
// has a wrong one, of a broken clock of the sensor's own or of ours before it was
// set, and gets that of its arrival: all sensors share their windows, and one of
// them must not close those of the others.
const (
	mostAhead  = int64(time.Second)
	mostBehind = int64(time.Minute)
)

// emit takes the readings of a sensor; it never waits.
func (h *hub) emit(sensor int) func([]sensors.Reading) {
	first := h.first[sensor]
	return func(readings []sensors.Reading) {
		now := wall()
		h.mu.Lock()
		for i := range readings {
			if len(h.queue) == hubQueue || h.closed {
				h.dropped++
				continue
			}
			r := &readings[i]
			at := r.Time
			if at > now+mostAhead || at < now-mostBehind {
				at = now
				h.misdated++
			}
			h.queue = append(h.queue, hubReading{at, r.Value, first + uint32(r.Channel)})
		}
		h.mu.Unlock()
		h.poke()
	}
}

func (h *hub) poke() {
	select {
	case h.wake <- struct{}{}:
	default:
	}
}

// Dropped counts the readings for which there was no room.
func (h *hub) Dropped() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.dropped
}

// Misdated counts the readings that got the time of their arrival.
func (h *hub) Misdated() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.misdated
}

// Read implements can.Source.
func (h *hub) Read(frames []can.Frame) (n int, err error) {
	for h.next == len(h.taken) {
		h.mu.Lock()
		h.taken, h.queue, h.next = h.queue, h.taken[:0], 0
		closed := h.closed
		h.mu.Unlock()
		if len(h.taken) > 0 {
			break
		}
		if closed {
			return 0, io.EOF
		}
		timer := time.NewTimer(time.Until(h.deadline))
		select {
		case <-h.wake:
			timer.Stop()
		case <-timer.C:
			return 0, os.ErrDeadlineExceeded
		}
	}
	for n < len(frames) && h.next < len(h.taken) {
		r, f := &h.taken[h.next], &frames[n]
		f.Time, f.Stream, f.Bus, f.ID, f.Flags, f.Len = r.time, r.stream, h.bus[r.stream], r.stream, 0, 8
		binary.LittleEndian.PutUint64(f.Data[:], math.Float64bits(r.value))
		h.next++
		n++
	}
	return n, nil
}

// Buses implements can.Source: the drivers.
func (h *hub) Buses() []string { return h.buses }

// SetReadDeadline implements Bus.
func (h *hub) SetReadDeadline(t time.Time) error {
	h.deadline = t
	return nil
}

// Close implements Bus. What came before it is still read.
func (h *hub) Close() error {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.poke()
	return nil
}
