package socketcan

import "time"

// defaultRestart is how long a controller stays in bus-off where no time is
// configured.
const defaultRestart = time.Second

// beginCare has Read look after a controller in bus-off in a while: drivers leave
// it there, unless they are told to restart it and can.
func (b *Bus) beginCare() {
	after := b.o.Link.Restart
	if after <= 0 {
		after = defaultRestart
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.careAt.IsZero() {
		b.care, b.careAt = backoff{}, time.Now().Add(after)
	}
}

// careForBusOff restarts the controller, if it is time and it is still in bus-off.
func (b *Bus) careForBusOff() {
	b.mu.Lock()
	at := b.careAt
	b.mu.Unlock()
	if at.IsZero() || time.Now().Before(at) {
		return
	}
	next := time.Time{}
	link, err := b.sys.readLink(b.o.Interface)
	if err == nil && link.State == BusOff { // or else it is back, or gone, which the socket will say
		restarted := false
		if link.Restart == 0 { // or else the kernel restarts it
			restarted = b.restart()
		}
		if !restarted {
			b.care.next()
			next = time.Now().Add(b.care.wait)
		}
	}
	b.mu.Lock()
	b.careAt = next
	b.mu.Unlock()
}

func (b *Bus) restart() bool {
	if err := b.sys.restart(b.o.Interface); err != nil {
		b.log.warn("the controller cannot be restarted after bus-off; trying again", "error", err)
		return false
	}
	b.mu.Lock()
	b.health.Restarts++
	b.mu.Unlock()
	b.log.info("the controller was restarted after bus-off")
	return true
}
