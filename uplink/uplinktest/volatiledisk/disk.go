// Package volatiledisk is a disk with a volatile write cache, as SSDs, eMMC and
// SD cards have one: what is written is read back at once, but stays in the cache
// until it is flushed, and a power cut keeps of the cache what it likes. It is
// served over NBD, so that a kernel can put a file system on it (Attach).
//
// What a cut may do follows from what disks promise: an aligned block of 4096
// bytes is written whole or not at all; what a flush (or a write with FUA) has
// covered stays; of the rest, any block may be new, old, or as it was in between,
// in any combination. So large writes are torn and writes change their order.
//
// Blocks of 4096 bytes are the physical sectors of disks and the pages of flash.
// File systems rest on them: with blocks of 512 bytes, ext4 at times cannot be
// mounted, because half of its superblock or of a journal's commit block is new.
package volatiledisk

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
)

const (
	// SectorSize is what requests are in, in bytes.
	SectorSize = 512
	// BlockSize is what a disk writes whole or not at all, unless told otherwise.
	BlockSize = 4096
)

// ErrCut says that the disk has no power any more.
var ErrCut = errors.New("volatiledisk: the power was cut")

// Options of New. The zero value is an honest disk.
type Options struct {
	// IgnoreFlush makes a disk that lies: it says that it has flushed, and has not.
	IgnoreFlush bool
	// BlockSize is what the disk writes whole or not at all: a multiple of
	// SectorSize, BlockSize if zero.
	BlockSize int
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
	order  []int64 // the blocks in cache, in the order in which they came there
	writes uint64  // number of the last write
	alarm  *alarm
	report CutReport
	stats  Stats
}

// version is a block as one write has left it.
type version struct {
	write uint64
	data  []byte
}

// alarm is a cut to come.
type alarm struct {
	requests int // until then
	atFlush  bool
	seed     uint64
}

// Stats counts what was asked of a disk.
type Stats struct {
	Reads, Writes, Flushes uint64
	Forced                 uint64 // writes with FUA, which are among Writes
	CachedBlocks           int    // now
}

// New makes a disk that holds an image, which is its own from now on. The image's
// length must be a multiple of the block size.
func New(image []byte, opts Options) (*Disk, error) {
	if opts.BlockSize == 0 {
		opts.BlockSize = BlockSize
	}
	if opts.BlockSize < 0 || opts.BlockSize%SectorSize != 0 {
		return nil, fmt.Errorf("volatiledisk: blocks of %d bytes are no multiples of %d", opts.BlockSize, SectorSize)
	}
	if len(image) == 0 || len(image)%opts.BlockSize != 0 {
		return nil, fmt.Errorf("volatiledisk: an image of %d bytes is no multiple of %d", len(image), opts.BlockSize)
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
	s.CachedBlocks = len(d.order)
	return s
}

// Gone is closed when the power is cut.
func (d *Disk) Gone() <-chan struct{} { return d.gone }

// dueLocked counts a request that may change the disk, and says whether the
// power goes with it.
func (d *Disk) dueLocked(flush bool) bool {
	if d.alarm == nil {
		return false
	}
	d.alarm.requests--
	return d.alarm.requests < 0 && (flush || !d.alarm.atFlush)
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
	for block, in := range d.blocks(p, offset) {
		copy(in.part, d.blockLocked(block)[in.from:])
	}
	return nil
}

// part is what a request has in one block.
type part struct {
	part []byte
	from int // its place in the block
}

// blocks divides a request into the blocks that it touches.
func (d *Disk) blocks(p []byte, offset int64) iter.Seq2[int64, part] {
	size := int64(d.opts.BlockSize)
	return func(yield func(int64, part) bool) {
		for len(p) > 0 {
			from := int(offset % size)
			n := min(len(p), d.opts.BlockSize-from)
			if !yield(offset/size, part{p[:n], from}) {
				return
			}
			p, offset = p[n:], offset+int64(n)
		}
	}
}

// blockLocked is a block as it would be read.
func (d *Disk) blockLocked(block int64) []byte {
	if versions := d.cache[block]; len(versions) > 0 {
		return versions[len(versions)-1].data
	}
	return d.mediumLocked(block)
}

func (d *Disk) mediumLocked(block int64) []byte {
	size := int64(d.opts.BlockSize)
	return d.medium[block*size : (block+1)*size]
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
	d.stats.Writes++
	if forced {
		d.stats.Forced++
	}
	d.writes++
	for block, in := range d.blocks(p, offset) {
		data := bytes.Clone(d.blockLocked(block))
		copy(data[in.from:], in.part)
		if len(d.cache[block]) == 0 {
			d.order = append(d.order, block)
		}
		d.cache[block] = append(d.cache[block], version{d.writes, data})
	}
	if d.dueLocked(false) {
		d.cutLocked(d.alarm.seed) // with this write in the cache, to be torn like others
		return ErrCut
	}
	if forced && !d.opts.IgnoreFlush {
		d.flushLocked(offset, int64(len(p)))
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
	if d.dueLocked(true) {
		d.cutLocked(d.alarm.seed)
		return ErrCut
	}
	d.stats.Flushes++
	if !d.opts.IgnoreFlush {
		d.flushLocked(0, d.size)
	}
	return nil
}

// flushLocked moves the newest version of the blocks in a range from the cache to
// the medium.
func (d *Disk) flushLocked(offset, length int64) {
	size := int64(d.opts.BlockSize)
	left := d.order[:0]
	for _, block := range d.order {
		if (block+1)*size <= offset || block*size >= offset+length {
			left = append(left, block)
			continue
		}
		copy(d.mediumLocked(block), d.blockLocked(block))
		delete(d.cache, block)
	}
	d.order = left
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
