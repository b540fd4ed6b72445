package socketcan

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// attach waits until the interface is up and a socket is bound to it.
func (b *Bus) attach() error {
	b.watch()
	for !b.isClosed() {
		if b.due() {
			err := b.try()
			switch {
			case err == nil:
				b.attached, b.began = true, time.Now()
				b.stopWatching()
				b.hasBegun()
				return nil
			case errors.Is(err, errNoSocketCAN):
				b.hasBegun()
				return err
			case !b.isClosed():
				b.note(err)
			}
			b.hasBegun()
			b.tried = time.Now()
			b.pause.next()
		}
		if err := b.await(); err != nil {
			return err
		}
	}
	return io.EOF
}

func (b *Bus) hasBegun() { b.first.Do(func() { close(b.begun) }) }

// detach is the end of what attach began, for err. What lasted for a moment only is
// not tried again at once, unless the interface has changed since.
func (b *Bus) detach(err error) {
	b.attached, b.draining = false, true
	switch {
	case errors.Is(err, syscall.ENETDOWN):
		b.seen.Up = false
	case errors.Is(err, syscall.ENODEV):
		b.orphaned, b.seen = true, Link{}
	default: // the socket is of no more use; the interface is as it was
		b.orphaned = true
	}
	b.tried = time.Now()
	if b.tried.Sub(b.began) >= firstPause {
		b.tried, b.pause = time.Time{}, backoff{}
	} else {
		b.pause.next()
	}
}

// watch has the kernel tell of changes, until it is attached. What has changed
// before the watch began is looked for once. Without it there are still the regular
// tries.
func (b *Bus) watch() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unwatch != nil || b.isClosed() { // Close has ended it already, or waits to
		return
	}
	changed := func() {
		select {
		case b.changes <- struct{}{}:
		default:
		}
	}
	if stop, err := b.sys.watch(changed); err == nil {
		b.unwatch = stop
		changed()
	}
}

func (b *Bus) stopWatching() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unwatch != nil {
		b.unwatch()
		b.unwatch = nil
	}
}

// due says whether it is time to try.
func (b *Bus) due() bool { return b.tried.IsZero() || time.Since(b.tried) >= b.pause.wait }

// await waits for the next try: until the pause is over, or the interface has
// changed since the last one. (A try that takes it down and then fails has changed
// it itself, and so is followed by another at once; that one changes nothing.)
func (b *Bus) await() error {
	b.mu.Lock()
	deadline := b.deadline
	b.mu.Unlock()
	if !deadline.IsZero() && !time.Now().Before(deadline) {
		return os.ErrDeadlineExceeded
	}
	until := earlier(deadline, b.tried.Add(b.pause.wait))
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-b.closed:
		return io.EOF
	case <-b.kicked:
	case <-timer.C:
	case <-b.changes:
		link, _ := b.sys.readLink(b.o.Interface)
		if link.Index != b.seen.Index || link.Up != b.seen.Up {
			b.tried = time.Time{}
		}
	}
	return nil
}

// try brings the interface up, if that is ours to do, and opens it unless there is
// a socket for it.
func (b *Bus) try() error {
	link, err := b.sys.readLink(b.o.Interface)
	b.seen = link
	if b.orphaned || err != nil || b.socket != nil && b.socket.index != link.Index {
		b.release()
	}
	if err != nil {
		return err
	}
	if b.o.Link != nil {
		if err := b.configure(); err != nil {
			return err
		}
	} else if !link.Up {
		return fmt.Errorf("interface %s is down, and it is not configured here how to bring it up: %w", b.o.Interface, syscall.ENETDOWN)
	}
	b.isDevice = link.Kind == "can"
	if b.socket == nil {
		if err := b.open(); err != nil {
			return err
		}
	}
	if b.o.Link != nil && link.Up && link.State == BusOff { // before we were there to be told
		b.beginCare()
	}
	b.mu.Lock()
	news := b.health.Err != nil || b.health.Opened == 1 && b.began.IsZero()
	b.health.Err, b.health.Since = nil, time.Time{}
	b.mu.Unlock()
	if news {
		b.log.info("the bus is read", "opened", b.health.Opened)
	}
	return nil
}

// configure leaves the restart after bus-off to us where the driver can't do it.
func (b *Bus) configure() error {
	err := b.sys.configure(b.o.Interface, *b.o.Link)
	if errors.Is(err, errNoRestart) {
		o := *b.o.Link
		o.Restart = 0
		err = b.sys.configure(b.o.Interface, o)
	}
	return err
}

func (b *Bus) open() error {
	socket, err := b.sys.open(Options{
		Interface:     b.o.Interface,
		Bus:           b.o.Name,
		Filters:       b.filters(),
		Errors:        true,
		ReceiveBuffer: b.o.ReceiveBuffer,
		HardwareTime:  b.o.HardwareTime,
		Coalesce:      b.o.Coalesce,
	}, &b.streams)
	if err != nil {
		return err
	}
	var arrived uint64
	if b.o.CountForeign {
		link, err := b.sys.readLink(b.o.Interface)
		if err != nil {
			socket.Close()
			return err
		}
		arrived = link.Packets.RxPackets
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.isClosed() { // Close has not seen it
		socket.Close()
		return os.ErrClosed
	}
	b.socket, b.setTo = socket, time.Time{}
	b.arrivedBefore, b.foreignBefore = arrived, b.health.Foreign
	b.notArrived.Store(0)
	b.health.Opened++
	return nil
}

// release closes the socket of an interface that is gone. What it had received was
// read before.
func (b *Bus) release() {
	b.orphaned = false
	b.mu.Lock()
	defer b.mu.Unlock()
	b.careAt = time.Time{}
	if b.socket == nil {
		return
	}
	b.socket.Close()
	stats := b.socket.Stats()
	b.health.Received += stats.Received
	b.health.Dropped += stats.Dropped
	b.socket = nil
}

// note keeps and logs why there are no frames.
func (b *Bus) note(err error) {
	b.mu.Lock()
	if b.health.Err == nil {
		b.health.Since = time.Now()
	}
	b.health.Err = err
	b.mu.Unlock()
	b.log.warn("no frames can be received; trying again", "error", err)
}
