package cantest

import (
	"math"

	einride "go.einride.tech/can"

	"milepost/can"
)

// Model describes the messages of a vehicle: what its DBC says, and what a
// Drive sends. It is not to be changed.
type Model struct {
	// Title is the comment of the DBC file.
	Title string
	// Nodes are the control units.
	Nodes    []Node
	Messages []Message
}

// Node is a control unit (BU_ in a DBC).
type Node struct {
	Name, Comment string
}

// EveryBus is the Bus of a message that is sent on each bus of the Drive.
const EveryBus = ^uint16(0)

// Message is one message of a Model: one arbitration ID.
type Message struct {
	Name     string
	ID       uint32
	Extended bool
	// Bus is the index of the bus that carries the message, or EveryBus.
	Bus    uint16
	Sender string
	// Len is the number of data bytes, at most 8.
	Len uint8
	// CycleMilliseconds is the time from one frame to the next.
	CycleMilliseconds int
	Comment           string
	Signals           []Signal

	// movesPerMille is the chance that a frame moves the signals that walk.
	movesPerMille uint32
}

// Role says what a signal is for.
type Role uint8

const (
	// Measured is a signal that carries a value of the vehicle.
	Measured Role = iota
	// Counter counts the frames of its message, modulo its range.
	Counter
	// Checksum is the CRC-8 of SAE J1850 over the other bytes of the payload, in
	// their order. It fills a byte.
	Checksum
	// Selector is the multiplexor: it takes the numbers of the groups in turn,
	// the next with each frame.
	Selector
)

// NoGroup is the Group of a signal that is in every frame of its message.
const NoGroup = -1

// Signal is one signal of a Message. Its physical value is raw*Factor + Offset.
type Signal struct {
	Name string
	// Start is the start bit as a DBC counts: the least significant bit of an
	// Intel signal, the most significant bit of a Motorola one, where bit n is
	// bit n%8 of byte n/8.
	Start uint8
	// Bits is the length, 1 to 32.
	Bits     uint8
	Motorola bool
	Signed   bool
	Factor   float64
	Offset   float64
	Unit     string
	// Table names the raw values from 0; nil where they have no names.
	Table   *ValueTable
	Comment string
	Role    Role
	// Group is the value of the message's Selector at which the signal is there,
	// or NoGroup.
	Group int

	source quantity
	walk   walk
}

// ValueTable gives names to raw values: Names[raw].
type ValueTable struct {
	Name  string
	Names []string
}

// Message finds a message by its arbitration ID; nil if there is none.
func (m *Model) Message(id uint32, extended bool) *Message {
	for i := range m.Messages {
		if m.Messages[i].ID == id && m.Messages[i].Extended == extended {
			return &m.Messages[i]
		}
	}
	return nil
}

// Selector finds the multiplexor of the message; nil if it has none.
func (m *Message) Selector() *Signal {
	for i := range m.Signals {
		if m.Signals[i].Role == Selector {
			return &m.Signals[i]
		}
	}
	return nil
}

// Raw takes the signal's raw value out of the payload of a frame that the Model
// has made. It does not look whether the frame belongs to the signal's group.
func (s *Signal) Raw(f *can.Frame) int64 {
	data := einride.Data(f.Data[:einride.MaxDataLength])
	switch {
	case s.Motorola && s.Signed:
		return data.SignedBitsBigEndian(s.Start, s.Bits)
	case s.Motorola:
		return int64(data.UnsignedBitsBigEndian(s.Start, s.Bits))
	case s.Signed:
		return data.SignedBitsLittleEndian(s.Start, s.Bits)
	default:
		return int64(data.UnsignedBitsLittleEndian(s.Start, s.Bits))
	}
}

// Physical converts a raw value, in the signal's Unit.
func (s *Signal) Physical(raw int64) float64 {
	return float64(float64(raw)*s.Factor) + s.Offset
}

// rawRange gives the smallest and the largest raw value.
func (s *Signal) rawRange() (lo, hi int64) {
	if s.Signed {
		return -1 << (s.Bits - 1), 1<<(s.Bits-1) - 1
	}
	return 0, 1<<s.Bits - 1
}

// walk makes a signal's value up: a random walk between bounds, in fixed-point
// units; where the signal has a value table, a random entry of it.
type walk struct {
	low, high, step int64
}

// one is 1 in the fixed-point numbers of the simulation: they count
// ten-millionths, so that all of it is integer arithmetic, which is the same on
// every machine, down to the resolution of GNSS coordinates.
const one = 10_000_000

// fixed converts a number of the tables.
func fixed(v float64) int64 { return int64(math.Round(v * one)) }
