// Package volatiledisk is a disk with a volatile write cache, as SSDs, eMMC and
// SD cards have one: what is written is read back at once, but stays in the cache
// until it is flushed, and a power cut keeps of the cache what it likes. It is
// served over NBD, so that a kernel can put a file system on it (Attach).
//
// What a cut may do follows from what disks promise: a sector of 512 bytes is
// written whole or not at all; what a flush (or a write with FUA) has covered
// stays; of the rest, any sector may be new, old, or as it was in between, in
// any combination. So large writes are torn and writes change their order.
package volatiledisk

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
)

// SectorSize is what a disk writes whole or not at all, in bytes.
const SectorSize = 512

// ErrCut says that the disk has no power any more.
var ErrCut = errors.New("volatiledisk: the power was cut")

// Options of New. The zero value is an honest disk.
type Options struct {
	// IgnoreFlush makes a disk that lies: it says that it has flushed, and has not.
	IgnoreFlush bool
	// Seed is of the order in which requests that wait together are served.
	Seed uint64
}

// Disk is a disk. Its methods are safe for concurrent use.
type Disk struct {
	opts Options
	size int64
	gone chan struct{} // closed by the cut

	mu     sync.Mutex
	medium []byte // what survives
	cache  map[int64][]version
	order  []int64 // the sectors in cache, in the order in which they came there
	writes uint64  // number of the last write
	alarm  *alarm
	report CutReport
	stats  Stats
}

// version is what one write has put in a sector.
type version struct {
	write uint64
	data  []byte
}

// alarm is a cut to come.
type alarm struct {
	requests int // until then
	seed     uint64
}

// Stats counts what was asked of a disk.
type Stats struct {
	Reads, Writes, Flushes uint64
	Forced                 uint64 // writes with FUA, which are among Writes
	CachedSectors          int    // now
}

// New makes a disk that holds an image, which is its own from now on. The image's
// length must be a multiple of SectorSize.
func New(image []byte, opts Options) (*Disk, error) {
	if len(image) == 0 || len(image)%SectorSize != 0 {
		return nil, fmt.Errorf("volatiledisk: an image of %d bytes is no multiple of %d", len(image), SectorSize)
	}
	return &Disk{opts: opts, size: int64(len(image)), medium: image, cache: map[int64][]version{}, gone: make(chan struct{})}, nil
}

// Size is in bytes.
func (d *Disk) Size() int64 { return d.size }

// Stats returns what was counted so far.
func (d *Disk) Stats() Stats {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.stats
	s.CachedSectors = len(d.order)
	return s
}

// Gone is closed when the power is cut.
func (d *Disk) Gone() <-chan struct{} { return d.gone }

// dueLocked counts a request that may change the disk, and says whether the
// power goes with it.
func (d *Disk) dueLocked() bool {
	if d.alarm == nil {
		return false
	}
	d.alarm.requests--
	return d.alarm.requests < 0
}

func (d *Disk) powerLocked() error {
	if d.medium == nil {
		return ErrCut
	}
	return nil
}

// check says whether a request is about whole sectors of this disk.
func (d *Disk) check(length int, offset int64) error {
	if offset < 0 || offset%SectorSize != 0 || length%SectorSize != 0 || offset > d.size-int64(length) {
		return fmt.Errorf("volatiledisk: %d bytes at offset %d are no sectors of a disk of %d bytes", length, offset, d.size)
	}
	return nil
}

// Read reads whole sectors.
func (d *Disk) Read(p []byte, offset int64) error {
	if err := d.check(len(p), offset); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.powerLocked(); err != nil {
		return err
	}
	d.stats.Reads++
	copy(p, d.medium[offset:])
	for at := 0; at < len(p) && len(d.cache) > 0; at += SectorSize {
		if versions := d.cache[(offset+int64(at))/SectorSize]; len(versions) > 0 {
			copy(p[at:at+SectorSize], versions[len(versions)-1].data)
		}
	}
	return nil
}

// Write writes whole sectors to the cache.
func (d *Disk) Write(p []byte, offset int64) error { return d.write(p, offset, false) }

// WriteForced writes whole sectors that are durable when it returns (FUA).
func (d *Disk) WriteForced(p []byte, offset int64) error { return d.write(p, offset, true) }

func (d *Disk) write(p []byte, offset int64, forced bool) error {
	if err := d.check(len(p), offset); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.powerLocked(); err != nil {
		return err
	}
	d.writes++
	d.stats.Writes++
	if forced {
		d.stats.Forced++
	}
	data := append([]byte(nil), p...)
	for at := 0; at < len(data); at += SectorSize {
		sector := (offset + int64(at)) / SectorSize
		if _, cached := d.cache[sector]; !cached {
			d.order = append(d.order, sector)
		}
		d.cache[sector] = append(d.cache[sector], version{d.writes, data[at : at+SectorSize]})
	}
	if d.dueLocked() {
		d.cutLocked(d.alarm.seed) // with this write in the cache, to be torn like others
		return ErrCut
	}
	if forced && !d.opts.IgnoreFlush {
		d.flushLocked(func(sector int64) bool {
			return sector >= offset/SectorSize && sector < (offset+int64(len(p)))/SectorSize
		})
	}
	return nil
}

// Flush makes durable what was written before.
func (d *Disk) Flush() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.powerLocked(); err != nil {
		return err
	}
	if d.dueLocked() {
		d.cutLocked(d.alarm.seed)
		return ErrCut
	}
	d.stats.Flushes++
	if !d.opts.IgnoreFlush {
		d.flushLocked(func(int64) bool { return true })
	}
	return nil
}

// flushLocked moves the newest version of some sectors from the cache to the
// medium.
func (d *Disk) flushLocked(which func(sector int64) bool) {
	left := d.order[:0]
	for _, sector := range d.order {
		if !which(sector) {
			left = append(left, sector)
			continue
		}
		versions := d.cache[sector]
		d.putLocked(sector, versions[len(versions)-1])
		delete(d.cache, sector)
	}
	d.order = left
}

func (d *Disk) putLocked(sector int64, v version) {
	copy(d.medium[sector*SectorSize:(sector+1)*SectorSize], v.data)
}

// Restart returns a disk with what has survived the cut. The one before stays
// dead, whoever still holds it. It is an error if the power is on.
func (d *Disk) Restart(opts Options) (*Disk, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.medium != nil {
		return nil, errors.New("volatiledisk: the power is on")
	}
	return New(d.report.image, opts)
}

// cutSeeds keeps the random numbers of a cut apart from others of that seed.
const cutSeeds = 0x706f776572

func newRandom(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, cutSeeds)) }
