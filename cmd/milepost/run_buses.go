package main

import (
	"fmt"
	"math"

	"milepost/can/socketcan"
	"milepost/cmd/internal/config"
	"milepost/cmd/internal/gateway"
	"milepost/cmd/internal/status"
)

// buses makes the buses of the configuration. Interfaces need not be there yet.
func (s *service) buses(bindings *gateway.Bindings) error {
	open := make(map[string]*socketcan.Bus)
	for i := range s.config.Buses {
		c := &s.config.Buses[i]
		o := socketcan.BusOptions{
			Interface: c.Interface, Name: c.Name,
			ReceiveBuffer: int(c.ReceiveBuffer), CountForeign: c.CountForeign && c.Filter, Coalesce: c.Coalesce,
			Link:    linkOptions(c),
			Filters: s.filters(c, bindings),
			Logger:  s.log,
		}
		bus := socketcan.NewBus(o)
		open[c.Name] = bus
		s.live.Buses = append(s.live.Buses, gateway.LiveBus{
			Name: c.Name, Bus: bus, Begun: bus.Begun(),
			Health: func() status.Bus { return busStatus(c, bus.Health()) },
		})
	}
	s.filter = func(name string, bindings *gateway.Bindings) error {
		for i := range s.config.Buses {
			if c := &s.config.Buses[i]; c.Name == name && c.Filter {
				if err := open[name].SetFilters(s.filters(c, bindings)); err != nil {
					return fmt.Errorf("bus %s: %w", name, err)
				}
			}
		}
		return nil
	}
	return nil
}

// linkOptions are nil where the interface is left as the system has set it up.
func linkOptions(c *config.Bus) *socketcan.LinkOptions {
	if c.Bitrate == 0 {
		return nil
	}
	return &socketcan.LinkOptions{
		Bitrate: uint32(c.Bitrate), SamplePoint: permille(c.SamplePoint),
		DataBitrate: uint32(c.DataBitrate), DataSamplePoint: permille(c.DataSamplePoint),
		Transmit: c.Transmit, Restart: c.Restart, TxQueueLen: c.TxQueue,
	}
}

func permille(share float64) uint32 { return uint32(math.Round(1000 * share)) }

// filters let the frames pass that a bus's databases know; nil lets all pass.
func (s *service) filters(c *config.Bus, bindings *gateway.Bindings) []socketcan.Filter {
	decoder := bindings.Decoder(c.Name)
	if !c.Filter || decoder == nil {
		return nil
	}
	var wanted []socketcan.Wanted
	for _, id := range decoder.Identifiers() {
		if id.Group {
			wanted = append(wanted, socketcan.WantPGN(id.ID))
		} else {
			wanted = append(wanted, socketcan.Wanted{ID: id.ID, Extended: id.Extended})
		}
	}
	filters := socketcan.CompileFilters(wanted)
	for _, f := range filters {
		if f.Wide {
			s.log.Info("the databases know more IDs than the kernel's filter can tell apart; some foreign frames pass it", "bus", c.Name, "ids", len(wanted))
			break
		}
	}
	return filters
}

// busStatus is how a bus is, for people and for records.
func busStatus(c *config.Bus, h socketcan.Health) status.Bus {
	b := status.Bus{
		Interface: c.Interface, State: busState(&h), Since: h.Since,
		TxErrors: h.TxErrors, RxErrors: h.RxErrors,
		Received: h.Received, Dropped: h.Dropped, Foreign: h.Foreign,
		ErrorFrames: h.Errors.Frames, Warnings: h.Errors.Warning, Passives: h.Errors.Passive,
		BusOffs: h.Errors.BusOff, Restarts: h.Restarts + h.Errors.Restart, ArbitrationLost: h.Errors.ArbitrationLost,
	}
	if h.Err != nil {
		b.Err = h.Err.Error()
	}
	if !math.IsNaN(h.Load) {
		b.Load = &h.Load
	}
	return b
}

// busState is one of status.Bus's states.
func busState(h *socketcan.Health) string {
	switch {
	case !h.Present:
		return "absent"
	case !h.Link.Up:
		return "down"
	case h.Link.State == socketcan.StateUnknown: // no controller, no errors
		return socketcan.ErrorActive.String()
	case h.Link.State == socketcan.Sleeping:
		return socketcan.Stopped.String()
	}
	return h.Link.State.String()
}
