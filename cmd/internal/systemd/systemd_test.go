package systemd

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

// manager is the other end of the socket: what systemd would get.
func manager(t *testing.T) (string, func() string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Skip("no datagram sockets here:", err)
	}
	t.Cleanup(func() { conn.Close() })
	return path, func() string {
		t.Helper()
		conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		buffer := make([]byte, 1000)
		n, err := conn.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
}

func environment(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		i := slices.Index(pairs, name)
		if i < 0 {
			return "", false
		}
		return pairs[i+1], true
	}
}

func TestNotify(t *testing.T) {
	path, next := manager(t)
	n := New(environment("NOTIFY_SOCKET", path))
	for _, send := range []struct {
		do   func() error
		want string
	}{
		{n.Ready, "READY=1"},
		{n.Stopping, "STOPPING=1"},
		{func() error { return n.Status("two\nlines") }, "STATUS=two lines"},
	} {
		if err := send.do(); err != nil {
			t.Fatal(err)
		}
		if got := next(); got != send.want {
			t.Errorf("got %q, want %q", got, send.want)
		}
	}
}

// systemd takes a reload for begun only with the time at which that was.
func TestReloading(t *testing.T) {
	path, next := manager(t)
	before := monotonic()
	if err := New(environment("NOTIFY_SOCKET", path)).Reloading(); err != nil {
		t.Fatal(err)
	}
	var microseconds int64
	if _, err := fmt.Sscanf(next(), "RELOADING=1\nMONOTONIC_USEC=%d", &microseconds); err != nil {
		t.Fatal(err)
	}
	at := time.Duration(microseconds) * time.Microsecond
	if at < before.Truncate(time.Microsecond) || at > monotonic() {
		t.Errorf("%v is not between %v and now", at, before)
	}
}

func TestNobodyToTell(t *testing.T) {
	if err := New(environment()).Ready(); err != nil {
		t.Error(err)
	}
	if err := New(environment("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "none"))).Ready(); err == nil {
		t.Error("there is no socket, and no error")
	}
}

// The watchdog is fed while nothing is stuck, not while something is, and again
// when that is over.
func TestWatch(t *testing.T) {
	path, next := manager(t)
	n := New(environment("NOTIFY_SOCKET", path, "WATCHDOG_USEC", "3000", "WATCHDOG_PID", strconv.Itoa(os.Getpid())))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := make(chan string)
	var said []string
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.Watch(ctx, func() string {
			select {
			case a := <-answers:
				return a
			case <-ctx.Done():
				return "stopped"
			}
		}, func(what string) { said = append(said, what) })
	}()
	answers <- ""
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	answers <- "no window"
	answers <- "no window" // said once
	if err := n.Status("between"); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != "STATUS=between" {
		t.Errorf("fed while something was stuck: %q", got)
	}
	answers <- ""
	if got := next(); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	cancel()
	<-done
	if !slices.Equal(said, []string{"no window"}) && !slices.Equal(said, []string{"no window", "stopped"}) {
		t.Errorf("said %q", said)
	}
}

func TestWatchdogOfAnother(t *testing.T) {
	for _, variables := range [][]string{
		{}, {"WATCHDOG_USEC", "0"}, {"WATCHDOG_USEC", "x"}, {"WATCHDOG_USEC", "1000", "WATCHDOG_PID", "1"},
	} {
		if n := New(environment(variables...)); n.watchdog != 0 {
			t.Errorf("%q: %v", variables, n.watchdog)
		}
	}
}
