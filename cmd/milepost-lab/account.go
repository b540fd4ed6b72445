package main

import (
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"time"

	"milepost/aggregate"
	"milepost/aggregate/histogram"
	"milepost/can"
)

// account is what was summarised, record by record, taken down before anything
// of it is encoded, stored or sent. Record n of a replay is its entry n-1.
type account struct {
	seed    maphash.Seed
	entries []entry
	series  []series
	// first is the number of a group's first series in series.
	first   map[*aggregate.Group]int
	scratch []byte
}

// entry is the account of one record.
type entry struct {
	start, duration int64
	revision        uint32
	series          int32
	count           uint64
	value           aggregate.Value
	histogram       uint64 // a hash
}

// series is one signal of one message on one bus.
type series struct {
	bus, message, signal, unit string
	id                         uint32
	extended                   bool
}

func (s *series) String() string {
	return fmt.Sprintf("%s %s %s.%s", s.bus, can.FormatID(s.id, s.extended), s.message, s.signal)
}

// newAccount makes an account with room for so many records.
func newAccount(room int) *account {
	return &account{seed: maphash.MakeSeed(), entries: make([]entry, 0, room), first: make(map[*aggregate.Group]int)}
}

// add takes the summaries of a window down, in the order of their records.
func (a *account) add(w *aggregate.Window) {
	for i := range w.Groups {
		group := w.Groups[i].Group
		first, ok := a.first[group]
		if !ok {
			first = len(a.series)
			a.first[group] = first
			for _, s := range group.Series {
				a.series = append(a.series, series{group.Bus, group.Name, s.Name, s.Unit, group.ID, group.Extended})
			}
		}
		for j := range w.Groups[i].Summaries {
			s := &w.Groups[i].Summaries[j]
			if s.Count == 0 {
				continue
			}
			a.entries = append(a.entries, entry{
				start: w.Start, duration: w.Duration, revision: w.Revision,
				series: int32(first + j),
				count:  s.Count, value: s.Value(&group.Series[j]),
				histogram: a.hash(&s.Histogram),
			})
		}
	}
}

func (a *account) hash(h *histogram.Histogram) uint64 {
	a.scratch = appendHistogram(a.scratch[:0], h)
	return maphash.Bytes(a.seed, a.scratch)
}

// appendHistogram writes a histogram such that different ones differ.
func appendHistogram(dst []byte, h *histogram.Histogram) []byte {
	dst = append(dst, byte(h.Scale))
	dst = binary.LittleEndian.AppendUint64(dst, h.Zero)
	for _, b := range []*histogram.Buckets{&h.Positive, &h.Negative} {
		offset := b.Offset
		if len(b.Counts) == 0 {
			offset = 0 // means nothing there
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(offset))
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(b.Counts)))
		for _, c := range b.Counts {
			dst = binary.LittleEndian.AppendUint64(dst, c)
		}
	}
	return dst
}

// name names a record for people; sequence is one of the account's.
func (a *account) name(sequence uint64) string {
	e := &a.entries[sequence-1]
	return fmt.Sprintf("record %d (%s %s)", sequence, clock(e.start), &a.series[e.series])
}

// clock writes the time of day.
func clock(nanoseconds int64) string {
	return time.Unix(0, nanoseconds).UTC().Format("15:04:05")
}
