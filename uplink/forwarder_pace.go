package uplink

import "time"

// pace finds out how many bytes of payload the link carries in a group's time,
// so that live data never has to wait for long behind a group of the backlog.
//
// A Send takes a latency, whatever it carries, and a time for each byte. The
// second follows from the spread of what was measured lately: a line through the
// Sends of different sizes, by least squares with weights that decay. Where all
// were of one size, all of the time counts as the bytes'.
type pace struct {
	bytes int // of a group; 0 is firstGroup
	sends int
	// Averages: of bytes, of seconds, of the square of the bytes' deviation, and
	// of the product of both deviations.
	meanBytes, meanSeconds, variance, covariance float64
}

const (
	groupTime  = 750 * time.Millisecond // without the latency
	firstGroup = 8 << 10
	leastGroup = 1 << 10
)

// limit is the number of bytes of a group, at most most.
func (p *pace) limit(most int) int {
	if p.bytes == 0 {
		return min(firstGroup, most)
	}
	return min(p.bytes, most)
}

// took notes how long a Send of so many bytes has taken. A group is at most
// twice as large as one that was sent.
func (p *pace) took(bytes int, d time.Duration, most int) {
	size := p.limit(most)
	x, y := float64(bytes), d.Seconds()
	if p.sends++; p.sends == 1 {
		p.meanBytes, p.meanSeconds = x, y
	} else {
		const weight = 1. / 8
		dx, dy := x-p.meanBytes, y-p.meanSeconds
		p.meanBytes += float64(weight * dx)
		p.meanSeconds += float64(weight * dy)
		p.variance = float64((1 - weight) * (p.variance + float64(weight*float64(dx*dx))))
		p.covariance = float64((1 - weight) * (p.covariance + float64(weight*float64(dx*dy))))
	}
	perByte := p.meanSeconds / max(p.meanBytes, 1)
	if spread := p.meanBytes / 10; p.variance > float64(spread*spread) {
		perByte = min(perByte, p.covariance/p.variance)
	}
	right := groupTime.Seconds() / max(perByte, 1e-10)
	p.bytes = max(int(min(right, float64(max(size, 2*bytes)), float64(most))), min(leastGroup, most))
}
