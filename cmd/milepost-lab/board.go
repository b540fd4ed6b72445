package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/control"
	"milepost/uplink/uplinktest/volatiledisk"
)

const boardHelp = `usage: milepost-lab board [--machine arm64|arm32] [--file GUEST=HOST]… …

Starts a virtual board (QEMU, Debian's kernel, nothing is installed), shows what
it says on its serial port, and does what it is told on the standard input, a line
each:

  run PROGRAM [ARGUMENT …]   a program in the guest, to its end; milepost is there
  start PROGRAM …            the same, without waiting for the end
  cat FILE                   a file of the guest
  up CAN [BITRATE]           bring a CAN interface up; down CAN the opposite
  vcan CAN                   make a virtual CAN interface
  send CAN ID#DATA           a frame from the guest
  bus N ID#DATA              a frame from adapter N's bus (its interface is busN)
  line N 0|1                 the level of a GPIO line
  link on|off                the network cable; the host is ` + control.Host + ` in the guest
  clock [TIME]               set the guest's clock, to now or such as 2026-01-31T12:00:00Z
  cut                        cut the power
  off                        switch off in good order, as the end of the input does

Needs Debian's qemu-system-arm, device-tree-compiler, kmod and e2fsprogs, Go, and
to be run within the project. Needs no rights.

  --machine arm64        the kind of board: arm64, or arm32 (no controllers)
  --file GUEST=HOST      a file of the host in the guest; may be repeated
  --controllers N        CAN controllers can0, can1 … on one bus within the board
  --adapters N           CAN adapters bus0, bus1 … whose buses are here
  --disk MIB             a data disk of that size at ` + control.DataDir + `; the cut forgets what is not synced
  --no-clock             no real-time clock: it is 1970
  --cache DIR            where kernels are kept; remove what is there for a newer one

example:
  echo 'run milepost version' | milepost-lab board --machine arm32
`

func runBoard(ctx context.Context, inv *invocation, args []string) error {
	opts := board.Options{Machine: board.ARM64, Files: map[string]string{}, Modules: []string{"vcan"}, Console: inv.stderr}
	flags := flag.NewFlagSet("board", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Func("machine", "", func(name string) error {
		for _, m := range board.Machines {
			if m.Name == name {
				opts.Machine = m
				return nil
			}
		}
		return fmt.Errorf("there are %v", board.Machines)
	})
	flags.Func("file", "", func(pair string) error {
		guest, host, ok := strings.Cut(pair, "=")
		if !ok || guest == "" || host == "" {
			return errors.New("it is GUEST=HOST")
		}
		opts.Files[guest] = host
		return nil
	})
	flags.IntVar(&opts.Controllers, "controllers", 0, "")
	flags.IntVar(&opts.Adapters, "adapters", 0, "")
	disk := flags.Int64("disk", 0, "")
	flags.BoolVar(&opts.NoClock, "no-clock", false, "")
	cache := flags.String("cache", "", "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(inv.stdout, boardHelp)
		return err
	} else if err != nil {
		return usagef("%v", err)
	}
	switch {
	case flags.NArg() > 0:
		return usagef("what the board is to do comes on the standard input, not as %q", flags.Arg(0))
	case opts.Controllers < 0, opts.Adapters < 0, *disk < 0:
		return usagef("there cannot be fewer than none")
	}
	dir, err := os.MkdirTemp("", "milepost-lab-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if opts.Kernel, err = board.FetchKernel(ctx, opts.Machine, *cache); err != nil {
		return err
	}
	if opts.Guest, err = board.BuildGuest(ctx, opts.Machine, dir); err != nil {
		return err
	}
	milepost := filepath.Join(dir, "milepost")
	if err := board.Build(ctx, opts.Machine, "milepost/cmd/milepost", milepost); err != nil {
		return err
	}
	opts.Files["/bin/milepost"] = milepost
	if *disk > 0 {
		if opts.Disk, err = board.NewDisk(ctx, *disk<<20, volatiledisk.Options{}); err != nil {
			return err
		}
	}
	b, err := board.Start(ctx, opts)
	if err != nil {
		return err
	}
	defer b.Stop()
	if err := prepareBoard(ctx, b, opts); err != nil {
		return err
	}
	times := b.Times()
	fmt.Fprintf(inv.stdout, "%s with kernel %s is ready after %.2f s\n", opts.Machine, opts.Kernel.Release, times.Ready.Seconds())
	return obey(ctx, b, inv.stdin, inv.stdout)
}

// prepareBoard mounts the disk and brings the adapters' interfaces up.
func prepareBoard(ctx context.Context, b *board.Board, opts board.Options) error {
	if opts.Disk != nil {
		if err := b.MountData(ctx, ""); err != nil {
			return err
		}
	}
	for i := range opts.Adapters {
		if err := b.AttachAdapter(ctx, i, fmt.Sprintf("bus%d", i), defaultBitrate); err != nil {
			return err
		}
	}
	return nil
}

// obey does what the lines of an input say, until one ends the board. What goes
// wrong is said, and the next line comes.
func obey(ctx context.Context, b *board.Board, in io.Reader, out io.Writer) error {
	lines := make(chan string)
	go func() { // ends with the input, or with the program
		defer close(lines)
		for input := bufio.NewScanner(in); input.Scan(); {
			select {
			case lines <- input.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	for {
		var words []string
		select {
		case line, more := <-lines:
			if words = strings.Fields(line); !more {
				words = []string{"off"}
			}
		case <-b.Ended():
			return errors.New("the board has switched itself off")
		case <-ctx.Done():
			return nil
		}
		if len(words) == 0 {
			continue
		}
		switch words[0] {
		case "off":
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			return b.Shutdown(ctx)
		case "cut":
			b.Stop()
			fmt.Fprintln(out, "the power is cut")
			return nil
		}
		if err := obeyLine(ctx, b, out, words); err != nil {
			fmt.Fprintln(out, err)
		}
	}
}
