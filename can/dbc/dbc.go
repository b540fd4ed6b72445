// Package dbc reads CAN databases (DBC files), checks them, and compiles them
// into plans that decode frames.
//
// [Parse] is tolerant: a bad line costs that line and one [Problem] with file,
// line and column, never the file. [Compile] turns databases into a [Decoder]
// that finds the [Plan] of an arbitration ID; a Plan decodes one frame
// ([Plan.Decode]) or the frames of a whole window, signal by signal
// ([Plan.Begin], [Plan.Column]).
//
// The format is that of Vector's "DBC File Format Documentation" 1.0.5 and of
// what the tools in the field write beyond it. Where a file is ambiguous, it is
// read as cantools reads it, so that both decode the same values.
package dbc

import (
	"math"
	"time"
)

// Database is the content of one DBC file. It is not modified after Parse, so
// any number of goroutines may read it.
type Database struct {
	// Name is the name that was given to Parse, usually the path of the file.
	Name string
	// Version is the text of the VERSION statement.
	Version string
	// Comment joins the comments that belong to no object.
	Comment string
	// Nodes are the network nodes (BU_), in file order.
	Nodes []*Node
	// Messages are in file order. The pseudo message that holds unassigned
	// signals (VECTOR__INDEPENDENT_SIG_MSG) is not among them.
	Messages []*Message
	// ValueTables are the named tables (VAL_TABLE_), in file order.
	ValueTables []*ValueTable
	// Definitions are the attribute definitions, in file order.
	Definitions []*AttributeDefinition
	// Attributes are those of the database itself.
	Attributes Attributes

	problems []Problem
}

// Message returns the first message with the name, nil if there is none.
func (db *Database) Message(name string) *Message {
	for _, m := range db.Messages {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// Node is a network node.
type Node struct {
	Name       string
	Comment    string
	Attributes Attributes
	Line       int
}

// ValueTable is a table of descriptions that signals may share.
type ValueTable struct {
	Name   string
	Values []ValueDescription
	Line   int
}

// ValueDescription names one raw value of a signal.
type ValueDescription struct {
	// Value is the raw value; one beyond the largest int64 is its bit pattern.
	Value int64
	Text  string
}

// Message describes the frames of one arbitration ID, or of one J1939 PGN.
type Message struct {
	// ID is the arbitration ID without flags, 11 bits, or 29 if Extended.
	ID       uint32
	Extended bool
	// Name is the long name (SystemMessageLongSymbol) where there is one.
	Name string
	// Length is the number of data bytes; above 64 for messages that a
	// transport protocol carries.
	Length int
	// Signals are in file order.
	Signals []*Signal
	// Transmitters are the nodes that send it, without the placeholder
	// Vector__XXX.
	Transmitters []string
	Comment      string
	// CycleTime is the attribute GenMsgCycleTime, 0 if unknown.
	CycleTime time.Duration
	// FD says that it is sent in CAN FD frames (attribute VFrameFormat).
	FD bool
	// J1939 says that the database's attributes make it a J1939 parameter group
	// (VFrameFormat, ProtocolType), whatever the priority and the addresses.
	J1939      bool
	Attributes Attributes
	// Line is where the message is defined.
	Line int
}

// Signal returns the first signal with the name, nil if there is none.
func (m *Message) Signal(name string) *Signal {
	for _, s := range m.Signals {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// Kind says how the bits of a signal are to be read.
type Kind uint8

const (
	// Integer is a two's complement or an unsigned integer.
	Integer Kind = iota
	// Float16, Float32 and Float64 are IEEE 754 numbers of that length. The
	// format knows the latter two; the first is what cantools reads if a
	// 16-bit signal has a float type.
	Float16
	Float32
	Float64
)

// Signal is a value within the payload of a message.
type Signal struct {
	// Name is the long name (SystemSignalLongSymbol) where there is one.
	Name string
	// Start is the number of the signal's first bit: of the least significant
	// one in Intel byte order, of the most significant one in Motorola byte
	// order (BigEndian). Bits are counted from the least significant bit of
	// byte 0 in both cases.
	Start     int
	Length    int
	BigEndian bool
	Signed    bool
	Kind      Kind
	// The physical value is float64(raw*Factor) + Offset.
	Factor float64
	Offset float64
	// Min and Max are what the file says; both are 0 where it leaves them open.
	// Values are never clamped to them.
	Min  float64
	Max  float64
	Unit string
	// Receivers are nodes, without the placeholder Vector__XXX.
	Receivers []string
	Comment   string
	// Values describe raw values, in file order.
	Values []ValueDescription
	// IsMultiplexer says that the raw value of this signal selects others.
	IsMultiplexer bool
	// Multiplexer is the signal of the same message that selects this one, nil
	// if every frame carries it. Chains have an end: no signal selects itself.
	Multiplexer *Signal
	// MultiplexerRanges are the raw values of Multiplexer that select this
	// signal, in ascending order, neither overlapping nor adjacent.
	MultiplexerRanges []Range
	// SPN is the J1939 suspect parameter number, 0 if unknown.
	SPN        int
	Attributes Attributes
	// Line is where the signal is defined.
	Line int
}

// Range is a range of raw values, both ends included.
type Range struct{ First, Last int64 }

// Physical converts a raw value (see [Column] for its representation) into the
// physical one. It does not clamp. The explicit conversion keeps the compiler
// from fusing multiplication and addition, which would give other bits on
// other machines. Raw values beyond 2^53 are rounded to a float64 first.
func (s *Signal) Physical(raw int64) float64 {
	return float64(s.number(raw)*s.Factor) + s.Offset
}

// number gives the raw value as a number.
func (s *Signal) number(raw int64) float64 {
	switch {
	case s.Kind != Integer:
		return math.Float64frombits(uint64(raw))
	case s.Signed:
		return float64(raw)
	default:
		return float64(uint64(raw))
	}
}

// Describe returns the text of the value table for a raw value.
func (s *Signal) Describe(raw int64) (text string, ok bool) {
	for i := range s.Values {
		if s.Values[i].Value == raw {
			return s.Values[i].Text, true
		}
	}
	return "", false
}

// firstByte and pastByte delimit the bytes that the signal touches.
func (s *Signal) firstByte() int { return s.Start / 8 }

func (s *Signal) pastByte() int {
	if s.BigEndian {
		return (s.networkBit() + s.Length + 7) / 8
	}
	return (s.Start + s.Length + 7) / 8
}

// networkBit is the position of a Motorola signal's most significant bit,
// counted in the order of transmission.
func (s *Signal) networkBit() int { return s.Start&^7 + 7 - s.Start&7 }

// decodable says whether a plan can decode the signal.
func (s *Signal) decodable() bool { return s.Length >= 1 && s.Length <= 64 }
