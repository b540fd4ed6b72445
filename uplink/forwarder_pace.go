package uplink

import "time"

// pace finds out how many bytes of payload the link carries in a group's time,
// so that live data never has to wait for long behind a group of the backlog.
type pace struct {
	bytes int // of a group; 0 is firstGroup
	// latency is what a Send takes however small it is: the least that one took
	// lately.
	latency time.Duration
}

const (
	groupTime  = 750 * time.Millisecond
	firstGroup = 32 << 10
	leastGroup = 1 << 10
)

// limit is the number of bytes of a group, at most most.
func (p *pace) limit(most int) int {
	if p.bytes == 0 {
		return min(firstGroup, most)
	}
	return min(p.bytes, most)
}

// took notes how long a Send of so many bytes has taken. A group that took too
// long makes the next ones smaller; one in time makes them larger, if it was as
// large as allowed, but at most twice as large as it was.
func (p *pace) took(bytes int, d time.Duration, most int) {
	transfer := max(d-p.latency, time.Millisecond)
	right := float64(bytes) * (float64(groupTime) / float64(transfer))
	size := p.limit(most)
	switch {
	case transfer > groupTime:
		size = int(min(right, float64(size)))
	case bytes >= size/2:
		size = int(min(right, 2*float64(bytes)))
	}
	p.bytes = min(max(size, leastGroup), most)
	if p.latency == 0 || d < p.latency {
		p.latency = d
	} else {
		p.latency += p.latency / 32 // so that a link that has become slower is noticed
	}
}
