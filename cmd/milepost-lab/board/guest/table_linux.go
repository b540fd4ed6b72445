package main

import (
	"fmt"
	"sync"
	"time"
)

// table gives things numbers by which the host names them.
type table[T any] struct {
	mu     sync.Mutex
	things []T
}

func (t *table[T]) add(thing T) (id int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.things = append(t.things, thing)
	return len(t.things) - 1
}

func (t *table[T]) get(id int) (thing T, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if id < 0 || id >= len(t.things) {
		return thing, fmt.Errorf("there is no %T %d", thing, id)
	}
	return t.things[id], nil
}

// journal keeps what came, and wakes who waits for more.
type journal[T any] struct {
	mu      sync.Mutex
	entries []T
	err     error         // why there will be no more
	more    chan struct{} // closed by the next entry or the error; nil while nobody waits
}

func (j *journal[T]) add(entry T) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.entries = append(j.entries, entry)
	j.wakeLocked()
}

func (j *journal[T]) end(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.err = err
	j.wakeLocked()
}

func (j *journal[T]) wakeLocked() {
	if j.more != nil {
		close(j.more)
		j.more = nil
	}
}

// from returns the entries from a place on. It waits, but no longer than it is
// told, until there are at least so many of them; the error says that there will
// not be so many.
func (j *journal[T]) from(place, atLeast int, wait time.Duration) ([]T, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for late := false; ; {
		j.mu.Lock()
		entries := j.entries[min(max(place, 0), len(j.entries)):]
		err := j.err
		if j.more == nil {
			j.more = make(chan struct{})
		}
		more := j.more
		j.mu.Unlock()
		switch {
		case len(entries) >= atLeast, late:
			return entries[:len(entries):len(entries)], nil
		case err != nil:
			return nil, err
		}
		select {
		case <-more:
		case <-timer.C:
			late = true
		}
	}
}
