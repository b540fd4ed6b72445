// Package aggregate summarises samples in tumbling windows of event time.
//
// Samples arrive as columns of raw integers, each with a weight that says how
// many equal samples it stands for. They are summed, compared and counted in
// the raw domain, where integer arithmetic is exact and independent of order,
// and become physical values once a window. The package knows neither buses nor
// sensors: whoever fills a Lane says what its streams mean.
package aggregate

import (
	"math"
	"strings"
)

// Kind says what the raw values of a series are.
type Kind uint8

const (
	// Integer: two's complement integers (signed signals of any length,
	// unsigned ones below 64 bits).
	Integer Kind = iota
	// Unsigned64: 64-bit unsigned integers, held as their bit patterns.
	Unsigned64
	// Float: IEEE 754 numbers, held as math.Float64bits.
	Float
)

// Series is one sequence of samples: a signal of a CAN message on a bus, or a
// sensor's reading. It is immutable once in use.
type Series struct {
	// Name is the signal's name; Unit the unit of its physical values.
	Name, Unit string
	// Kind is the kind of its raw values, Bits their length (0: unknown, 64).
	Kind Kind
	Bits uint8
	// Factor and Offset make a physical value: float64(raw*Factor) + Offset.
	Factor, Offset float64
}

// Group is a set of series that are sampled together, such as the signals of
// one message with one arbitration ID on one bus.
type Group struct {
	// Bus names the bus; a sensor's group has its driver's name here.
	Bus string
	// ID is the arbitration ID; HasID is false for what is not from a bus.
	ID              uint32
	HasID, Extended bool
	// Name is the message's name.
	Name   string
	Series []Series
}

// Physical converts a raw value. The explicit conversion of the product keeps
// the compiler from fusing multiplication and addition, so that all machines
// give the same bits.
func (s *Series) Physical(raw int64) float64 {
	var value float64
	switch s.Kind {
	case Float:
		value = math.Float64frombits(uint64(raw))
	case Unsigned64:
		value = float64(uint64(raw))
	default:
		value = float64(raw)
	}
	return float64(value*s.Factor) + s.Offset
}

// less orders raw values of the series' kind.
func (k Kind) less(a, b int64) bool {
	switch k {
	case Float:
		return math.Float64frombits(uint64(a)) < math.Float64frombits(uint64(b))
	case Unsigned64:
		return uint64(a) < uint64(b)
	default:
		return a < b
	}
}

// Compare orders groups as they stand in every window: by bus, then standard
// before extended IDs, by ID, by name.
func (g *Group) Compare(o *Group) int {
	switch {
	case g == o:
		return 0
	case g.Bus != o.Bus:
		return compareBuses(g.Bus, o.Bus)
	case g.HasID != o.HasID:
		return compareBool(g.HasID, o.HasID)
	case g.Extended != o.Extended:
		return compareBool(g.Extended, o.Extended)
	case g.ID != o.ID:
		if g.ID < o.ID {
			return -1
		}
		return 1
	case g.Name < o.Name:
		return -1
	case g.Name > o.Name:
		return 1
	}
	return 0
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// compareBuses orders names with numbers in them as people do: can2 before can10.
func compareBuses(a, b string) int {
	stemA, numberA := splitNumber(a)
	stemB, numberB := splitNumber(b)
	switch {
	case stemA != stemB:
		return strings.Compare(stemA, stemB)
	case len(numberA) != len(numberB):
		return len(numberA) - len(numberB)
	}
	return strings.Compare(numberA, numberB)
}

func splitNumber(name string) (stem, number string) {
	i := len(name)
	for i > 0 && '0' <= name[i-1] && name[i-1] <= '9' {
		i--
	}
	return name[:i], name[i:]
}
