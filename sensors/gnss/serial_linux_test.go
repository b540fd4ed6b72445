package gnss

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openPTY returns the end of the receiver, and the path of the serial port.
func openPTY(t *testing.T) (master *os.File, path string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { master.Close() })
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	number, failed := 0, error(nil)
	if err := raw.Control(func(fd uintptr) {
		if failed = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); failed == nil {
			number, failed = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		}
	}); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return master, fmt.Sprintf("/dev/pts/%d", number)
}

const (
	ggaBody = "GNGGA,123519.00,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
	rmcBody = "GNRMC,123519.00,A,4807.038,N,01131.000,E,010.0,084.4,211126,,,A"
)

// TestSerial: a receiver on a serial port that is unplugged and plugged in again,
// as another device; the port's name is a link, as udev makes them.
func TestSerial(t *testing.T) {
	t.Parallel()
	master, path := openPTY(t)
	link := filepath.Join(t.TempDir(), "gps")
	r, rec := receiver(t, Options{Port: link, Baud: 115200, Silence: time.Second})
	stop := run(t, r, rec)
	waitFor(t, "a port that is not there", func() bool { return r.Status().Err != nil })
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	// The port has its settings when the other end shows them.
	waitFor(t, "the port's settings", func() bool { return settings(t, master).Cflag&unix.CBAUD == unix.B115200 })
	if s := settings(t, master); s.Lflag != 0 || s.Iflag != 0 || s.Oflag != 0 || s.Cflag&unix.CSIZE != unix.CS8 || s.Cflag&unix.CLOCAL == 0 {
		t.Errorf("settings %+v", s)
	}
	begin := now()
	report := func(m *os.File) {
		fmt.Fprintf(m, "%s\r\n%s\r\n", nmeaLine(ggaBody), nmeaLine(rmcBody))
	}
	waitFor(t, "a report", func() bool { report(master); time.Sleep(150 * time.Millisecond); _, n := rec.last(); return n > 0 })
	end := now()
	e, _ := rec.last()
	if e.values["fix"] != 3 || e.values["latitude"] != 48.1173 || e.at < begin.wall || e.at > end.wall {
		t.Errorf("%+v, between %v and %v", e, begin, end)
	}
	rec.mu.Lock()
	f := rec.fixes[0]
	rec.mu.Unlock()
	if f.Wall < begin.wall || f.Wall > end.wall || f.Boot < begin.boot || f.Boot > end.boot || f.Boot == 0 {
		t.Errorf("time %+v, between %+v and %+v", f, begin, end)
	}

	// Silent, and then with bytes that are nothing.
	waitFor(t, "silence", func() bool {
		err := r.Status().Err
		return err != nil && strings.Contains(err.Error(), "is silent for")
	})
	waitFor(t, "garbage", func() bool {
		master.Write([]byte("\xff\xfe\x00garbage\n"))
		err := r.Status().Err
		return err != nil && strings.Contains(err.Error(), "does it have 115200 baud?")
	})

	// Unplugged: the port is gone; then plugged in, with another number.
	master.Close()
	if err := os.Remove(link); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "its absence", func() bool { return strings.Contains(r.Status().Err.Error(), "no such file") })
	master, path = openPTY(t)
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	_, n := rec.last()
	waitFor(t, "reports again", func() bool {
		report(master)
		time.Sleep(150 * time.Millisecond)
		_, m := rec.last()
		return m > n && r.Status().Err == nil
	})
	stop()
}

func settings(t *testing.T, master *os.File) *unix.Termios {
	t.Helper()
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var s *unix.Termios
	raw.Control(func(fd uintptr) { s, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestNoSerialPort: what is no serial port is refused, with a reason.
func TestNoSerialPort(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{file: "is no serial port", file + "x": "no such file"} {
		if c, err := openSerial(path, 9600); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, %v", path, c, err)
		}
	}
	for _, baud := range bauds {
		if baudCodes[baud] == 0 {
			t.Errorf("%d baud have no code", baud)
		}
	}
}
