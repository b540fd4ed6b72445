package socketcan

import (
	"errors"
	"fmt"
	"time"
)

// State is what a CAN controller may take part in (ISO 11898-1, fault
// confinement; linux/can/netlink.h).
type State uint8

const (
	// StateUnknown is that of an interface without a controller, such as vcan.
	StateUnknown State = iota
	ErrorActive
	// ErrorWarning: an error counter has reached 96.
	ErrorWarning
	// ErrorPassive: an error counter is above 127; it may not disturb others any
	// more.
	ErrorPassive
	// BusOff: the transmit error counter is above 255; it neither sends nor
	// receives until it is restarted.
	BusOff
	// Stopped: the interface is down.
	Stopped
	Sleeping
)

var stateNames = [...]string{"unknown", "error-active", "error-warning", "error-passive", "bus-off", "stopped", "sleeping"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// ControlMode are the switches of a controller, CAN_CTRLMODE_….
type ControlMode uint32

const (
	Loopback          ControlMode = 1 << 0
	ListenOnly        ControlMode = 1 << 1 // receives, and never drives the bus: no acknowledgement either
	TripleSampling    ControlMode = 1 << 2
	OneShot           ControlMode = 1 << 3 // no retransmission
	BusErrorReporting ControlMode = 1 << 4 // an error frame for each error on the bus
	FDMode            ControlMode = 1 << 5
	PresumeAck        ControlMode = 1 << 6
	NonISOFD          ControlMode = 1 << 7
)

// Link is what the kernel says of a CAN interface.
type Link struct {
	Name  string
	Index int
	// Kind is "can" for a controller, "vcan" or "vxcan" for what is none.
	Kind string
	// Up says that the interface was brought up; Running, that it works too: a
	// controller in bus-off does not.
	Up, Running bool
	MTU         int // 16 for classical CAN, 72 for CAN FD
	TxQueueLen  int

	State State
	// TxErrors and RxErrors are the controller's error counters, where its driver
	// can tell (HasErrorCounters).
	TxErrors, RxErrors uint16
	HasErrorCounters   bool
	// Bit rates are in bit/s, as the controller could make them; sample points in
	// permille of a bit. Zero where none is set.
	Bitrate, SamplePoint         uint32
	DataBitrate, DataSamplePoint uint32
	Clock                        uint32 // Hz, of the controller
	Modes                        ControlMode
	// Supported are the modes that the controller has; HasSupported says whether
	// the kernel tells (since 5.19).
	Supported    ControlMode
	HasSupported bool
	// Restart is how long after bus-off the kernel restarts the controller, 0
	// where it does not.
	Restart time.Duration

	Device  DeviceStats
	Packets PacketStats
}

// DeviceStats are the driver's counters since the interface was made (struct
// can_device_stats).
type DeviceStats struct {
	BusErrors, ErrorWarning, ErrorPassive, BusOff, ArbitrationLost, Restarts uint32
}

// PacketStats are the counters of the interface since it was made (struct
// rtnl_link_stats64). Bytes are those of payloads. Controllers count what they
// received and what they sent; vcan counts each frame in both.
type PacketStats struct {
	RxPackets, TxPackets, RxBytes, TxBytes   uint64
	RxErrors, TxErrors, RxDropped, TxDropped uint64
	RxOverErrors                             uint64 // the controller had no room
}

// LinkOptions are how an interface should be. The zero value brings it up as it
// is, to listen only.
type LinkOptions struct {
	// Bitrate in bit/s; zero leaves what is set.
	Bitrate uint32
	// SamplePoint in permille of a bit; zero lets the kernel choose.
	SamplePoint uint32
	// DataBitrate and DataSamplePoint are those of the data phase of CAN FD.
	DataBitrate, DataSamplePoint uint32
	// FD asks for CAN FD, as a DataBitrate does.
	FD bool
	// Transmit takes a controller out of listen-only mode: it then acknowledges
	// frames, sends error flags, and sends what any program writes. Without it
	// nothing on the bus can tell that we are there.
	Transmit bool
	// OneShot does not repeat what was not acknowledged or lost arbitration.
	OneShot bool
	// BusErrorReporting asks the controller for an error frame for each error on
	// the bus; that may be many.
	BusErrorReporting bool
	// Restart is how long after bus-off the kernel should restart the controller,
	// in steps of 1 ms; zero leaves what is set.
	Restart time.Duration
	// TxQueueLen is the length of the transmit queue in frames; zero leaves what
	// is set.
	TxQueueLen int
}

func (o *LinkOptions) fd() bool { return o.FD || o.DataBitrate != 0 }

// modes are the control modes that o asks for, among those that it is about.
func (o *LinkOptions) modes() (want, about ControlMode) {
	about = ListenOnly | OneShot | BusErrorReporting | FDMode
	if !o.Transmit {
		want |= ListenOnly
	}
	if o.OneShot {
		want |= OneShot
	}
	if o.BusErrorReporting {
		want |= BusErrorReporting
	}
	if o.fd() {
		want |= FDMode
	}
	return want, about
}

// errNoRestart: the driver leaves restarting to whoever takes the interface down
// and up.
var errNoRestart = errors.New("the controller's driver cannot restart it after bus-off by itself; leave the restart time out")
