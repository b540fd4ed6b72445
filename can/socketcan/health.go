package socketcan

import (
	"math"
	"time"

	"milepost/can"
)

// Health is how a Bus is doing.
type Health struct {
	// Present says that the interface is there; Link is what the kernel said of it
	// last, at most a second ago.
	Present bool
	Link    Link
	// Err is why no frames can come: the interface is absent or down, or cannot be
	// set up or opened. Nil while it is read. Since is when that began.
	Err   error
	Since time.Time
	// Errors count error frames; Link.Device has the driver's own counters.
	Errors ErrorCounters
	// TxErrors and RxErrors are the controller's error counters: the driver's where
	// it has them, or those of the last error frame.
	TxErrors, RxErrors uint16
	// Received frames were handed out, error frames included; Dropped were lost
	// because they were not fetched in time, exactly.
	Received, Dropped uint64
	// Foreign frames were on the bus and no filter wanted them, with
	// BusOptions.CountForeign: what the interface counted less what we were given.
	// Frames that wait to be read are among them until they are.
	Foreign uint64
	// Load is the share of time in which the bus was busy, over the last second or
	// since Health was last asked, whatever is longer; NaN where that is not known.
	// It is an estimate: frames and bytes are the interface's, filtered ones
	// included; how many bits they take, from samples of the frames that were read.
	Load float64
	// Opened is how often the interface was opened. Restarts are the attempts to
	// restart the controller after bus-off that succeeded.
	Opened, Restarts uint64
}

const healthAge = time.Second

// Health reads the interface's state and counters, at most once a second.
func (b *Bus) Health() Health {
	b.asking.Lock()
	defer b.asking.Unlock()
	if now := time.Now(); b.asked.IsZero() || now.Sub(b.asked) >= healthAge {
		b.look(now)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	h := b.health
	if b.socket != nil {
		stats := b.socket.Stats()
		h.Received += stats.Received
		h.Dropped += stats.Dropped
	}
	if h.Link.HasErrorCounters {
		h.TxErrors, h.RxErrors = h.Link.TxErrors, h.Link.RxErrors
	}
	return h
}

// look reads the interface and computes what a reading and the one before tell.
// The caller holds asking.
func (b *Bus) look(now time.Time) {
	link, err := b.sys.readLink(b.o.Interface)
	b.mu.Lock()
	defer b.mu.Unlock()
	before, since, wasPresent := b.health.Link, b.asked, b.health.Present
	b.asked, b.health.Present, b.health.Load = now, err == nil, math.NaN()
	if err != nil {
		b.health.Link = Link{Name: b.o.Interface}
		return
	}
	b.health.Link = link
	if before.Index == link.Index {
		b.countForeignLocked(&before)
	}
	if wasPresent && before.Index == link.Index && !since.IsZero() {
		frames, bytes := traffic(&link, &before)
		nominal, data := b.mix.bits(frames, bytes)
		b.health.Load = busLoad(nominal, data, firstSet(link.Bitrate, b.o.Bitrate), firstSet(link.DataBitrate, b.o.DataBitrate), now.Sub(since))
	}
	b.mix.fade()
}

// traffic is what was on the bus between two readings of an interface.
func traffic(now, before *Link) (frames, bytes uint64) {
	frames = now.Packets.RxPackets - before.Packets.RxPackets
	bytes = now.Packets.RxBytes - before.Packets.RxBytes
	if now.Kind == "can" { // others count each frame as sent and as received
		frames += now.Packets.TxPackets - before.Packets.TxPackets
		bytes += now.Packets.TxBytes - before.Packets.TxBytes
	}
	if frames > 1<<63 || bytes > 1<<63 { // a driver that begins anew
		return 0, 0
	}
	return frames, bytes
}

func firstSet(a, b uint32) uint32 {
	if a != 0 {
		return a
	}
	return b
}

// countForeignLocked is about the present socket: what the interface has received
// since that was opened, less what came from it. While frames wait to be read, what
// the interface had received at the reading before is taken, which by now should be
// read: too few rather than too many.
func (b *Bus) countForeignLocked(before *Link) {
	if !b.o.CountForeign || b.socket == nil || b.health.Link.Index != b.socket.index {
		return
	}
	arrived := b.health.Link.Packets.RxPackets
	if !b.socket.empty() {
		arrived = before.Packets.RxPackets
	}
	stats := b.socket.Stats()
	ours := stats.Received + stats.Dropped - b.notArrived.Load()
	if n := arrived - b.arrivedBefore - ours; n < 1<<63 {
		b.health.Foreign = max(b.health.Foreign, b.foreignBefore+n)
	}
}

// examine takes note of what frames tell beside their content.
func (b *Bus) examine(frames []can.Frame) {
	var aside uint64
	for i := range frames {
		f := &frames[i]
		if f.Flags&(can.Error|can.Sent) == 0 {
			continue
		}
		if f.Flags&can.Error != 0 {
			aside++
			b.countError(f)
		} else if b.isDevice {
			aside++
		}
	}
	if aside > 0 {
		b.notArrived.Add(aside)
	}
	if b.untilNext -= len(frames); b.untilNext < 0 {
		f := &frames[max(0, b.untilNext+len(frames))]
		b.untilNext = sampleEvery
		if f.Flags&can.Error == 0 {
			b.mu.Lock()
			b.mix.add(f)
			b.mu.Unlock()
		}
	}
}

func (b *Bus) countError(f *can.Frame) {
	b.mu.Lock()
	b.health.Errors.count(f)
	if tx, rx, ok := errorCountersOf(f); ok {
		b.health.TxErrors, b.health.RxErrors = uint16(tx), uint16(rx)
	}
	b.mu.Unlock()
	if isBusOff(f) {
		b.log.warn("the controller is in bus-off: it neither sends nor receives")
		if b.o.Link != nil {
			b.beginCare()
		}
	}
}
