package mqtt

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// connect makes a connection unless there is a live one.
func (s *Sink) connect(ctx context.Context) error {
	if s.conn != nil {
		err := s.conn.idleError(s.o.KeepAlive)
		if err == nil {
			return nil
		}
		s.drop(err)
	}
	now := time.Now()
	if err := s.takeover.check(now, s.o.ClientID); err != nil {
		return err
	}
	c, err := s.dial(ctx)
	if err != nil {
		s.takeover.unreachable()
		return advise(err)
	}
	s.conn = c
	return nil
}

// idleError is what has happened to a connection while nothing was to be sent;
// nil if it still lives.
func (c *connection) idleError(keepAlive time.Duration) error {
	select {
	case <-c.lost():
		return c.socket.err
	default:
	}
	if silence := c.socket.silence(); silence > keepAlive+pingDelay {
		return fmt.Errorf("no answer to a ping for %v", silence.Round(time.Second))
	}
	return nil
}

// greet sends and asks what has to precede the first record of a connection,
// and some later ones.
func (s *Sink) greet(device string) error {
	c, now := s.conn, time.Now()
	if c.greeted {
		if c.repeatAt.IsZero() || now.Before(c.repeatAt) {
			return nil
		}
		c.repeatAt = time.Time{}
		return s.launch(s.online())
	}
	c.greeted = true
	if p := &s.o.Presence; p.Topic != "" {
		if err := s.launch(s.online()); err != nil {
			return err
		}
		if p.Repeat > 0 {
			c.repeatAt = now.Add(p.Repeat)
		}
	}
	if s.twin != nil && !s.learnt {
		if err := s.twin.learn(s.conn, device, s.wait); err != nil && !errors.Is(err, errNoSubscription) {
			return fmt.Errorf("read the latest values that the broker has: %w", err)
		}
		s.learnt = true
	}
	return nil
}

func (s *Sink) online() message {
	p := &s.o.Presence
	return message{topic: p.Topic, payload: p.Online, retained: !p.Transient}
}

// drop gives the connection up and explains why it was lost. What paho holds of
// it ends on its own; Close waits for that.
func (s *Sink) drop(cause error) error {
	c, now := s.conn, time.Now()
	if closedByPeer(cause) {
		if !s.refusals.closed(s.flight.pending(), now) && closedInOrder(cause) {
			s.takeover.closed(now.Sub(c.since), now)
		}
		cause = s.refusals.explain(cause, s.flight.pending())
	}
	if s.twin != nil {
		s.twin.lost()
	}
	s.conn = nil
	s.flight.abandon()
	s.ended.Go(c.abort)
	return cause
}

// leave ends the connection as the protocol wants it, after what is still to be
// said. Where the broker does not listen any more, the will says that we are
// gone.
func (s *Sink) leave() {
	c := s.conn
	timer := time.AfterFunc(goodbye, func() { c.socket.fail(errAborted) })
	defer timer.Stop()
	err := s.farewell()
	s.conn = nil
	s.flight.abandon()
	if err != nil {
		c.abort()
		return
	}
	c.client.Disconnect(uint(goodbye / time.Millisecond))
}

func (s *Sink) farewell() error {
	if err := s.conn.idleError(s.o.KeepAlive); err != nil {
		return err
	}
	if s.twin != nil {
		if err := s.publishLatest(time.Time{}); err != nil {
			return err
		}
	}
	if p := &s.o.Presence; p.Topic != "" && s.conn.greeted {
		if err := s.launch(message{topic: p.Topic, payload: p.Offline, retained: !p.Transient}); err != nil {
			return err
		}
	}
	return s.settleAll()
}
