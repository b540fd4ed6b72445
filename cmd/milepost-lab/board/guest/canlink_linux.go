package main

import (
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"milepost/cmd/milepost-lab/board/control"
)

// iflaCANBittiming is of linux/can/netlink.h; its value is a struct
// can_bittiming, 8 numbers of which the bit rate is the first.
const iflaCANBittiming = 1

// lineDisciplineSLCAN is N_SLCAN of linux/tty.h.
const lineDisciplineSLCAN = 17

// SetCANLink sets a CAN interface's bit rate and brings it up, or down.
func (g *Guest) SetCANLink(c control.CANLink, _ *control.None) error {
	if c.Bitrate != 0 {
		if err := setBitrate(c.Name, c.Bitrate); err != nil {
			return err
		}
	}
	return setUp(c.Name, c.Up)
}

func setBitrate(name string, bitrate uint32) error {
	link, err := net.InterfaceByName(name)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	timing := make([]byte, 32)
	copy(timing, uint32Bytes(bitrate))
	data := attribute(unix.IFLA_INFO_DATA, attribute(iflaCANBittiming, timing...)...)
	info := attribute(unix.IFLA_LINKINFO, slices.Concat(attribute(unix.IFLA_INFO_KIND, []byte("can")...), data)...)
	if err := request(unix.RTM_NEWLINK, 0, linkMessage(link.Index, 0, 0, info)); err != nil {
		return fmt.Errorf("%s: the bit rate %d: %w", name, bitrate, err)
	}
	return nil
}

// AddVCAN makes a virtual CAN interface and brings it up.
func (g *Guest) AddVCAN(name string, _ *control.None) error {
	info := attribute(unix.IFLA_LINKINFO, attribute(unix.IFLA_INFO_KIND, []byte("vcan")...)...)
	body := linkMessage(0, unix.IFF_UP, unix.IFF_UP, attribute(unix.IFLA_IFNAME, []byte(name+"\x00")...), info)
	if err := request(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, body); err != nil {
		return fmt.Errorf("adding %s: %w", name, err)
	}
	return nil
}

// AttachAdapter makes a CAN interface of a serial line, as slcand(1) does, names
// it and brings it up. It lives as long as the guest.
func (g *Guest) AttachAdapter(a control.Attach, _ *control.None) error {
	line, err := openRaw(a.Line)
	if err != nil {
		return err
	}
	before, err := interfaces()
	if err != nil {
		return err
	}
	if err := unix.IoctlSetPointerInt(int(line.Fd()), unix.TIOCSETD, lineDisciplineSLCAN); err != nil {
		return fmt.Errorf("%s: the line discipline of slcan: %w", a.Line, err)
	}
	g.lines.add(line) // it is an interface only while it is open
	after, err := interfaces()
	if err != nil {
		return err
	}
	for name, index := range after {
		if _, old := before[name]; old {
			continue
		}
		if err := request(unix.RTM_NEWLINK, 0, linkMessage(index, 0, 0, attribute(unix.IFLA_IFNAME, []byte(a.Name+"\x00")...))); err != nil {
			return fmt.Errorf("naming %s %s: %w", name, a.Name, err)
		}
		return g.SetCANLink(control.CANLink{Name: a.Name, Bitrate: a.Bitrate, Up: true}, nil)
	}
	return fmt.Errorf("%s: slcan has made no interface", a.Line)
}

func interfaces() (map[string]int, error) {
	links, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	indices := map[string]int{}
	for _, link := range links {
		indices[link.Name] = link.Index
	}
	return indices, nil
}

// openRaw opens a serial line, which appears a moment after its driver, and has
// it change no byte.
func openRaw(path string) (*os.File, error) {
	var line *os.File
	var err error
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		line, err = os.OpenFile(path, os.O_RDWR|unix.O_NOCTTY, 0)
		if err == nil {
			break
		}
		if time.Now().After(deadline) {
			return nil, err
		}
	}
	termios, err := unix.IoctlGetTermios(int(line.Fd()), unix.TCGETS)
	if err == nil {
		termios.Iflag, termios.Oflag, termios.Lflag = 0, 0, 0
		termios.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B4000000
		err = unix.IoctlSetTermios(int(line.Fd()), unix.TCSETS, termios)
	}
	if err != nil {
		line.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return line, nil
}
