package main

import (
	"github.com/warthog618/go-gpiocdev"

	"milepost/cmd/milepost-lab/board/control"
)

// watch is lines that were requested, and their edges.
type watch struct{ edges journal[control.Edge] }

// edgeBuffer is how many edges the kernel keeps for us.
const edgeBuffer = 1024

// LineInfo describes the lines of a chip.
func (g *Guest) LineInfo(name string, infos *[]control.LineInfo) error {
	chip, err := gpiocdev.NewChip(name)
	if err != nil {
		return err
	}
	defer chip.Close()
	for offset := range chip.Lines() {
		info, err := chip.LineInfo(offset)
		if err != nil {
			return err
		}
		*infos = append(*infos, control.LineInfo{Name: info.Name, Consumer: info.Consumer, Output: info.Config.Direction == gpiocdev.LineDirectionOutput})
	}
	return nil
}

// Watch begins to keep the edges of lines, both rising and falling.
func (g *Guest) Watch(l control.Lines, id *int) error {
	w := &watch{}
	options := []gpiocdev.LineReqOption{
		gpiocdev.WithConsumer("board"), gpiocdev.AsInput, gpiocdev.WithBothEdges,
		gpiocdev.WithEventBufferSize(edgeBuffer),
		gpiocdev.WithEventHandler(func(e gpiocdev.LineEvent) {
			w.edges.add(control.Edge{Line: e.Offset, Rising: e.Type == gpiocdev.LineEventRisingEdge, At: e.Timestamp, Sequence: e.Seqno})
		}),
	}
	if l.Debounce > 0 {
		options = append(options, gpiocdev.WithDebounce(l.Debounce))
	}
	if _, err := gpiocdev.RequestLines(l.Chip, l.Offsets, options...); err != nil {
		return err
	}
	*id = g.watches.add(w)
	return nil
}

// Edges returns what a watch has.
func (g *Guest) Edges(q control.Captured, r *control.Edges) error {
	w, err := g.watches.get(q.ID)
	if err != nil {
		return err
	}
	r.Edges, err = w.edges.from(q.From, q.AtLeast, q.Wait)
	return err
}

// Drive requests lines as outputs.
func (g *Guest) Drive(l control.Lines, id *int) error {
	lines, err := gpiocdev.RequestLines(l.Chip, l.Offsets, gpiocdev.WithConsumer("board"), gpiocdev.AsOutput(l.Values...))
	if err != nil {
		return err
	}
	*id = g.outputs.add(lines)
	return nil
}

// SetOutputs sets the lines that Drive has requested, by its number.
func (g *Guest) SetOutputs(l control.Outputs, _ *control.None) error {
	lines, err := g.outputs.get(l.ID)
	if err != nil {
		return err
	}
	return lines.SetValues(l.Values)
}
