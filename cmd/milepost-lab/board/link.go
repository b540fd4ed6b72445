package board

import "fmt"

// SetLink plugs the network cable in, or pulls it. The guest sees its carrier go;
// connections stay, on both sides, as with a vehicle in a tunnel.
func (b *Board) SetLink(up bool) error {
	if err := b.qmp.execute("set_link", map[string]any{"name": "nic", "up": up}, nil); err != nil {
		return fmt.Errorf("board: %w", err)
	}
	return nil
}
