package volatiledisk

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// CutReport says what a cut did to the blocks in the cache.
type CutReport struct {
	At      time.Time
	Pattern string // how they were chosen
	Kept    int    // as the last write left them
	Stale   int    // as a write before the last left them
	Lost    int    // as they were before

	image []byte
}

func (r CutReport) String() string {
	return fmt.Sprintf("%d blocks kept, %d stale, %d lost (%s)", r.Kept, r.Stale, r.Lost, r.Pattern)
}

// Cut cuts the power. Of what is in the cache a part is kept that depends on the
// seed; everything that is asked of the disk from now on fails. A second cut does
// nothing.
func (d *Disk) Cut(seed uint64) CutReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutLocked(seed)
	return d.report
}

// CutAfter has the power cut, as Cut does, when so many more writes and flushes
// are done and the next one comes.
func (d *Disk) CutAfter(requests int, seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alarm = &alarm{requests: requests, seed: seed}
}

// CutBeforeFlush is CutAfter, but waits for a flush: then there is the most in
// the cache.
func (d *Disk) CutBeforeFlush(requests int, seed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.alarm = &alarm{requests: requests, seed: seed, atFlush: true}
}

// Report is what the cut did.
func (d *Disk) Report() CutReport {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.report
}

func (d *Disk) cutLocked(seed uint64) {
	if d.medium == nil {
		return
	}
	first, last := d.writes, d.writes
	for _, block := range d.order {
		first = min(first, d.cache[block][0].write)
	}
	p := choosePattern(newRandom(seed), first, last)
	report := CutReport{At: time.Now(), Pattern: p.name}
	for _, block := range d.order {
		versions := d.cache[block]
		switch i := p.survivor(versions); i {
		case -1:
			report.Lost++
		default:
			copy(d.mediumLocked(block), versions[i].data)
			if i == len(versions)-1 {
				report.Kept++
			} else {
				report.Stale++
			}
		}
	}
	report.image = d.medium
	d.report, d.medium, d.cache, d.order = report, nil, nil, nil
	close(d.gone)
}

// pattern is a way to choose what survives.
type pattern struct {
	name string
	// survivor returns the version of a block that survives, -1 for none.
	survivor func([]version) int
}

// choosePattern draws a pattern, given the numbers of the oldest and the newest
// write of which something is in the cache. Disks keep their queue in order, or
// sort it, or merge it: each pattern finds other faults.
func choosePattern(random *rand.Rand, first, last uint64) pattern {
	between := func() uint64 { return first + random.Uint64N(last-first+1) }
	switch random.IntN(10) {
	case 0:
		return pattern{"nothing is kept", func([]version) int { return -1 }}
	case 1, 2:
		// The last write to be kept is torn.
		limit := between()
		return pattern{"in order up to one", func(versions []version) int {
			i := len(versions) - 1
			for i >= 0 && (versions[i].write > limit || versions[i].write == limit && random.IntN(2) == 0) {
				i--
			}
			return i
		}}
	case 3, 4:
		limit := between()
		return pattern{"the late ones only", func(versions []version) int {
			i := len(versions) - 1
			if versions[i].write < limit {
				return -1
			}
			return i
		}}
	}
	share := random.Float64()
	return pattern{"at random", func(versions []version) int {
		if random.Float64() >= share {
			return -1
		}
		return random.IntN(len(versions))
	}}
}
