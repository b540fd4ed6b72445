package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"milepost/can"
	"milepost/can/canlog"
	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/control"
)

// defaultBitrate is of CAN interfaces, in bit/s.
const defaultBitrate = 500000

// order is something that a board can be told to do.
type order struct {
	arguments string // as the help shows them
	least     int    // how many there are at least
	do        func(ctx context.Context, b *board.Board, out io.Writer, args []string) error
}

var orders = map[string]order{
	"run": {"PROGRAM [ARGUMENT …]", 1, func(ctx context.Context, b *board.Board, out io.Writer, args []string) error {
		stdout, err := b.Run(ctx, args...)
		out.Write(stdout)
		return err
	}},
	"start": {"PROGRAM [ARGUMENT …]", 1, func(ctx context.Context, b *board.Board, out io.Writer, args []string) error {
		_, err := b.StartProgram(ctx, control.Program{Args: args})
		return err
	}},
	"cat": {"FILE", 1, func(ctx context.Context, b *board.Board, out io.Writer, args []string) error {
		data, err := b.ReadFile(ctx, args[0])
		out.Write(data)
		return err
	}},
	"up": {"CAN [BITRATE]", 1, func(ctx context.Context, b *board.Board, _ io.Writer, args []string) error {
		link := control.CANLink{Name: args[0], Bitrate: defaultBitrate, Up: true}
		if len(args) > 1 {
			rate, err := strconv.ParseUint(args[1], 10, 32)
			if err != nil {
				return err
			}
			link.Bitrate = uint32(rate)
		}
		return b.SetCANLink(ctx, link)
	}},
	"down": {"CAN", 1, func(ctx context.Context, b *board.Board, _ io.Writer, args []string) error {
		return b.SetCANLink(ctx, control.CANLink{Name: args[0]})
	}},
	"vcan": {"CAN", 1, func(ctx context.Context, b *board.Board, _ io.Writer, args []string) error {
		return b.AddVCAN(ctx, args[0])
	}},
	"send": {"CAN ID#DATA", 2, func(ctx context.Context, b *board.Board, _ io.Writer, args []string) error {
		f, err := parseFrame(args[1])
		if err != nil {
			return err
		}
		return b.SendFrames(ctx, args[0], 0, f)
	}},
	"bus": {"N ID#DATA", 2, func(_ context.Context, b *board.Board, _ io.Writer, args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 0 || n >= len(b.Adapters) {
			return fmt.Errorf("there are %d adapters, no %s", len(b.Adapters), args[0])
		}
		f, err := parseFrame(args[1])
		if err != nil {
			return err
		}
		return b.Adapters[n].Send(f)
	}},
	"line": {"N 0|1", 2, func(_ context.Context, b *board.Board, _ io.Writer, args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil {
			return err
		}
		high, err := strconv.ParseBool(args[1])
		if err != nil {
			return err
		}
		return b.SetLine(n, high)
	}},
	"link": {"on|off", 1, func(_ context.Context, b *board.Board, _ io.Writer, args []string) error {
		if args[0] != "on" && args[0] != "off" {
			return fmt.Errorf("the link is on or off, not %s", args[0])
		}
		return b.SetLink(args[0] == "on")
	}},
	"clock": {"[TIME]", 0, func(ctx context.Context, b *board.Board, _ io.Writer, args []string) error {
		at := time.Now()
		if len(args) > 0 {
			var err error
			if at, err = time.Parse(time.RFC3339, args[0]); err != nil {
				return err
			}
		}
		return b.SetClock(ctx, at)
	}},
}

// obeyLine does what the words of a line say.
func obeyLine(ctx context.Context, b *board.Board, out io.Writer, words []string) error {
	name, args := words[0], words[1:]
	o, ok := orders[name]
	if !ok {
		return fmt.Errorf("%s: unknown; `milepost-lab board -h` lists what a board can be told", name)
	}
	if len(args) < o.least {
		return fmt.Errorf("it is: %s %s", name, o.arguments)
	}
	if err := o.do(ctx, b, out, args); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// parseFrame reads a frame as candump -l writes it: 123#1122, 12345678#, 123#R4.
func parseFrame(text string) (can.Frame, error) {
	frames := make([]can.Frame, 1)
	log, err := canlog.NewReader("frame", strings.NewReader("(0.000000) can0 "+text+"\n"), canlog.Options{})
	if err == nil {
		defer log.Close()
		if n, _ := log.Read(frames); n == 1 {
			return frames[0], nil
		}
	}
	return can.Frame{}, fmt.Errorf("%q is no frame such as 123#1122AABB", text)
}
