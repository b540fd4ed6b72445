package clock

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// watchSteps calls stepped each time that the wall clock is set, and after each
// sleep, until ctx is done: a timer of the wall clock that is never due is
// cancelled then (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET).
func watchSteps(ctx context.Context, stepped func()) error {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("timerfd_create: %w", err)
	}
	file := os.NewFile(uintptr(fd), "timerfd") // polled by the runtime: a read can be ended
	defer file.Close()
	arm := func() error {
		due := unix.ItimerSpec{Value: never()}
		err := unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &due, nil)
		if err != nil {
			return fmt.Errorf("timerfd_settime: %w", err)
		}
		return nil
	}
	if err := arm(); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { file.Close() })()
	stepped() // what happened before the timer was armed
	for {
		_, err := file.Read(make([]byte, 8))
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, unix.ECANCELED):
			// Armed before the clocks are read, so that no step is between.
			if err := arm(); err != nil {
				return err
			}
			stepped()
		case err != nil:
			return fmt.Errorf("timerfd: %w", err)
		default:
			return errors.New("timerfd: it has become due")
		}
	}
}

// never is a time that does not come: in 2242, or in 2038, which is all that 32
// bits hold.
func never() (t unix.Timespec) {
	if t.Sec = math.MaxInt32; strconv.IntSize == 64 {
		t.Sec *= 4
	}
	return t
}
