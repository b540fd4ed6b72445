package uplink

import (
	"math"
	"slices"
	"sort"
	"sync"
	"time"
)

// BudgetOptions are the limits of a Budget. A limit of 0 is none.
type BudgetOptions struct {
	// BytesPerSecond limits the backlog. Live data does not wait for it and takes
	// nothing away from it.
	BytesPerSecond int64
	// BytesPerDay and BytesPerMonth limit everything, in calendar days and months
	// of Location (UTC).
	BytesPerDay, BytesPerMonth int64
	Location                   *time.Location
	// Steps say what may still go out when a share of the day's or the month's
	// bytes is used up. Without a step at 1 or above nothing goes out beyond the
	// limit.
	Steps []BudgetStep
	// Store, if set, keeps across restarts how much is used up.
	Store BudgetStore
}

// BudgetStep says that only classes of at least a priority may send once more
// than a share of the budget is used up, as in 0.8 for 80 %.
type BudgetStep struct {
	Share    float64
	Priority int
}

// BudgetStore keeps a value of up to 64 bytes durably. Load returns the value of
// the last Store, or nil if there is none.
type BudgetStore interface {
	Load() ([]byte, error)
	Store(value []byte) error
}

// Budget counts what is sent and says what may be. Forwarders whose sinks share
// a link can share a Budget: it is safe for concurrent use. A nil Budget limits
// nothing.
//
// What is used up is stored ahead, in blocks of a thousandth of the limit, so
// that a crash counts up to a block too much and never too little.
//
// The clock of a gateway may be wrong until it is set, often by the link that
// the budget is for. Therefore a period ends only when the clock names a later
// one, never when it goes back. What is used while the clock is behind the last
// known period, or before 2024, is undated: it counts against the limit, and
// belongs to the period that the clock names first after that.
type Budget struct {
	o BudgetOptions

	mu         sync.Mutex
	day, month period
	tokens     float64 // bytes that the backlog may send; below 0 it has to wait
	refilled   time.Time
	total      uint64
	err        error // of the store
}

// period is a calendar day or month of a budget.
type period struct {
	limit uint64
	// label is the year, month and day (0 of a month), as 20060102; 0 if none was
	// ever known.
	label         uint32
	used, undated uint64
	// stored is what the store has for used + undated: at least that.
	stored uint64
}

// NewBudget makes a Budget and loads what is used up of it. If that fails, the
// error is in its Stats, and it begins with nothing used up: what is left on a
// disk must not keep a gateway from working.
func NewBudget(o BudgetOptions) *Budget {
	if o.Location == nil {
		o.Location = time.UTC
	}
	o.Steps = slices.Clone(o.Steps)
	sort.SliceStable(o.Steps, func(i, j int) bool { return o.Steps[i].Share < o.Steps[j].Share })
	b := &Budget{o: o, tokens: float64(o.BytesPerSecond)}
	b.day.limit, b.month.limit = uint64(max(o.BytesPerDay, 0)), uint64(max(o.BytesPerMonth, 0))
	if o.Store != nil {
		value, err := o.Store.Load()
		if err == nil && value != nil {
			err = b.decode(value)
		}
		b.err = err
	}
	return b
}

// Close stores exactly what is used up.
func (b *Budget) Close() error {
	if b == nil {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.store(false)
	return b.err
}

// earliest is the first day that a clock can rightly name.
var earliest = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

// at brings the periods to a time. The caller holds the mutex.
func (b *Budget) at(now time.Time) {
	if now.Before(earliest) {
		return
	}
	y, m, d := now.In(b.o.Location).Date()
	b.month.at(uint32(y*100+int(m)) * 100)
	b.day.at(uint32(y*100+int(m))*100 + uint32(d))
}

func (p *period) at(label uint32) {
	switch {
	case label < p.label: // the clock is behind
	case label == p.label || p.label == 0:
		p.label = label
		p.used, p.undated = p.used+p.undated, 0
	default:
		p.label = label
		p.used, p.undated, p.stored = p.undated, 0, 0
	}
}

// behind reports whether a time is not to be believed. The caller holds the
// mutex.
func (b *Budget) behind(now time.Time, p *period) bool {
	if now.Before(earliest) {
		return true
	}
	y, m, d := now.In(b.o.Location).Date()
	label := uint32(y*100+int(m))*100 + uint32(d)
	if p == &b.month {
		label -= uint32(d)
	}
	return label < p.label
}

// charge counts bytes that were moved.
func (b *Budget) charge(now time.Time, bytes uint64, backlog bool) {
	if b == nil || bytes == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total += bytes
	if backlog {
		b.refill(now)
		b.tokens -= float64(bytes)
	}
	b.at(now)
	due := false
	for _, p := range []*period{&b.day, &b.month} {
		if b.behind(now, p) {
			p.undated += bytes
		} else {
			p.used += bytes
		}
		due = due || p.limit > 0 && p.used+p.undated > p.stored
	}
	if due {
		b.store(true)
	}
}

// refill adds the tokens of the time since the last call. The caller holds the
// mutex.
func (b *Budget) refill(now time.Time) {
	rate := float64(b.o.BytesPerSecond)
	if !b.refilled.IsZero() {
		b.tokens = min(b.tokens+float64(rate*now.Sub(b.refilled).Seconds()), rate)
	}
	b.refilled = now
}

// backlogWait is how long the backlog has to wait; 0 if it may be sent.
func (b *Budget) backlogWait(now time.Time) time.Duration {
	if b == nil || b.o.BytesPerSecond <= 0 {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.refill(now)
	if b.tokens > 0 {
		return 0
	}
	return time.Duration(-b.tokens/float64(b.o.BytesPerSecond)*float64(time.Second)) + time.Millisecond
}

// limit is how many bytes a group of the backlog may have, of at most so many:
// what the budget allows in half a second.
func (b *Budget) limit(most int) int {
	if b.o.BytesPerSecond <= 0 {
		return most
	}
	return int(min(int64(most), max(b.o.BytesPerSecond/2, 1)))
}

// least is the lowest priority that may be sent.
func (b *Budget) least(now time.Time) int {
	if b == nil {
		return math.MinInt
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at(now)
	return b.leastLocked()
}

func (b *Budget) leastLocked() int {
	share := max(b.day.share(), b.month.share())
	least := math.MinInt
	beyond := share >= 1
	for _, s := range b.o.Steps {
		if share >= s.Share {
			least = max(least, s.Priority)
			beyond = beyond && s.Share < 1
		}
	}
	if beyond {
		return math.MaxInt
	}
	return least
}

func (p *period) share() float64 {
	if p.limit == 0 {
		return 0
	}
	return float64(p.used+p.undated) / float64(p.limit)
}

// BudgetStats is how far a Budget is used up.
type BudgetStats struct {
	// Total is the bytes counted since the Budget was made.
	Total uint64
	// Used and Limit are the bytes of the day and the month; a limit of 0 is none.
	// Each Reset is when the next one begins, by the clock as it is.
	DayUsed, DayLimit     uint64
	DayReset              time.Time
	MonthUsed, MonthLimit uint64
	MonthReset            time.Time
	// Restricted says that only classes of at least Priority may send, or, with
	// Exhausted, none.
	Restricted, Exhausted bool
	Priority              int
	// Error is why the last usage could not be loaded or stored.
	Error string
}

// Stats says how far the budget is used up. It is safe to call at any time.
func (b *Budget) Stats() BudgetStats { return b.statsAt(time.Now()) }

func (b *Budget) statsAt(now time.Time) BudgetStats {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.at(now)
	y, m, d := now.In(b.o.Location).Date()
	s := BudgetStats{
		Total:   b.total,
		DayUsed: b.day.used + b.day.undated, DayLimit: b.day.limit,
		DayReset:  time.Date(y, m, d+1, 0, 0, 0, 0, b.o.Location),
		MonthUsed: b.month.used + b.month.undated, MonthLimit: b.month.limit,
		MonthReset: time.Date(y, m+1, 1, 0, 0, 0, 0, b.o.Location),
	}
	switch least := b.leastLocked(); least {
	case math.MinInt:
	case math.MaxInt:
		s.Restricted, s.Exhausted = true, true
	default:
		s.Restricted, s.Priority = true, least
	}
	if b.err != nil {
		s.Error = b.err.Error()
	}
	return s
}
