package socketcan

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"milepost/can"
	"milepost/cmd/milepost-lab/uml"
)

// inGuest skips a test that needs a kernel of its own.
func inGuest(t testing.TB) {
	t.Helper()
	if os.Getenv(uml.Variable) == "" {
		t.Skip("CAN interfaces need a kernel of their own: `make test-kernel`")
	}
}

// addVirtual makes a virtual CAN interface and brings it up.
func addVirtual(t testing.TB, name string) {
	t.Helper()
	addVirtualDown(t, name, fdSize)
	setUp(t, name, true)
	t.Cleanup(func() { _ = removeLink(name) })
}

func addVirtualDown(t testing.TB, name string, mtu uint32) {
	t.Helper()
	attributes := netlink.NewAttributeEncoder()
	attributes.String(unix.IFLA_IFNAME, name)
	attributes.Uint32(unix.IFLA_MTU, mtu)
	attributes.Nested(unix.IFLA_LINKINFO, func(info *netlink.AttributeEncoder) error {
		info.String(unix.IFLA_INFO_KIND, "vcan")
		return nil
	})
	encoded, err := attributes.Encode()
	if err != nil {
		t.Fatal(err)
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_NEWLINK, Flags: netlink.Request | netlink.Acknowledge | netlink.Create | netlink.Excl},
		Data:   append(make([]byte, unix.SizeofIfInfomsg), encoded...),
	})
	if err != nil {
		t.Fatalf("adding %s: %v", name, err)
	}
}

func removeLink(name string) error {
	link, err := ReadLink(name)
	if err != nil {
		return err
	}
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[4:], uint32(link.Index))
	_, err = execute(unix.RTM_DELLINK, body, netlink.NewAttributeEncoder())
	return err
}

func setUp(t testing.TB, name string, up bool) {
	t.Helper()
	if err := (&configuration{name: name}).setUp(up); err != nil {
		t.Fatal(err)
	}
}

// sender is somebody else's socket on the bus.
type sender struct {
	t  testing.TB
	fd int
}

func newSender(t testing.TB, name string) *sender {
	t.Helper()
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.SetsockoptInt(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FD_FRAMES, 1); err != nil {
		t.Fatal(err)
	}
	// It need not hear anybody.
	if err := unix.SetsockoptCanRawFilter(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, nil); err != nil {
		t.Fatal(err)
	}
	link, err := ReadLink(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: link.Index}); err != nil {
		t.Fatal(err)
	}
	return &sender{t, fd}
}

// send sends a classical frame.
func (s *sender) send(canID uint32, data ...byte) {
	s.t.Helper()
	b := make([]byte, classicalSize)
	binary.NativeEndian.PutUint32(b, canID)
	b[4] = byte(len(data))
	copy(b[8:], data)
	s.write(b)
}

func (s *sender) sendFD(canID uint32, flags byte, data []byte) {
	s.t.Helper()
	b := make([]byte, fdSize)
	binary.NativeEndian.PutUint32(b, canID)
	b[4], b[5] = byte(len(data)), flags
	copy(b[8:], data)
	s.write(b)
}

func (s *sender) write(b []byte) {
	s.t.Helper()
	_, _ = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_ERROR) // that it was down once
	for {
		_, err := unix.Write(s.fd, b)
		if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.EAGAIN) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			s.t.Errorf("sending: %v", err)
		}
		return
	}
}

// openSocket opens a Socket with a deadline, so that a test that fails ends.
func openSocket(t testing.TB, o Options) *Socket {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	if err := s.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return s
}

// readFrames reads n frames.
func readFrames(t testing.TB, source can.Source, n int) []can.Frame {
	t.Helper()
	frames := make([]can.Frame, n)
	for got := 0; got < n; {
		k, err := source.Read(frames[got:])
		if err != nil {
			t.Fatalf("after %d of %d frames: %v", got, n, err)
		}
		got += k
	}
	return frames
}

// adapter is a serial CAN adapter of which this test is the far end (slcan, also
// called Lawicel): the kernel makes an interface of its near end.
type adapter struct {
	t           testing.TB
	master, tty *os.File
	name        string
	commands    chan string // what the kernel told it
}

const slcanDiscipline = 17 // N_SLCAN, linux/tty.h

// plugIn makes an adapter and gives its interface a name.
func plugIn(t testing.TB, name string) *adapter {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		master, err = os.OpenFile("/dev/pts/ptmx", os.O_RDWR, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	termios, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	termios.Iflag, termios.Oflag, termios.Lflag = 0, 0, 0
	if err := unix.IoctlSetTermios(int(tty.Fd()), unix.TCSETS, termios); err != nil {
		t.Fatal(err)
	}
	before := canInterfaces()
	if err := unix.IoctlSetPointerInt(int(tty.Fd()), unix.TIOCSETD, slcanDiscipline); err != nil {
		t.Fatal("making it a CAN interface: ", err)
	}
	a := &adapter{t: t, master: master, tty: tty, name: name, commands: make(chan string, 1000)}
	t.Cleanup(a.unplug)
	for _, is := range canInterfaces() {
		if !strings.Contains(" "+strings.Join(before, " ")+" ", " "+is+" ") && is != name {
			rename(t, is, name)
		}
	}
	go func() {
		defer close(a.commands)
		b := make([]byte, 4096)
		for {
			n, err := master.Read(b)
			if err != nil {
				return
			}
			for _, command := range strings.SplitAfter(string(b[:n]), "\r") {
				if command != "" {
					a.commands <- command
				}
			}
		}
	}()
	return a
}

// say sends lines from the adapter to the kernel.
func (a *adapter) say(lines ...string) {
	a.t.Helper()
	for _, line := range lines {
		if _, err := a.master.WriteString(line + "\r"); err != nil {
			a.t.Fatal(err)
		}
	}
}

// unplug takes the adapter away: its interface ceases to be.
func (a *adapter) unplug() {
	a.tty.Close()
	a.master.Close()
	for range a.commands { // the reader ends
	}
}

// canInterfaces are those that are controllers.
func canInterfaces() (names []string) {
	entries, _ := os.ReadDir("/sys/class/net")
	for _, e := range entries {
		if link, err := ReadLink(e.Name()); err == nil && link.Kind == "can" {
			names = append(names, e.Name())
		}
	}
	return names
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	link, err := ReadLink(from)
	if err != nil {
		t.Fatal(err)
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.String(unix.IFLA_IFNAME, to)
	if err := link.change(attributes); err != nil {
		t.Fatalf("renaming %s to %s: %v", from, to, err)
	}
}

// dropRights runs f without CAP_NET_ADMIN, on a thread that ends with it.
func dropRights(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread is not used again
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Error(err)
			return
		}
		f()
	}()
	<-done
}
