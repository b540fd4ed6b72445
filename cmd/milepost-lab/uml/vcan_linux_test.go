package uml

import (
	"bytes"
	"encoding/binary"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestKernelVCAN: a guest has real CAN interfaces, and its kernel gives frames
// their times.
func TestKernelVCAN(t *testing.T) {
	if os.Getenv(Variable) == "" {
		t.Skip("CAN interfaces need a kernel of their own: `make test-kernel`")
	}
	const name = "vcan7"
	addVCAN(t, name)
	link, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	sender, receiver := bindCAN(t, link.Index), bindCAN(t, link.Index)
	if err := unix.SetsockoptInt(receiver, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		t.Fatal(err)
	}

	// struct can_frame: arbitration ID, length, 3 bytes of padding, data.
	frame := binary.NativeEndian.AppendUint32(nil, 0x123)
	frame = append(frame, 3, 0, 0, 0, 'c', 'a', 'n', 0, 0, 0, 0, 0)
	begin := time.Now()
	if _, err := unix.Write(sender, frame); err != nil {
		t.Fatal(err)
	}
	got, control := make([]byte, 64), make([]byte, 128)
	n, nc, _, _, err := unix.Recvmsg(receiver, got, control, 0)
	if err != nil || !bytes.Equal(got[:n], frame) {
		t.Fatalf("received % x: %v", got[:n], err)
	}
	at, ok := kernelTime(t, control[:nc])
	if end := time.Now(); !ok || at.Before(begin.Add(-time.Second)) || at.After(end.Add(time.Second)) {
		t.Errorf("the kernel's time is %v, the frame was sent at %v", at, begin)
	}
}

// bindCAN opens a raw CAN socket on an interface.
func bindCAN(t *testing.T, index int) (fd int) {
	t.Helper()
	fd, err := unix.Socket(unix.AF_CAN, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.CAN_RAW)
	if err != nil {
		t.Fatal("a CAN socket: ", err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrCAN{Ifindex: index}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// kernelTime finds the time of receipt among control messages.
func kernelTime(t *testing.T, control []byte) (at time.Time, ok bool) {
	t.Helper()
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= 16 {
			seconds := binary.NativeEndian.Uint64(m.Data)
			return time.Unix(int64(seconds), int64(binary.NativeEndian.Uint64(m.Data[8:]))), true
		}
	}
	return at, false
}

// addVCAN makes a virtual CAN interface and brings it up, as
// `ip link add NAME up type vcan` does (rtnetlink(7)).
func addVCAN(t *testing.T, name string) {
	t.Helper()
	attribute := func(kind uint16, value []byte) []byte {
		b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofRtAttr+len(value)))
		b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
		return append(b, make([]byte, -len(b)&3)...)
	}
	body := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(body[8:], unix.IFF_UP)  // flags
	binary.NativeEndian.PutUint32(body[12:], unix.IFF_UP) // which of them change
	body = append(body, attribute(unix.IFLA_IFNAME, []byte(name+"\x00"))...)
	body = append(body, attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, []byte("vcan")))...)
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	b = binary.NativeEndian.AppendUint16(b, unix.RTM_NEWLINK)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK|unix.NLM_F_CREATE|unix.NLM_F_EXCL)
	b = append(b, make([]byte, 8)...) // sequence number, port
	b = append(b, body...)

	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 4096)
	n, _, err := unix.Recvfrom(fd, reply, 0)
	if err != nil || n < unix.SizeofNlMsghdr+4 || binary.NativeEndian.Uint16(reply[4:]) != unix.NLMSG_ERROR {
		t.Fatalf("rtnetlink answers % x: %v", reply[:n], err)
	}
	if errno := -int32(binary.NativeEndian.Uint32(reply[unix.SizeofNlMsghdr:])); errno != 0 {
		t.Fatalf("adding %s: %v", name, unix.Errno(errno))
	}
}
