package spool

import (
	"cmp"
	"errors"
	"slices"
	"sync"
)

// ErrQuota is why a spool cannot store where the quota that it shares is taken up
// by what is more important.
var ErrQuota = errors.New("spool: the shared quota is taken up by more important entries")

// Quota is a number of bytes that several open spools share. When it is used up,
// the oldest chapter goes of the least important spool that has one to give: of
// those with the same Priority, the one whose chapter is oldest by its entries'
// times. A spool never takes from a more important one: rather its entries stay
// in memory, and when that is full are dropped and counted.
//
// A chapter counts with its full size from its beginning, so the chapters exceed
// the quota by no more than one group of entries a spool, and until the next
// sync by what is about to be deleted.
//
// All methods are safe for concurrent use. Its lock is taken before Spool.mu and
// while no Spool.mu is held, so spools never wait for one another in a circle.
type Quota struct {
	maxBytes int64

	mu     sync.Mutex
	spools []*Spool // the least important first
}

// NewQuota returns a quota of so many bytes. It should be many times the spools'
// ChapterBytes.
func NewQuota(maxBytes int64) *Quota { return &Quota{maxBytes: maxBytes} }

func (q *Quota) join(s *Spool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spools = append(q.spools, s)
	slices.SortStableFunc(q.spools, func(a, b *Spool) int { return cmp.Compare(a.opts.Priority, b.opts.Priority) })
}

func (q *Quota) leave(s *Spool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.spools = slices.DeleteFunc(q.spools, func(o *Spool) bool { return o == s })
}

// Bytes is how much of the quota is used.
func (q *Quota) Bytes() int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.usedLocked()
}

func (q *Quota) usedLocked() (n int64) {
	for _, s := range q.spools {
		s.mu.Lock()
		n += s.bytes
		if s.current != nil {
			n += max(0, s.current.most-s.current.size)
		} else {
			n += s.claimed
		}
		s.mu.Unlock()
	}
	return n
}

// makeRoom evicts until a further chapter of s fits in, and returns how large it
// may become.
func (q *Quota) makeRoom(s *Spool) (most int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.usedLocked()+s.opts.ChapterBytes > q.maxBytes {
		evicted, busy := q.evictLocked(s.opts.Priority)
		if busy {
			break // There is more room in a moment.
		}
		if !evicted {
			return 0, ErrQuota
		}
	}
	most = s.largestChapter(q.usedLocked(), q.maxBytes)
	s.mu.Lock()
	s.claimed = most // until the chapter is there
	s.mu.Unlock()
	return most, nil
}

// tight tells the spools that room may have to be made by thinning.
func (q *Quota) tight() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, s := range q.spools {
		if s.handed != nil {
			notify(s.tight)
		}
	}
}

// isThinning reports whether a less important spool than s has anything to thin.
func (q *Quota) isThinning(s *Spool) bool {
	q.mu.Lock()
	before := q.spools[:max(0, slices.Index(q.spools, s))]
	before = slices.Clone(before)
	q.mu.Unlock()
	return slices.ContainsFunc(before, func(o *Spool) bool {
		if o.handed == nil || o.opts.Priority >= s.opts.Priority {
			return false
		}
		inputs, _ := o.pick()
		return len(inputs) > 0
	})
}

// thinned tells the more important spools that s has thinned what it could.
func (q *Quota) thinned(s *Spool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range q.spools {
		if o.handed != nil && o.opts.Priority > s.opts.Priority {
			notify(o.tight)
		}
	}
}

// evictLocked evicts one chapter of a spool that is not more important than
// most. It reports busy where that is just being thinned instead.
func (q *Quota) evictLocked(most int) (evicted, busy bool) {
	var victim *Spool
	var oldest int64
	for _, s := range q.spools {
		if s.opts.Priority > most || victim != nil && s.opts.Priority > victim.opts.Priority {
			break
		}
		s.mu.Lock()
		if len(s.chapters) > 0 && s.chapters[0].done {
			ch := s.chapters[0]
			if ch.times == (timeRange{}) {
				ch.times = ch.readTimes(s.fs)
			}
			if victim == nil || ch.times.from < oldest {
				victim, oldest = s, ch.times.from
			}
		}
		s.mu.Unlock()
	}
	if victim == nil {
		return false, false
	}
	victim.mu.Lock()
	defer victim.mu.Unlock()
	if len(victim.chapters) > 0 && victim.chapters[0].busy {
		return false, true
	}
	// It may have been released meanwhile, which is as good.
	if len(victim.chapters) > 0 && victim.chapters[0].done {
		victim.evictOldestLocked()
		notify(victim.urgent)
	}
	return true, false
}
