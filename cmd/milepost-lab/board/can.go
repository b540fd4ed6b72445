package board

import (
	"context"
	"fmt"
	"time"

	"milepost/can"
	"milepost/cmd/milepost-lab/board/control"
	"milepost/cmd/milepost-lab/slcan"
)

// SetCANLink sets the bit rate of a CAN interface, unless that is 0, and brings
// it up, or down.
func (b *Board) SetCANLink(ctx context.Context, link control.CANLink) error {
	return b.call(ctx, "SetCANLink", link, nil)
}

// AddVCAN makes a virtual CAN interface in the guest.
func (b *Board) AddVCAN(ctx context.Context, name string) error {
	return b.call(ctx, "AddVCAN", name, nil)
}

// AttachAdapter makes a CAN interface of a serial line's adapter and brings it
// up. When it returns, the adapter's channel is open.
func (b *Board) AttachAdapter(ctx context.Context, adapter int, name string, bitrate uint32) error {
	if adapter < 0 || adapter >= len(b.Adapters) {
		return fmt.Errorf("board: there are %d adapters, no %d", len(b.Adapters), adapter)
	}
	attach := control.Attach{Line: fmt.Sprintf("/dev/hvc%d", adapter), Name: name, Bitrate: bitrate}
	if err := b.call(ctx, "AttachAdapter", attach, nil); err != nil {
		return err
	}
	return b.Adapters[adapter].Wait(ctx, func(s slcan.Status) bool { return s.Open && s.Bitrate == bitrate })
}

// SendFrames sends frames from the guest, one after another with a pause, or as
// fast as the interface takes them where that is 0. With a second controller on
// the same bus this is the vehicle.
func (b *Board) SendFrames(ctx context.Context, name string, every time.Duration, frames ...can.Frame) error {
	return b.call(ctx, "SendFrames", control.Frames{Name: name, Frames: frames, Every: every}, nil)
}

// Capture is what an interface of the guest receives.
type Capture struct {
	board *Board
	id    int
}

// Capture begins to keep what an interface receives, error frames included.
// Frames that the guest itself has sent there are marked so (can.Sent).
func (b *Board) Capture(ctx context.Context, name string) (*Capture, error) {
	c := &Capture{board: b}
	return c, b.call(ctx, "Capture", name, &c.id)
}

// Frames returns what was received from a place on, and how many frames the
// kernel has dropped. It waits until there are at least so many, but no longer
// than it is told.
func (c *Capture) Frames(ctx context.Context, from, atLeast int, wait time.Duration) (frames []can.Frame, dropped uint32, err error) {
	var r control.Reception
	err = c.board.call(ctx, "Captured", control.Captured{ID: c.id, From: from, AtLeast: atLeast, Wait: wait}, &r)
	return r.Frames, r.Dropped, err
}
