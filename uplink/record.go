// Package uplink carries summaries from the spool to those who use them: the
// records, their encodings on the wire, and the Forwarder that hands them to a
// Sink at the pace of the link.
package uplink

import (
	"encoding/hex"
	"fmt"

	"milepost/aggregate"
)

// BootID identifies one run of a device between power-on and power-off (of a
// replay: one replay), as /proc/sys/kernel/random/boot_id does.
type BootID [16]byte

// String writes the ID as a UUID.
func (b BootID) String() string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// ParseBootID reads what String writes.
func ParseBootID(s string) (b BootID, err error) {
	digits := make([]byte, 0, 32)
	for i := range len(s) {
		if s[i] != '-' {
			digits = append(digits, s[i])
		}
	}
	if n, err := hex.Decode(b[:], digits[:min(len(digits), 32)]); err != nil || n != len(b) || len(digits) != 32 {
		return b, fmt.Errorf("boot ID %q is not a UUID", s)
	}
	return b, nil
}

// Record is the summary of one series in one window, as it is delivered.
//
// Device, Boot and Sequence identify it: a record that is delivered again after
// a fault has the same three, and no other record ever has.
type Record struct {
	Device string
	Boot   BootID
	// Sequence counts the records of a device and boot from 1, without gaps.
	Sequence uint64
	// Start and Duration are the window's, in nanoseconds; Revision is above 0
	// for a correction (see aggregate.Window).
	Start, Duration int64
	Revision        uint32
	// Clock says how far Start can be trusted. Where it is known, Uptime is what
	// the boot clock (CLOCK_BOOTTIME) said at the window's start, in nanoseconds,
	// and Moved how much was added to Start since, because a better clock was
	// learnt later in the same boot: Start-Moved is a multiple of Duration.
	Clock         aggregate.Clock
	Uptime, Moved int64
	// Group and Series say what was summarised, Summary how. A Summary without
	// samples is Absent: it says that the series has none from this window on.
	Group   *aggregate.Group
	Series  *aggregate.Series
	Summary aggregate.Summary
}

// Value is the summary in physical units.
func (r *Record) Value() aggregate.Value { return r.Summary.Value(r.Series) }
