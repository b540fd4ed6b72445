package board_test

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ledgerRecords is how many records the gateway says it has made, at the end of a
// run.
var ledgerRecords = regexp.MustCompile(`\s([0-9,]+)  records`)

// ignitionOff switches the ignition off, and returns when the gateway waits for it,
// with the number of records that it has made since it was on.
func (d *day) ignitionOff() (records int) {
	d.t.Helper()
	d.check(d.b.SetLine(ignitionLine, false))
	const waits = "waiting for the ignition"
	for deadline := time.Now().Add(patience); !strings.Contains(d.b.Console(), waits); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			d.t.Fatalf("the ignition is off, and the gateway does not wait for it:\n%s", d.b.Console())
		}
	}
	said, _, _ := strings.Cut(d.b.Console(), waits)
	found := ledgerRecords.FindAllStringSubmatch(said, -1)
	if len(found) != 1 {
		d.t.Fatalf("the gateway's account of its run is not there once:\n%s", said)
	}
	records, err := strconv.Atoi(strings.ReplaceAll(found[0][1], ",", ""))
	d.check(err)
	if _, err := d.b.Run(d.t.Context(), "milepost", "status", spoolDir); err == nil {
		d.t.Error("the gateway still answers while the ignition is off")
	}
	return records
}

// ignitionOn switches it on again, and returns when everything is read.
func (d *day) ignitionOn() (at time.Time) {
	d.t.Helper()
	at = time.Now()
	d.check(d.b.SetLine(ignitionLine, true))
	d.waitRunning()
	return at
}
