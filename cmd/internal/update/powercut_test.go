package update

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"milepost/cmd/internal/slots"
	"milepost/uplink/uplinktest/volatiledisk"
)

// The disk of the model: state, systems, and something that nobody may touch.
const (
	slotSize = 5 << 18 // 1.25 MiB: two chunks
	slotA    = 64 << 10
	slotB    = slotA + slotSize
	dataAt   = slotB + slotSize
	diskSize = dataAt + 64<<10

	// Bytes of a system: one chunk, for speed, and two.
	small = 96 << 10
	large = 1<<20 + 64<<10
)

// board is a device whose power can be cut, with its disk.
type board struct {
	t    *testing.T
	disk *volatiledisk.Disk
	opts volatiledisk.Options
	cuts int
	size int // of a system
	// systems are those that were ever offered, by version; data is beside them.
	systems map[string][]byte
	data    []byte
	// active and offered are versions: what runs when nothing has happened, and what
	// was last offered.
	active, offered string
	log             []string
}

// area is a part of a disk as a slots.Device and a Partition.
type area struct {
	disk     *volatiledisk.Disk
	at, size int64
}

func (a area) ReadAt(p []byte, off int64) (int, error) { return len(p), a.disk.Read(p, a.at+off) }
func (a area) WriteAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > a.size {
		return 0, errors.New("beyond the end")
	}
	return len(p), a.disk.Write(p, a.at+off)
}
func (a area) Sync() error                          { return a.disk.Flush() }
func (a area) Size() int64                          { return a.size }
func (a area) ReadMedium(p []byte, off int64) error { return a.disk.Read(p, a.at+off) }

func (b *board) state() area { return area{b.disk, 0, slotA} }
func (b *board) slot(s slots.Slot) area {
	if s == slots.A {
		return area{b.disk, slotA, slotSize}
	}
	return area{b.disk, slotB, slotSize}
}

func newBoard(t *testing.T, size int, opts volatiledisk.Options, random *rand.Rand) *board {
	b := &board{t: t, size: size, opts: opts, systems: map[string][]byte{}, active: "1.0.0"}
	image := make([]byte, diskSize)
	b.systems["1.0.0"] = payload(random.Uint64(), size)
	copy(image[slotA:], b.systems["1.0.0"])
	b.data = payload(random.Uint64(), diskSize-dataAt)
	copy(image[dataAt:], b.data)
	var err error
	if b.disk, err = volatiledisk.New(image, opts); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *board) fail(format string, args ...any) {
	b.t.Helper()
	b.t.Fatalf("%s\n%s", fmt.Sprintf(format, args...), b.log)
}

func (b *board) note(format string, args ...any) { b.log = append(b.log, fmt.Sprintf(format, args...)) }

// run does something during which the power may be cut, and says whether it was
// done.
func (b *board) run(random *rand.Rand, what string, f func() error) bool {
	b.t.Helper()
	err := f()
	switch {
	case err == nil:
		b.note("%s", what)
		return true
	case !errors.Is(err, volatiledisk.ErrCut):
		b.fail("%s: %v", what, err)
	}
	b.cuts++
	b.note("%s: cut, %v", what, b.disk.Report())
	b.restart()
	return false
}

func (b *board) restart() {
	b.t.Helper()
	disk, err := b.disk.Restart(b.opts)
	if err != nil {
		b.fail("%v", err)
	}
	b.disk = disk
}

// crash cuts the power now.
func (b *board) crash(random *rand.Rand) {
	b.disk.Cut(random.Uint64())
	b.note("crash")
	b.restart()
}

// boot starts the device, as often as the power is cut while it does.
func (b *board) boot(random *rand.Rand, cutShare float64) (slot slots.Slot, version string) {
	b.t.Helper()
	for {
		if random.Float64() < cutShare {
			b.disk.CutAfter(random.IntN(3), random.Uint64())
		}
		var decision slots.Decision
		if !b.run(random, "boot", func() (err error) { decision, err = slots.Boot(b.state()); return err }) {
			continue
		}
		slot = decision.Start
		b.note("starts %v: %+v", slot, decision.Next)
		if other := slots.NotMounted(decision.Next, slot, errors.New("bad superblock")).Start; other != slots.None {
			b.whole(other) // what would be started instead
		}
		break
	}
	version = b.whole(slot)
	if version != b.active && version != b.offered {
		b.fail("slot %v has version %q; %s is active, %s was offered", slot, version, b.active, b.offered)
	}
	return slot, version
}

// whole is the version in a slot, which must be all of it.
func (b *board) whole(slot slots.Slot) string {
	b.t.Helper()
	got := make([]byte, b.size)
	if err := b.slot(slot).ReadMedium(got, 0); err != nil {
		b.fail("%v", err)
	}
	for version, body := range b.systems {
		if bytes.Equal(got, body) {
			return version
		}
	}
	b.fail("slot %v was started and holds no whole system", slot)
	return ""
}

// TestPowerCutsOfUpdates cuts the power at every write and flush of updates, of
// trial starts and of what ends a trial, on disks that forget, tear and reorder what
// was not flushed. After each cut the device starts the whole old system or the
// whole new one; a system that was started on trial and not kept is never started
// again; one that is kept stays.
func TestPowerCutsOfUpdates(t *testing.T) {
	cuts, trials, kept, back := 0, 0, 0, 0
	const wanted = 1000
	for seed := uint64(0); cuts < wanted; seed++ {
		random := rand.New(rand.NewPCG(seed, 4711))
		opts := volatiledisk.Options{Seed: seed}
		if seed%2 == 1 {
			opts.BlockSize = volatiledisk.SectorSize // sectors of 512 bytes, each by itself
		}
		size := small
		if seed%8 > 5 {
			size = large
		}
		b := newBoard(t, size, opts, random)
		running, version := b.boot(random, 0)
		for round := range 4 {
			b.offered = fmt.Sprintf("1.%d.0", round+1)
			b.systems[b.offered] = payload(random.Uint64(), size)
			raw := makeBundle(t, b.offered, b.systems[b.offered])
			for b.active != b.offered {
				// Usually a cut somewhere in the update or just behind it.
				if random.IntN(8) > 0 {
					b.disk.CutAfter(random.IntN(14), random.Uint64())
				}
				update := func() error {
					bundle, err := OpenBundle(bytes.NewReader(raw), trusted(testKey(1)))
					if err != nil {
						return err
					}
					target := Target{State: b.state(), Running: running, Partition: b.slot(running.Other())}
					return Apply(context.Background(), bundle, target, func(int64) {})
				}
				before := b.cuts
				done := b.run(random, "update to "+b.offered, update)
				running, version = b.boot(random, 0.4)
				if done && version != b.offered && b.cuts == before {
					b.fail("written without a cut, and not tried")
				}
				if version == b.active {
					continue
				}
				trials++
				// On trial. Its first start may crash, or be kept, or given up.
				state, err := slots.Read(b.state())
				if err != nil || state.Trial != running || state.TriesLeft != 0 || b.active == "" {
					b.fail("on trial: %+v, %v", state, err)
				}
				if b.verdict(random, state) {
					kept++
					b.active = b.offered
					running, version = b.boot(random, 0.2)
					if version != b.active {
						b.fail("%s was kept, %s starts", b.active, version)
					}
				} else {
					back++
					running, version = b.boot(random, 0.4)
					if version != b.active {
						b.fail("%s was given up, and starts", version)
					}
					if state, err := slots.Read(b.state()); err != nil || state.Outcome != slots.RolledBack || state.Reason == "" {
						b.fail("rolled back: %+v, %v", state, err)
					}
				}
			}
			got := make([]byte, len(b.data))
			if err := (area{b.disk, dataAt, diskSize - dataAt}).ReadMedium(got, 0); err != nil || !bytes.Equal(got, b.data) {
				b.fail("the data beside the systems has changed: %v", err)
			}
		}
		cuts += b.cuts
	}
	t.Logf("%d cuts, %d trials, %d kept, %d rolled back", cuts, trials, kept, back)
	if trials < wanted/10 || kept == 0 || back == 0 {
		t.Error("the cuts do not get as far as they should")
	}
}

// verdict ends a trial in one way or another, and says whether the system was kept:
// a cut while that is written may leave either.
func (b *board) verdict(random *rand.Rand, state slots.State) (kept bool) {
	b.t.Helper()
	switch random.IntN(4) {
	case 0:
		b.crash(random)
		return false
	case 1:
		if random.IntN(2) == 0 {
			b.disk.CutAfter(random.IntN(2), random.Uint64())
		}
		b.run(random, "roll back", func() error { _, err := slots.Write(b.state(), state.RollBack("cannot deliver")); return err })
		b.disk.CutAfter(1<<30, 0)
		return false
	}
	if random.IntN(2) == 0 {
		b.disk.CutAfter(random.IntN(2), random.Uint64())
	}
	b.run(random, "keep", func() error { _, err := slots.Write(b.state(), state.Keep("healthy")); return err })
	b.disk.CutAfter(1<<30, 0)
	after, _ := slots.Read(b.state())
	return after.Outcome == slots.Kept && after.Active == state.Trial
}

// TestStateLost: should both copies of the state be lost at any instant of an
// update, what mounts is whole: half a system has no superblock.
func TestStateLost(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	seen := map[string]int{}
	for requests := range 12 {
		for seed := range uint64(4) {
			b := newBoard(t, large, volatiledisk.Options{}, random)
			b.offered = "1.1.0"
			b.systems["1.1.0"] = payload(random.Uint64(), large)
			old := payload(random.Uint64(), large)
			if _, err := b.slot(slots.B).WriteAt(old, 0); err != nil {
				t.Fatal(err)
			}
			if err := b.disk.Flush(); err != nil {
				t.Fatal(err)
			}
			bundle, err := OpenBundle(bytes.NewReader(makeBundle(t, "1.1.0", b.systems["1.1.0"])), trusted(testKey(1)))
			if err != nil {
				t.Fatal(err)
			}
			b.disk.CutAfter(requests, seed)
			b.run(random, "update", func() error {
				return Apply(context.Background(), bundle, Target{State: b.state(), Running: slots.A, Partition: b.slot(slots.B)}, func(int64) {})
			})
			got := make([]byte, large)
			if err := b.slot(slots.B).ReadMedium(got, 0); err != nil {
				t.Fatal(err)
			}
			switch {
			case slices.Equal(got[:512], make([]byte, 512)):
				seen["no superblock"]++
			case bytes.Equal(got, old):
				seen["old"]++
			case bytes.Equal(got, b.systems["1.1.0"]):
				seen["new"]++
			default:
				b.fail("after %d requests the slot has a superblock, and is torn", requests)
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("seen: %v", seen)
	}
}
