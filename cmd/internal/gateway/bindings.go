// Package gateway assembles milepost's pipeline: frames are bound to the series
// that they carry, summarised window by window, encoded, spooled and forwarded.
// A replay and a live gateway run the same code from the frame on.
package gateway

import (
	"sync"

	"milepost/aggregate"
	"milepost/can"
	"milepost/can/dbc"
)

// Bindings say which series the frames of a bus and arbitration ID carry. They
// are safe for concurrent use; asked once a stream, not once a frame.
type Bindings struct {
	common *dbc.Decoder
	buses  map[string]*dbc.Decoder

	mu    sync.Mutex
	bound map[busID]*Binding
}

type busID struct {
	bus      string
	id       uint32
	extended bool
}

// Binding is how the frames of one arbitration ID on one bus are decoded, and
// the series that this gives.
type Binding struct {
	Plan  *dbc.Plan
	Group *aggregate.Group
}

// NewBindings binds buses to their decoders. A bus without one of its own uses
// common, which may be nil.
func NewBindings(common *dbc.Decoder, buses map[string]*dbc.Decoder) *Bindings {
	return &Bindings{common: common, buses: buses, bound: make(map[busID]*Binding)}
}

// Bind returns the binding of a data frame; nil if no database of its bus knows
// it, or only as a message without signals.
func (b *Bindings) Bind(bus string, f *can.Frame) *Binding {
	key := busID{bus, f.ID, f.Is(can.Extended)}
	b.mu.Lock()
	defer b.mu.Unlock()
	if binding, ok := b.bound[key]; ok {
		return binding
	}
	binding := b.bind(key)
	b.bound[key] = binding
	return binding
}

// Decoder is the decoder of a bus; nil if it has none.
func (b *Bindings) Decoder(bus string) *dbc.Decoder {
	if d, ok := b.buses[bus]; ok {
		return d
	}
	return b.common
}

func (b *Bindings) bind(key busID) *Binding {
	decoder := b.Decoder(key.bus)
	if decoder == nil {
		return nil
	}
	plan := decoder.Lookup(key.id, key.extended)
	if plan == nil {
		return nil
	}
	group := &aggregate.Group{
		Bus: key.bus, ID: key.id, HasID: true, Extended: key.extended,
		Name: plan.Message.Name,
	}
	for _, s := range plan.Signals() {
		group.Series = append(group.Series, aggregate.Series{
			Name: s.Name, Unit: s.Unit,
			Kind: kindOf(s), Bits: uint8(s.Length),
			Factor: s.Factor, Offset: s.Offset,
		})
	}
	return &Binding{Plan: plan, Group: group}
}

func kindOf(s *dbc.Signal) aggregate.Kind {
	switch {
	case s.Kind != dbc.Integer:
		return aggregate.Float
	case !s.Signed && s.Length == 64:
		return aggregate.Unsigned64
	}
	return aggregate.Integer
}
