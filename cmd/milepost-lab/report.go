package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"milepost/can/cantest"
	"milepost/cmd/internal/gateway"
)

// errDelivery is the error of a demo whose check has found something.
var errDelivery = errors.New("what arrived is not what was summarised")

// tellStep prints the head of a step, with the time that it took at the end of
// the line.
func (d *demo) tellStep(what string, took time.Duration) {
	fmt.Fprintf(d.out, "%-78s %6.2f s\n", what, took.Seconds())
}

func (d *demo) tell(format string, args ...any) { fmt.Fprintf(d.out, format+"\n", args...) }

// row prints a number as gateway.Ledger does, and what it counts.
func (d *demo) row(n uint64, format string, args ...any) {
	d.tell("%14s  %s", gateway.Grouped(n), fmt.Sprintf(format, args...))
}

func (d *demo) tellDrive(took time.Duration) {
	r := &d.recording
	var loads []string
	for i, load := range r.loads {
		loads = append(loads, fmt.Sprintf("%s %.0f %%", r.Buses()[i], 100*load))
	}
	messages, signals, motorola, multiplexed, named := describe(r.drive.Model())
	d.tellStep(fmt.Sprintf("1  A drive of %v is simulated and recorded", d.duration), took)
	d.row(r.frames, "frames, bus load %s of 500 kbit/s", strings.Join(loads, ", "))
	d.row(messages, "messages with %d signals: %d Intel, %d Motorola,", signals, signals-motorola, motorola)
	d.tell("%14s  %d multiplexed, %d with named values", "", multiplexed, named)
	d.row(uint64(r.bytes), "bytes of candump log")
	d.tell("")
}

// describe counts what is in a model.
func describe(m *cantest.Model) (messages, signals, motorola, multiplexed, named uint64) {
	for i := range m.Messages {
		messages++
		for _, s := range m.Messages[i].Signals {
			signals++
			if s.Motorola {
				motorola++
			}
			if s.Group != cantest.NoGroup {
				multiplexed++
			}
			if s.Table != nil {
				named++
			}
		}
	}
	return messages, signals, motorola, multiplexed, named
}

func (d *demo) tellReplay(took time.Duration) {
	d.tellStep("2  The log is replayed through windows and write-ahead log to an MQTT broker", took)
	d.result.Ledger.WriteTo(d.out)
	d.tell("")
	o := &d.outage
	summarising := d.summarised.Sub(d.replayed)
	d.tell("%14s  the link is cut:   %9s records delivered, %9s waiting",
		clock(o.atCut.time), gateway.Grouped(o.atCut.delivered), gateway.Grouped(o.atCut.waiting))
	d.tell("%14s  the link is back:  %9s records delivered, %9s waiting,",
		clock(o.atHeal.time), gateway.Grouped(o.atHeal.delivered), gateway.Grouped(o.atHeal.waiting))
	d.tell("%14s  %d tries to send have failed", "", o.atHeal.failed)
	d.tell("%14s  the drive ends: summarised after %.2f s, delivered %.2f s later",
		clock(d.result.To), summarising.Seconds(), (d.result.Took - summarising).Seconds())
	d.tell("")
}

func (d *demo) tellCheck(took time.Duration) {
	f := &d.checker.found
	d.tellStep("3  What arrived is checked against what was summarised, record by record", took)
	d.row(uint64(len(d.account.entries)), "records summarised, as taken down before they were stored")
	d.row(f.Delivered, "of them arrived, equal in every value and the histogram,")
	d.tell("%14s  in %s MQTT messages", "", gateway.Grouped(d.messages))
	d.row(f.Copies, "more copies, which MQTT sent again after the cut: equal, too")
	d.row(f.Missing, "missing    %14s  altered", gateway.Grouped(f.Altered))
	d.row(f.Unexpected, "unexpected %14s  out of order", gateway.Grouped(f.Disordered))
	d.row(f.Different, "of %d signals differ from what was sent (count, min, max, first, last)", len(d.account.series))
	d.row(f.Unbalanced, "numbers of the ledger differ from what was sent and summarised")
	for _, example := range f.Examples {
		d.tell("%14s  %s", "!", example)
	}
	d.tell("")
}

// sampleSignals are shown as a sample of what arrived.
var sampleSignals = []string{"VehicleSpeed", "EngineSpeed", "StateOfCharge", "CoolantDisplay"}

func (d *demo) tellSample() {
	c := d.checker
	d.tell("   %-15s %-*s %9s %9s %9s", "What arrived", curveColumns+1, time.Duration(c.column).String()+" a column", "min", "avg", "max")
	for _, name := range sampleSignals {
		for i := range c.totals {
			if s, t := &d.account.series[i], &c.totals[i]; s.signal == name && t.count > 0 {
				d.tell("   %-15s %s  %9.1f %9.1f %9.1f  %s", name, &c.curves[i], t.min, t.sum/float64(t.count), t.max, s.unit)
			}
		}
	}
	d.tell("")
}

func (d *demo) tellVerdict(took time.Duration) error {
	if d.kept {
		d.tell("The log, its DBC file and what arrived (%s) are in %s.", demoDelivered, d.dir)
		d.tell("To go on (milepost is `go run ./cmd/milepost` here):")
		d.tell("  milepost replay --dbc %s --to csv -o drive.csv %s", d.path(demoDBC), d.path(demoLog))
		d.tell("  milepost decode --dbc %s %s | less", d.path(demoDBC), d.path(demoLog))
		d.tell("  milepost spool ls %s", d.path(demoSpool))
		d.tell("")
	}
	f := &d.checker.found
	if !f.right() {
		return fmt.Errorf("%w: %d missing, %d altered, %d out of order, %d unexpected; %d signals and %d sums differ from what was sent",
			errDelivery, f.Missing, f.Altered, f.Disordered, f.Unexpected, f.Different, f.Unbalanced)
	}
	d.tell("OK  none missing, none twice, in order: %s records, by their keys, in %.1f s",
		gateway.Grouped(f.Delivered), took.Seconds())
	return nil
}
