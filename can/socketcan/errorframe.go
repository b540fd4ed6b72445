package socketcan

import "milepost/can"

// ErrorCounters count what error frames reported (linux/can/error.h). One error
// frame may count in several. What a controller reports depends on its driver:
// most tell of state changes always, and of single bus errors only with
// LinkOptions.BusErrorReporting.
type ErrorCounters struct {
	Frames uint64 // error frames in all

	// State changes of the controller.
	Warning uint64 // an error counter reached 96
	Passive uint64 // an error counter exceeded 127
	BusOff  uint64 // the transmit error counter exceeded 255: it left the bus
	Active  uint64 // it is back to error active
	Restart uint64 // it was restarted after bus-off

	// Errors on the bus.
	BusErrors       uint64 // the controller saw an error of whatever kind
	ArbitrationLost uint64
	NoAck           uint64 // nobody acknowledged what it transmitted
	Bit             uint64 // it read another bit than it sent
	Stuff           uint64 // six equal bits in a row
	Form            uint64 // a fixed bit had the wrong value
	CRC             uint64 // the checksum was wrong
	Overload        uint64 // somebody asked for a delay

	// The controller itself.
	RxOverflow  uint64 // it had no room for a received frame: frames are lost
	TxOverflow  uint64
	TxTimeout   uint64
	Transceiver uint64 // the transceiver reports broken or shorted wires
}

// Locations within a frame of a protocol violation, data[3].
const (
	locationCRC          = 0x08
	locationCRCDelimiter = 0x18
	locationAck          = 0x19
)

// Classes of errors in can_id, and what the controller (data[1]) and the protocol
// (data[2]) had: linux/can/error.h. (The names of go.einride.tech/can stand in a
// package that would bring package testing into the gateway.)
const (
	classTxTimeout         = 0x001
	classLostArbitration   = 0x002
	classController        = 0x004
	classProtocolViolation = 0x008
	classTransceiver       = 0x010
	classNoAck             = 0x020
	classBusOff            = 0x040
	classBusError          = 0x080
	classRestarted         = 0x100
	classCounters          = 0x200 // since Linux 6.0: data[6] and data[7] are error counters

	controllerRxOverflow = 0x01
	controllerTxOverflow = 0x02
	controllerRxWarning  = 0x04
	controllerTxWarning  = 0x08
	controllerRxPassive  = 0x10
	controllerTxPassive  = 0x20
	controllerActive     = 0x40

	protocolBit      = 0x01
	protocolForm     = 0x02
	protocolStuff    = 0x04
	protocolBit0     = 0x08
	protocolBit1     = 0x10
	protocolOverload = 0x20
)

// count adds an error frame. Several bits in one are the rule.
func (c *ErrorCounters) count(f *can.Frame) {
	c.Frames++
	class := f.ID
	if class&classTxTimeout != 0 {
		c.TxTimeout++
	}
	if class&classLostArbitration != 0 {
		c.ArbitrationLost++
	}
	if class&classController != 0 {
		c.countController(f.Data[1])
	}
	noAck := class&classNoAck != 0
	if class&classProtocolViolation != 0 {
		what, where := f.Data[2], f.Data[3]
		if what&(protocolBit|protocolBit0|protocolBit1) != 0 {
			c.Bit++
		}
		if what&protocolForm != 0 {
			c.Form++
		}
		if what&protocolStuff != 0 {
			c.Stuff++
		}
		if what&protocolOverload != 0 {
			c.Overload++
		}
		switch where {
		case locationCRC, locationCRCDelimiter:
			c.CRC++
		case locationAck:
			noAck = true
		}
	}
	if noAck {
		c.NoAck++
	}
	if class&classTransceiver != 0 && f.Data[4] != 0 {
		c.Transceiver++
	}
	if class&classBusOff != 0 {
		c.BusOff++
	}
	if class&classBusError != 0 {
		c.BusErrors++
	}
	if class&classRestarted != 0 {
		c.Restart++
	}
}

func (c *ErrorCounters) countController(what byte) {
	if what&controllerRxOverflow != 0 {
		c.RxOverflow++
	}
	if what&controllerTxOverflow != 0 {
		c.TxOverflow++
	}
	if what&(controllerRxWarning|controllerTxWarning) != 0 {
		c.Warning++
	}
	if what&(controllerRxPassive|controllerTxPassive) != 0 {
		c.Passive++
	}
	if what&controllerActive != 0 {
		c.Active++
	}
}

// errorCountersOf are the controller's error counters in an error frame, where
// it has them: kernels before 6.0 give them without the class.
func errorCountersOf(f *can.Frame) (tx, rx uint8, ok bool) {
	tx, rx = f.Data[6], f.Data[7]
	return tx, rx, f.ID&classCounters != 0 || tx|rx != 0
}

func isBusOff(f *can.Frame) bool {
	return f.Flags&can.Error != 0 && f.ID&classBusOff != 0
}
