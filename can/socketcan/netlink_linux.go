package socketcan

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes of linux/can/netlink.h that x/sys does not name.
const (
	attributeModes          = 17 // IFLA_CAN_CTRLMODE_EXT
	attributeSupportedModes = 1  // IFLA_CAN_CTRLMODE_SUPPORTED
)

// ReadLink asks the kernel about an interface. The error is syscall.ENODEV where
// there is none of that name. It needs no rights.
func ReadLink(name string) (Link, error) {
	var a asker
	defer a.close()
	return a.readLink(name)
}

// answerTime is how long the kernel has for an answer: it answers at once or,
// holding its lock for network devices, late; a driver that hangs must not hang us,
// too.
const answerTime = 10 * time.Second

// dialRoute opens a socket of rtnetlink(7).
func dialRoute() (*netlink.Conn, error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		return nil, err
	}
	_ = conn.SetOption(netlink.ExtendedAcknowledge, true) // the kernel's words for an error; old ones have none
	return conn, nil
}

// execute sends one request of rtnetlink(7) and returns what it is answered with.
func execute(kind netlink.HeaderType, body []byte, attributes *netlink.AttributeEncoder) ([]netlink.Message, error) {
	encoded, err := attributes.Encode()
	if err != nil {
		return nil, err
	}
	conn, err := dialRoute()
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	replies, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Acknowledge},
		Data:   append(body, encoded...),
	})
	return replies, shorter(err)
}

// shorter leaves of a netlink error what the kernel said.
func shorter(err error) error {
	var op *netlink.OpError
	if !errors.As(err, &op) || op.Err == nil {
		return err
	}
	if op.Message != "" {
		return fmt.Errorf("%w (%s)", op.Err, op.Message)
	}
	return op.Err
}

// parseLink reads an RTM_NEWLINK message: struct ifinfomsg and attributes.
func parseLink(b []byte) (link Link, err error) {
	if len(b) < unix.SizeofIfInfomsg {
		return Link{}, errors.New("the kernel's answer is cut off")
	}
	if kind := binary.NativeEndian.Uint16(b[2:]); kind != unix.ARPHRD_CAN {
		return Link{}, fmt.Errorf("it is no CAN interface (its hardware type is %d, not %d): %w", kind, unix.ARPHRD_CAN, unix.ENOTSUP)
	}
	link.Index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	flags := binary.NativeEndian.Uint32(b[8:])
	link.Up, link.Running = flags&unix.IFF_UP != 0, flags&unix.IFF_RUNNING != 0
	attributes, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return Link{}, err
	}
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFLA_IFNAME:
			link.Name = attributes.String()
		case unix.IFLA_MTU:
			link.MTU = int(int32(attributes.Uint32()))
		case unix.IFLA_TXQLEN:
			link.TxQueueLen = int(int32(attributes.Uint32()))
		case unix.IFLA_STATS64:
			link.Packets = parsePacketStats(attributes.Bytes())
		case unix.IFLA_LINKINFO:
			attributes.Nested(link.parseInfo)
		}
	}
	return link, attributes.Err()
}

func (l *Link) parseInfo(attributes *netlink.AttributeDecoder) error {
	var data, stats []byte
	for attributes.Next() {
		switch attributes.Type() {
		case unix.IFLA_INFO_KIND:
			l.Kind = attributes.String()
		case unix.IFLA_INFO_DATA:
			data = attributes.Bytes()
		case unix.IFLA_INFO_XSTATS:
			stats = attributes.Bytes()
		}
	}
	if err := attributes.Err(); err != nil {
		return err
	}
	if l.Kind != "can" { // other kinds have data of their own
		return nil
	}
	l.Device = parseDeviceStats(stats)
	inner, err := netlink.NewAttributeDecoder(data)
	if err != nil {
		return err
	}
	return l.parseController(inner)
}

// parseController reads IFLA_CAN_…. Kernels append to these structures, so more
// than is known is fine, and less is left at zero.
func (l *Link) parseController(attributes *netlink.AttributeDecoder) error {
	for attributes.Next() {
		b := attributes.Bytes()
		switch attributes.Type() {
		case unix.IFLA_CAN_BITTIMING:
			l.Bitrate, l.SamplePoint = word(b, 0), word(b, 1)
		case unix.IFLA_CAN_DATA_BITTIMING:
			l.DataBitrate, l.DataSamplePoint = word(b, 0), word(b, 1)
		case unix.IFLA_CAN_CLOCK:
			l.Clock = word(b, 0)
		case unix.IFLA_CAN_STATE:
			if state := word(b, 0); len(b) >= 4 && state < unix.CAN_STATE_MAX {
				l.State = ErrorActive + State(state)
			}
		case unix.IFLA_CAN_CTRLMODE: // mask, flags
			l.Modes = ControlMode(word(b, 1))
		case unix.IFLA_CAN_RESTART_MS:
			l.Restart = time.Duration(word(b, 0)) * time.Millisecond
		case unix.IFLA_CAN_BERR_COUNTER:
			if len(b) >= 4 {
				l.TxErrors, l.RxErrors = binary.NativeEndian.Uint16(b), binary.NativeEndian.Uint16(b[2:])
				l.HasErrorCounters = true
			}
		case attributeModes:
			inner, err := netlink.NewAttributeDecoder(b)
			if err != nil {
				return err
			}
			for inner.Next() {
				if b := inner.Bytes(); inner.Type() == attributeSupportedModes && len(b) >= 4 {
					l.Supported, l.HasSupported = ControlMode(word(b, 0)), true
				}
			}
			if err := inner.Err(); err != nil {
				return err
			}
		}
	}
	return attributes.Err()
}

// word is the i-th 32-bit word, 0 where there is none.
func word(b []byte, i int) uint32 {
	if len(b) < 4*i+4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b[4*i:])
}

func parseDeviceStats(b []byte) DeviceStats {
	return DeviceStats{
		BusErrors: word(b, 0), ErrorWarning: word(b, 1), ErrorPassive: word(b, 2),
		BusOff: word(b, 3), ArbitrationLost: word(b, 4), Restarts: word(b, 5),
	}
}

func parsePacketStats(b []byte) PacketStats {
	at := func(i int) uint64 {
		if len(b) < 8*i+8 {
			return 0
		}
		return binary.NativeEndian.Uint64(b[8*i:])
	}
	return PacketStats{
		RxPackets: at(0), TxPackets: at(1), RxBytes: at(2), TxBytes: at(3),
		RxErrors: at(4), TxErrors: at(5), RxDropped: at(6), TxDropped: at(7),
		RxOverErrors: at(11),
	}
}

// watchLinks calls changed whenever the kernel tells of a change of some network
// interface, from a goroutine of its own that ends with stop.
func watchLinks(changed func()) (stop func(), err error) {
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: unix.RTMGRP_LINK})
	if err != nil {
		return nil, fmt.Errorf("watching the network interfaces: %w", err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			_, err := conn.Receive()
			if err != nil && !errors.Is(err, unix.ENOBUFS) { // ENOBUFS: there were more than could be told
				return
			}
			changed()
		}
	}()
	return func() {
		conn.Close()
		<-ended
	}, nil
}
