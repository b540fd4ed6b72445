// Package uplinktest has what tests of the uplink need: records, fake sinks, and
// the contract suite that every Sink passes. Its subpackages are brokers and a
// link to cut.
package uplinktest

import (
	"math"
	"slices"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
	"milepost/uplink"
)

// Boot is the boot ID of Records.
var Boot = uplink.BootID{0x0d, 0x15, 0xea, 0x5e, 4, 5, 0x46, 7, 0x88, 9, 10, 11, 12, 13, 14, 15}

// Device is the device of Records.
const Device = "van-17"

// groups are what Records summarise: integers, floats, a negative factor, an
// extended ID, a sensor, and text that has to be escaped.
var groups = []*aggregate.Group{
	{Bus: "can0", ID: 0x1A4, HasID: true, Name: "ENGINE_1", Series: []aggregate.Series{
		{Name: "EngineSpeed", Unit: "rpm", Bits: 16, Factor: 0.25},
		{Name: "OilTemp", Unit: "°C", Bits: 8, Factor: 1, Offset: -40},
	}},
	{Bus: "can1", ID: 0x18FEF100, HasID: true, Extended: true, Name: "CCVS", Series: []aggregate.Series{
		{Name: "WheelSpeed", Unit: "km/h", Bits: 16, Factor: -1. / 256},
		{Name: "Odd \"name\", with\ta tab", Bits: 8, Factor: 1},
	}},
	{Bus: "gpio", Name: "cabin", Series: []aggregate.Series{
		{Name: "humidity", Unit: "%", Kind: aggregate.Float, Bits: 64, Factor: 1},
	}},
}

// Records makes n records of one device and boot with the sequences from first
// on, the same ones whenever it is called: five series, sampled ten times a
// second.
func Records(first uint64, n int) []uplink.Record {
	var series []struct {
		group  *aggregate.Group
		series *aggregate.Series
	}
	for _, g := range groups {
		for i := range g.Series {
			series = append(series, struct {
				group  *aggregate.Group
				series *aggregate.Series
			}{g, &g.Series[i]})
		}
	}
	const second = 1_000_000_000
	records := make([]uplink.Record, n)
	for i := range records {
		sequence := first + uint64(i)
		s := series[int(sequence%uint64(len(series)))]
		records[i] = uplink.Record{
			Device:   Device,
			Boot:     Boot,
			Sequence: sequence,
			Start:    1_780_000_000*second + int64(sequence/uint64(len(series)))*second,
			Duration: second,
			Group:    s.group,
			Series:   s.series,
			Summary:  summary(s.series, sequence),
		}
		if sequence%17 == 0 {
			records[i].Revision = uint32(sequence % 3)
		}
	}
	return records
}

// summary summarises ten samples that follow from the seed.
func summary(series *aggregate.Series, seed uint64) aggregate.Summary {
	s := aggregate.Summary{Count: 10, Histogram: histogram.New()}
	var sum float64
	for i := range uint64(10) {
		raw := int64((seed*2654435761 + i*40503) >> 7 & 0xff)
		if seed%4 == 0 {
			raw = int64(seed & 0x7f) // constant
		}
		number := float64(raw)
		sum += number
		if series.Kind == aggregate.Float {
			raw = int64(math.Float64bits(number))
		}
		if i == 0 {
			s.First, s.Min, s.Max = raw, raw, raw
		}
		s.Min, s.Max, s.Last = min(s.Min, raw), max(s.Max, raw), raw // non-negative floats order like their bits
		s.Histogram.Add(series.Physical(raw), 1)
	}
	if series.Kind == aggregate.Float {
		s.Sum.Terms = []float64{sum}
	} else {
		s.Sum.Low = uint64(sum)
	}
	return s
}

// ClockRecords are ten of the Records as a live gateway makes them: of a clock
// that was not set and of which nothing was learnt, that was set, that was
// synchronized, and of one that was learnt later, so that they were moved; the
// fifth of each kind says that its series has no samples any more.
func ClockRecords() []uplink.Record {
	const uptime = 42_000_000_000
	records := Records(1, 20)
	for i := range records {
		r := &records[i]
		r.Uptime = uptime + int64(i/5)*1_000_000_000 + 250_000_000
		switch i / 5 {
		case 0:
			r.Clock, r.Start = aggregate.ClockUnset, 42_000_000_000
		case 1:
			r.Clock = aggregate.ClockSet
		case 2:
			r.Clock = aggregate.ClockSynchronized
		case 3:
			r.Clock, r.Moved = aggregate.ClockSynchronized, 1_779_999_958_123_456_000
			r.Start = 45_000_000_000 + r.Moved
		}
		if i%5 == 4 {
			r.Summary = aggregate.Summary{Absent: true, Histogram: histogram.New()}
		}
	}
	return slices.DeleteFunc(records, func(r uplink.Record) bool { return r.Sequence%2 == 0 && r.Summary.Count != 0 })
}
