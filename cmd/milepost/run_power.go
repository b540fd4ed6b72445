package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"strings"
	"time"

	"milepost/sensors/gpio"
)

// ignition is the line that says whether the vehicle is on: a *gpio.Input.
type ignition interface {
	// Level is not known while the line cannot be read.
	Level() (on, known bool)
	// Changes delivers each change of that.
	Changes() <-chan gpio.Change
}

// errIgnitionOff is why a gateway stops.
var errIgnitionOff = errors.New("the ignition is off")

// unknownIgnition is how long the line may be unreadable before it is taken for
// on: it is better to collect on a parked vehicle than not to on one that drives.
const unknownIgnition = 5 * time.Second

// waitForIgnition returns when the vehicle is on, or ctx is done.
func waitForIgnition(ctx context.Context, line ignition, log *slog.Logger) error {
	unknown := time.NewTimer(unknownIgnition)
	defer unknown.Stop()
	waited := false
	for {
		on, known := line.Level()
		if known && on {
			return nil
		}
		if known && !waited {
			waited = true
			log.Info("waiting for the ignition")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-line.Changes():
		case <-unknown.C:
			if _, known := line.Level(); !known {
				log.Warn("the ignition line cannot be read, and is taken for on")
				return nil
			}
		}
	}
}

// whileIgnition returns a context that ends when the vehicle was off for hold.
func whileIgnition(ctx context.Context, line ignition, hold time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var off <-chan time.Time // after which it counts
		var timer *time.Timer
		for {
			switch on, known := line.Level(); {
			case known && !on && timer == nil:
				timer = time.NewTimer(hold)
				off = timer.C
			case (on || !known) && timer != nil:
				timer.Stop()
				timer, off = nil, nil
			}
			select {
			case <-ctx.Done():
				if timer != nil {
					timer.Stop()
				}
				return
			case <-line.Changes():
			case <-off:
				cancel(errIgnitionOff)
				return
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// powerOff runs the command that is to switch the gateway off.
func powerOff(ctx context.Context, command []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("power.off: %s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
