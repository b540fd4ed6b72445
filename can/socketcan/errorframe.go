package socketcan

import (
	"go.einride.tech/can/pkg/socketcan"

	"milepost/can"
)

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

// Bits that einride's package does not name.
const (
	classCounters = 0x200 // since Linux 6.0: data[6] and data[7] are error counters

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
	class := socketcan.ErrorClass(f.ID)
	if class&socketcan.ErrorClassTxTimeout != 0 {
		c.TxTimeout++
	}
	if class&socketcan.ErrorClassLostArbitration != 0 {
		c.ArbitrationLost++
	}
	if class&socketcan.ErrorClassController != 0 {
		c.countController(socketcan.ControllerError(f.Data[1]))
	}
	noAck := class&socketcan.ErrorClassNoAck != 0
	if class&socketcan.ErrorClassProtocolViolation != 0 {
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
	if class&socketcan.ErrorClassTransceiver != 0 && f.Data[4] != 0 {
		c.Transceiver++
	}
	if class&socketcan.ErrorClassBusOff != 0 {
		c.BusOff++
	}
	if class&socketcan.ErrorClassBusError != 0 {
		c.BusErrors++
	}
	if class&socketcan.ErrorClassRestarted != 0 {
		c.Restart++
	}
}

func (c *ErrorCounters) countController(what socketcan.ControllerError) {
	if what&socketcan.ControllerErrorRxBufferOverflow != 0 {
		c.RxOverflow++
	}
	if what&socketcan.ControllerErrorTxBufferOverflow != 0 {
		c.TxOverflow++
	}
	if what&(socketcan.ControllerErrorRxWarning|socketcan.ControllerErrorTxWarning) != 0 {
		c.Warning++
	}
	if what&(socketcan.ControllerErrorRxPassive|socketcan.ControllerErrorTxPassive) != 0 {
		c.Passive++
	}
	if what&socketcan.ControllerErrorActive != 0 {
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
	return f.Flags&can.Error != 0 && socketcan.ErrorClass(f.ID)&socketcan.ErrorClassBusOff != 0
}
