package gateway

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"milepost/aggregate"
	"milepost/cmd/internal/config"
)

// Change is what a running gateway can take over without losing a window.
type Change struct {
	Bindings   *Bindings
	Priorities []config.PriorityRule
	Refresh    time.Duration
	Sinks      []config.Sink
}

// Reload takes over a change. Each bus goes over to the new bindings with its next
// window; sinks that have not changed go on undisturbed, and one that is gone does
// not hold records back any more. With an error, what could be taken over is in
// force. It is safe for concurrent use, once Run has called Ready.
func (l *Live) Reload(c Change) error {
	l.changing.Lock()
	defer l.changing.Unlock()
	if l.stopping.Load() {
		return errors.New("the gateway stops; what it read last is in force to the end")
	}
	for _, in := range l.intakes {
		if !in.sensors {
			in.rebind(c.Bindings)
		}
	}
	added, err := l.reclassify(&c)
	if err != nil {
		return fmt.Errorf("priorities: %w", err)
	}
	unchanged := func(name string) bool {
		for i := range c.Sinks {
			for j := range l.Sinks {
				if c.Sinks[i].Name == name && l.Sinks[j].Name == name {
					return !added && reflect.DeepEqual(c.Sinks[i], l.Sinks[j])
				}
			}
		}
		return false
	}
	err = l.delivery.Replace(unchanged, func(noteOf func(string) []byte) (targets []Target, err error) {
		forget(l.spools, c.Sinks, l.Logger)
		var errs []error
		for i := range c.Sinks {
			if unchanged(c.Sinks[i].Name) {
				continue
			}
			t, err := l.targets(c.Sinks[i:i+1], noteOf)
			targets, errs = append(targets, t...), append(errs, err)
		}
		return targets, errors.Join(errs...)
	})
	l.Sinks = c.Sinks
	return err
}

// reclassify puts new priorities into force, and says whether they have made a
// class that was not there.
func (l *Live) reclassify(c *Change) (added bool, err error) {
	l.reload.Lock() // the closer's store
	defer l.reload.Unlock()
	if added, err = l.spools.Ensure(c.Priorities); err != nil {
		return added, err
	}
	l.closer.store.reclassify(l.spools, c.Priorities)
	l.Priorities, l.Refresh = c.Priorities, c.Refresh
	return added, nil
}

// reclassify puts series into the classes that the rules give. What was stored
// stays where it is.
func (s *Store) reclassify(spools *Spools, rules []config.PriorityRule) {
	var classes []*class
	for _, open := range spools.list() {
		c := s.classOf(open)
		if c == nil {
			c = &class{spool: open}
		}
		classes = append(classes, c)
	}
	s.classes = classes
	s.classifier = nil
	if used(rules, config.PriorityHigh) || used(rules, config.PriorityLow) {
		s.classifier = &classifier{rules: rules, classes: classes, groups: make(map[*aggregate.Group]groupClasses)}
	}
}

func (s *Store) classOf(open *classSpool) *class {
	for _, c := range s.classes {
		if c.spool == open {
			return c
		}
	}
	return nil
}
