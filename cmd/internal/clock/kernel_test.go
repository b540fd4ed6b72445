package clock

import (
	"context"
	"math"
	"sync"
	"time"

	"milepost/aggregate"
)

// kernel is a pretended one. Its time passes when pass says so, and besides, if it
// is running, with time.Now, which is a test's own in a synctest bubble.
type kernel struct {
	mu           sync.Mutex
	begun        time.Time // zero if it is not running
	extra, sleep time.Duration
	offset       int64 // wall less boot clock
	synchronized bool
	stepped      func() // set by watch
}

// ntp2026 is a wall clock that is right, less a boot clock.
var ntp2026 = time.Date(2026, 11, 21, 14, 0, 0, 123_456_000, time.UTC).UnixNano()

// newKernel has just been booted, 10 s ago, without a real-time clock.
func newKernel() *kernel { return &kernel{extra: 10 * time.Second} }

// runningKernel is a newKernel whose time passes.
func runningKernel() *kernel {
	k := newKernel()
	k.begun = time.Now()
	return k
}

func (k *kernel) pass(d time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.extra += d
}

// suspend is sleep that the kernel has measured.
func (k *kernel) suspend(d time.Duration) {
	k.mu.Lock()
	k.sleep += d
	k.mu.Unlock()
	k.wake()
}

// set sets the wall clock so that it has an offset.
func (k *kernel) set(offset int64, synchronized bool) {
	k.mu.Lock()
	k.offset, k.synchronized = offset, synchronized
	k.mu.Unlock()
	k.wake()
}

func (k *kernel) wake() {
	k.mu.Lock()
	stepped := k.stepped
	k.mu.Unlock()
	if stepped != nil {
		stepped()
	}
}

func (k *kernel) boot() int64 {
	r, _ := k.read()
	return r.boot
}

// stamp is the time that a frame gets now.
func (k *kernel) stamp() int64 {
	r, _ := k.read()
	return r.wall
}

func (k *kernel) read() (r reading, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r.mono = int64(k.extra); !k.begun.IsZero() {
		r.mono += int64(time.Since(k.begun))
	}
	r.boot = r.mono + int64(k.sleep)
	r.wall = r.boot + k.offset
	r.synchronized, r.estimate = k.synchronized, time.Millisecond
	return r, nil
}

// watch is watchSteps of this kernel.
func (k *kernel) watch(ctx context.Context, stepped func()) error {
	k.mu.Lock()
	k.stepped = stepped
	k.mu.Unlock()
	stepped()
	<-ctx.Done()
	return nil
}

// timelineOf is one that has seen the kernel.
func timelineOf(k *kernel) *timeline {
	t := &timeline{floor: earliest.UnixNano()}
	t.see(k)
	return t
}

func (t *timeline) see(k *kernel) {
	r, _ := k.read()
	t.observe(r)
}

// now is the state of the current epoch.
func (t *timeline) now() epoch { return t.epochs[len(t.epochs)-1] }

const (
	hour = int64(time.Hour)
	ms   = int64(time.Millisecond)

	unset        = aggregate.ClockUnset
	set          = aggregate.ClockSet
	synchronized = aggregate.ClockSynchronized
	farAway      = int64(math.MaxInt64)
)
