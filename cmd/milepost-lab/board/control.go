package board

import (
	"context"
	"errors"
	"fmt"
	"net/rpc"
	"time"

	"milepost/cmd/milepost-lab/board/control"
)

// call has the guest do something. A result of nil is for what has none.
func (b *Board) call(ctx context.Context, method string, args, result any) error {
	if result == nil {
		result = new(control.None)
	}
	call := b.control.Go(control.Service+"."+method, args, result, make(chan *rpc.Call, 1))
	var server rpc.ServerError
	select {
	case <-call.Done:
		if call.Error == nil {
			return nil
		}
		if errors.As(call.Error, &server) {
			return fmt.Errorf("board: in the guest: %s: %w", method, call.Error)
		}
		return fmt.Errorf("board: %s: the guest is gone: %w%s", method, call.Error, b.console.tail())
	case <-ctx.Done():
		return fmt.Errorf("board: %s: %w%s", method, context.Cause(ctx), b.console.tail())
	case <-b.emulator.ended:
		return fmt.Errorf("board: %s: %w", method, b.emulator.err())
	}
}

// Info asks the guest what it is.
func (b *Board) Info(ctx context.Context) (info control.Info, err error) {
	err = b.call(ctx, "Info", control.None(false), &info)
	return info, err
}

// SetClock sets the guest's clock.
func (b *Board) SetClock(ctx context.Context, wall time.Time) error {
	return b.call(ctx, "SetClock", wall, nil)
}

// ReadFile reads a file of the guest.
func (b *Board) ReadFile(ctx context.Context, path string) (data []byte, err error) {
	err = b.call(ctx, "ReadFile", path, &data)
	return data, err
}

// WriteFile writes a file of the guest.
func (b *Board) WriteFile(ctx context.Context, w control.Write) error {
	return b.call(ctx, "WriteFile", w, nil)
}
