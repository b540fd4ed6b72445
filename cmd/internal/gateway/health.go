package gateway

import (
	"context"
	"math"
	"sync/atomic"
	"time"

	"milepost/cmd/internal/status"
	"milepost/sensors"
)

// ownSensors measure the gateway itself: its buses and what became of the data.
// Their readings travel like those of other sensors, so that whoever reads the
// records also reads how far they can be relied on.
func (l *Live) ownSensors() []LiveSensor {
	var own []LiveSensor
	for _, bus := range l.Buses {
		if bus.Health != nil {
			own = append(own, LiveSensor{Driver: bus.Name, Name: "bus", Sensor: newGauges(l.interval(), busChannels, func(values []float64) {
				health := bus.Health()
				busValues(&health, values)
			})})
		}
	}
	return append(own, LiveSensor{Driver: "milepost", Name: "ledger", Sensor: newGauges(l.interval(), ledgerChannels, l.ledgerValues)})
}

// interval is how often the gateway measures itself: once a window.
func (l *Live) interval() time.Duration { return max(l.Window, time.Second) }

// gauge is a channel of the gateway's own. Of a counter, what was added since the
// reading before is handed over, so that the sum over windows is the count.
type gauge struct {
	sensors.Channel
	counter bool
}

func counter(name string) gauge { return gauge{sensors.Channel{Name: name}, true} }

// gauges is a Sensor that asks its owner. It implements sensors.Sensor.
type gauges struct {
	interval time.Duration
	channels []gauge
	fill     func(values []float64)
	readings atomic.Uint64
}

// newGauges makes a sensor of channels, whose values fill fills in; NaN is none.
func newGauges(interval time.Duration, channels []gauge, fill func([]float64)) *gauges {
	return &gauges{interval: interval, channels: channels, fill: fill}
}

// Channels implements sensors.Sensor.
func (g *gauges) Channels() (channels []sensors.Channel) {
	for _, c := range g.channels {
		channels = append(channels, c.Channel)
	}
	return channels
}

// Status implements sensors.Sensor.
func (g *gauges) Status() sensors.Status { return sensors.Status{Readings: g.readings.Load()} }

// Run implements sensors.Sensor. The last reading is made when ctx is done, so that
// the counts are whole.
func (g *gauges) Run(ctx context.Context, emit func([]sensors.Reading)) error {
	values, before := make([]float64, len(g.channels)), make([]float64, len(g.channels))
	g.fill(before) // what was counted earlier was told earlier
	// In the middle of windows there is one reading in each.
	now := time.Now()
	select {
	case <-ctx.Done():
	case <-time.After(now.Truncate(g.interval).Add(3*g.interval/2).Sub(now) % g.interval):
	}
	ticker := time.NewTicker(g.interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
		case <-ticker.C:
		}
		g.fill(values)
		now := wall()
		var readings []sensors.Reading
		for i, v := range values {
			if math.IsNaN(v) {
				continue
			}
			if g.channels[i].counter {
				v, before[i] = v-before[i], v
			}
			readings = append(readings, sensors.Reading{Time: now, Channel: i, Value: v})
		}
		g.readings.Add(uint64(len(readings)))
		emit(readings)
		if ctx.Err() != nil {
			return nil
		}
	}
}

// busChannels and busValues belong together.
var busChannels = []gauge{
	{Channel: sensors.Channel{Name: "state"}},
	{Channel: sensors.Channel{Name: "load", Unit: "%"}},
	{Channel: sensors.Channel{Name: "tx_errors"}},
	{Channel: sensors.Channel{Name: "rx_errors"}},
	counter("frames"), counter("dropped"), counter("foreign"), counter("error_frames"),
	counter("warnings"), counter("passives"), counter("bus_offs"), counter("restarts"), counter("arbitration_lost"),
}

func busValues(b *status.Bus, v []float64) {
	optional := func(p *float64) float64 {
		if p == nil {
			return math.NaN()
		}
		return *p
	}
	v[0] = float64(b.StateNumber())
	v[1] = 100 * optional(b.Load)
	v[2], v[3] = float64(b.TxErrors), float64(b.RxErrors)
	for i, n := range []uint64{b.Received, b.Dropped, b.Foreign, b.ErrorFrames, b.Warnings, b.Passives, b.BusOffs, b.Restarts, b.ArbitrationLost} {
		v[4+i] = float64(n)
	}
}

// ledgerChannels and ledgerValues belong together.
var ledgerChannels = []gauge{
	counter("frames"), counter("decoded"), counter("unknown"), counter("duplicates"), counter("dropped"), counter("late"),
	counter("kernel_dropped"), counter("readings_dropped"), counter("readings_misdated"), counter("clock_steps"),
	counter("evicted_entries"), counter("missing_entries"), counter("dropped_entries"),
	{Channel: sensors.Channel{Name: "spool", Unit: "B"}},
}

func (l *Live) ledgerValues(v []float64) {
	ledger, spooled := l.closer.ledger(), l.spools.Stats()
	var kernel uint64
	for _, bus := range l.Buses {
		if bus.Health != nil {
			kernel += bus.Health().Dropped
		}
	}
	for i, n := range []uint64{
		ledger.Frames, ledger.Decoded, ledger.Unknown, ledger.Duplicates, ledger.Dropped, ledger.Late,
		kernel, l.hub.Dropped() + ledger.ReadingsDropped, l.hub.Misdated(), ledger.ClockSteps,
		spooled.EvictedEntries, spooled.Missing, spooled.Dropped,
		uint64(spooled.Bytes),
	} {
		v[i] = float64(n)
	}
}
