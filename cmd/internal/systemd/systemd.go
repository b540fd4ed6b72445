// Package systemd tells systemd how the service is: ready, reloading, stopping,
// and alive (sd_notify(3), sd_watchdog_enabled(3)). Where systemd has not started
// the program, nothing is told to anybody.
package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Notifier tells the service manager. The zero value tells nobody.
type Notifier struct {
	address  string
	watchdog time.Duration
}

// New reads from the environment who is to be told.
func New(getenv func(string) (string, bool)) Notifier {
	address, _ := getenv("NOTIFY_SOCKET")
	n := Notifier{address: address}
	interval, ok := getenv("WATCHDOG_USEC")
	if pid, given := getenv("WATCHDOG_PID"); given && pid != strconv.Itoa(os.Getpid()) {
		ok = false // it is another process that is watched
	}
	if microseconds, err := strconv.ParseInt(interval, 10, 64); ok && err == nil && microseconds > 0 {
		n.watchdog = time.Duration(microseconds) * time.Microsecond
	}
	return n
}

// Notify sends lines such as READY=1.
func (n Notifier) Notify(lines ...string) error {
	if n.address == "" {
		return nil
	}
	address := n.address
	if strings.HasPrefix(address, "@") { // of the abstract name space
		address = "\x00" + address[1:]
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	defer conn.Close()
	_, err = conn.Write([]byte(strings.Join(lines, "\n")))
	if err != nil {
		return fmt.Errorf("tell systemd: %w", err)
	}
	return nil
}

// Ready says that the service runs, Stopping that it ends.
func (n Notifier) Ready() error    { return n.Notify("READY=1") }
func (n Notifier) Stopping() error { return n.Notify("STOPPING=1") }

// Status is a line for people.
func (n Notifier) Status(text string) error {
	return n.Notify("STATUS=" + strings.ReplaceAll(text, "\n", " "))
}

// Reloading says that the configuration is read again; Ready ends that.
func (n Notifier) Reloading() error {
	return n.Notify("RELOADING=1", fmt.Sprintf("MONOTONIC_USEC=%d", monotonic().Microseconds()))
}

// Watch feeds the watchdog until ctx is done, three times in its interval, but
// only while stuck returns nothing; what it returns is told, and what follows is
// the watchdog's to do.
func (n Notifier) Watch(ctx context.Context, stuck func() string, report func(string)) {
	if n.watchdog == 0 {
		return
	}
	ticker := time.NewTicker(n.watchdog / 3)
	defer ticker.Stop()
	said := ""
	for {
		if what := stuck(); what == "" {
			n.Notify("WATCHDOG=1") // what cannot be told now is told next time
			said = ""
		} else if said == "" {
			said = what
			report(what)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
