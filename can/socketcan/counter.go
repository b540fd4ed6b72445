package socketcan

import "sync/atomic"

// wrappingCounter follows a 32-bit counter of the kernel's beyond its limit. Its
// low half is the newest value seen. Old values may come after newer ones (a frame
// carries the count of the time when it was queued): the difference, taken as
// signed, tells them, as long as fewer than 2^31 lie between.
type wrappingCounter struct{ atomic.Uint64 }

func (c *wrappingCounter) observe(value uint32) {
	for {
		seen := c.Load()
		ahead := int32(value - uint32(seen))
		if ahead <= 0 || c.CompareAndSwap(seen, seen+uint64(ahead)) {
			return
		}
	}
}
