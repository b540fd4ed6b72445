package gpio

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/warthog618/go-gpiocdev/uapi"
	"golang.org/x/sys/unix"
)

// Of go-gpiocdev the layer is used that speaks to the kernel. Its own watcher
// reads one event with two system calls, and when a chip is unplugged it spins:
// epoll reports the hang-up without end, and the failed read is passed over.

// consumer is what others see who holds a line.
const consumer = "milepost"

// canonical follows a chip that is a link to another: a Raspberry Pi's
// /dev/gpiochip4 is one.
func canonical(chip string) string {
	if chip == "" {
		return ""
	}
	name := strings.TrimPrefix(chip, "/dev/")
	if target, err := filepath.EvalSymlinks(filepath.Join("/dev", name)); err == nil {
		return filepath.Base(target)
	}
	return name
}

func systemLines() (lines []Line, err error) {
	paths, err := filepath.Glob("/dev/gpiochip*")
	if err != nil {
		return nil, err
	}
	// gpiochip10 is behind gpiochip9.
	slices.SortFunc(paths, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	var problems []error
	for _, path := range paths {
		if info, err := os.Lstat(path); err != nil || info.Mode()&os.ModeSymlink != 0 {
			continue // gone again, or another name of a chip in this list
		}
		chip, err := openChip(path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		for number := range chip.lines {
			line, err := chip.line(number)
			if err != nil {
				problems = append(problems, err)
				break
			}
			lines = append(lines, line)
		}
		chip.close()
	}
	return lines, errors.Join(problems...)
}

// chip is an open chip.
type chip struct {
	fd          int
	name, label string
	lines       int
}

func openChip(path string) (*chip, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("%s: %w: who runs this must be in the group of the device (often gpio), or root", path, err)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	info, err := uapi.GetChipInfo(uintptr(fd))
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: chip information: %w", path, err)
	}
	return &chip{fd, uapi.BytesToString(info.Name[:]), uapi.BytesToString(info.Label[:]), int(info.Lines)}, nil
}

func (c *chip) close() { unix.Close(c.fd) }

func (c *chip) line(number int) (Line, error) {
	info, err := uapi.GetLineInfoV2(uintptr(c.fd), number)
	switch {
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTTY):
		return Line{}, fmt.Errorf("%s: line information: %w: is the kernel older than 5.10?", c.name, err)
	case err != nil:
		return Line{}, fmt.Errorf("%s/%d: line information: %w", c.name, number, err)
	}
	line := Line{
		Chip:      c.name,
		Label:     c.label,
		Number:    number,
		Name:      uapi.BytesToString(info.Name[:]),
		Used:      info.Flags.IsUsed(),
		Consumer:  uapi.BytesToString(info.Consumer[:]),
		Output:    info.Flags.IsOutput(),
		ActiveLow: info.Flags.IsActiveLow(),
	}
	switch {
	case info.Flags.IsBiasDisabled():
		line.Bias = BiasDisabled
	case info.Flags.IsBiasPullUp():
		line.Bias = BiasPullUp
	case info.Flags.IsBiasPullDown():
		line.Bias = BiasPullDown
	}
	for _, a := range info.Attrs[:min(int(info.NumAttrs), len(info.Attrs))] {
		if a.ID == uapi.LineAttributeIDDebounce {
			line.Debounce = time.Duration(a.Value32()) * time.Microsecond
		}
	}
	return line, nil
}

// locate opens the chip of a line.
func locate(o *LineOptions) (*chip, Line, error) {
	there := *o
	there.Chip = canonical(o.Chip)
	lines, problems := systemLines()
	line, err := find(lines, &there)
	if err != nil {
		// What could not be opened may be what is missed.
		return nil, Line{}, errors.Join(err, problems)
	}
	c, err := openChip("/dev/" + line.Chip)
	return c, line, err
}

// requestLine asks the kernel for a line and its edges.
func requestLine(o *LineOptions, edges edgeKinds) (request, error) {
	c, line, err := locate(o)
	if err != nil {
		return nil, err
	}
	defer c.close() // the request stands by itself
	asked := uapi.LineRequest{Lines: 1, EventBufferSize: eventBuffer}
	asked.Offsets[0] = uint32(line.Number)
	copy(asked.Consumer[:len(asked.Consumer)-1], consumer)
	asked.Config.Flags = lineFlags(o, edges)
	if o.Debounce > 0 {
		asked.Config.AddAttribute(uapi.LineConfigAttribute{
			Attr: uapi.DebouncePeriod(max(o.Debounce, time.Microsecond)).Encode(),
			Mask: 1,
		})
	}
	if err := uapi.GetLine(uintptr(c.fd), &asked); err != nil {
		return nil, c.refused(&line, err)
	}
	if err := unix.SetNonblock(int(asked.Fd), true); err != nil {
		unix.Close(int(asked.Fd))
		return nil, fmt.Errorf("%s: %w", line.Place(), err)
	}
	file := os.NewFile(uintptr(asked.Fd), line.Place())
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &requestedLine{file: file, raw: raw}, nil
}

func lineFlags(o *LineOptions, edges edgeKinds) uapi.LineFlagV2 {
	flags := uapi.LineFlagV2Input
	if edges != fallingEdges {
		flags |= uapi.LineFlagV2EdgeRising
	}
	if edges != risingEdges {
		flags |= uapi.LineFlagV2EdgeFalling
	}
	if o.ActiveLow {
		flags |= uapi.LineFlagV2ActiveLow
	}
	switch o.Bias {
	case BiasDisabled:
		flags |= uapi.LineFlagV2BiasDisabled
	case BiasPullUp:
		flags |= uapi.LineFlagV2BiasPullUp
	case BiasPullDown:
		flags |= uapi.LineFlagV2BiasPullDown
	}
	return flags
}

// refused says why the kernel did not give a line.
func (c *chip) refused(line *Line, err error) error {
	switch {
	case errors.Is(err, unix.EBUSY):
		if now, err := c.line(line.Number); err == nil {
			line = &now
		}
		return line.busy()
	case errors.Is(err, unix.ENXIO), errors.Is(err, unix.EOPNOTSUPP):
		return fmt.Errorf("%s: edges: %w: the chip gives no interrupts for this line; poll it as a level", line.Place(), err)
	}
	return fmt.Errorf("%s: request: %w", line.Place(), err)
}

// eventBytes is the size of struct gpio_v2_line_event (linux/gpio.h).
const eventBytes = 48

// requestedLine is a line that the kernel has given us. The descriptor does not
// block: a read waits in Go's poller.
type requestedLine struct {
	file   *os.File
	raw    syscall.RawConn
	buffer [readBatch * eventBytes]byte
}

func (r *requestedLine) level() (on bool, err error) {
	values := uapi.LineValues{Mask: 1}
	if cerr := r.raw.Control(func(fd uintptr) { err = uapi.GetLineValuesV2(fd, &values) }); cerr != nil {
		return false, cerr
	}
	return values.Get(0) == 1, os.NewSyscallError("line values", err)
}

func (r *requestedLine) read(events []event) (int, error) {
	n, failed := 0, error(nil)
	take := func(fd uintptr) bool {
		for {
			n, failed = unix.Read(int(fd), r.buffer[:min(len(events), readBatch)*eventBytes])
			if failed != unix.EINTR {
				return failed != unix.EAGAIN
			}
		}
	}
	err := r.raw.Read(take)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		// A deadline that has passed keeps the poller from looking at all.
		if err = r.raw.Control(func(fd uintptr) { take(fd) }); err == nil && failed == unix.EAGAIN {
			return 0, nil
		}
	}
	if err == nil {
		err = failed
	}
	if err != nil {
		return 0, os.NewSyscallError("read", err)
	}
	return decodeEvents(events, r.buffer[:n]), nil
}

// decodeEvents takes struct gpio_v2_line_event apart:
//
//	0 timestamp_ns u64 | 8 id u32 (1 rising, 2 falling) | 12 offset u32
//	16 seqno u32 | 20 line_seqno u32 | 24 padding
func decodeEvents(events []event, raw []byte) (n int) {
	for ; len(raw) >= eventBytes; raw = raw[eventBytes:] {
		events[n] = event{
			at:     int64(binary.NativeEndian.Uint64(raw)),
			rising: binary.NativeEndian.Uint32(raw[8:]) == uint32(uapi.LineEventRisingEdge),
			seq:    binary.NativeEndian.Uint32(raw[20:]),
		}
		n++
	}
	return n
}

func (r *requestedLine) wake(at time.Time) error { return r.file.SetReadDeadline(at) }

func (r *requestedLine) close() error { return r.file.Close() }

func (r *requestedLine) clocks() (best clocks) {
	for range 3 {
		var before, wall, after unix.Timespec
		err := errors.Join(
			unix.ClockGettime(unix.CLOCK_MONOTONIC, &before),
			unix.ClockGettime(unix.CLOCK_REALTIME, &wall),
			unix.ClockGettime(unix.CLOCK_MONOTONIC, &after))
		if err != nil {
			panic("BUG: " + err.Error()) // neither clock can be missing
		}
		within := (after.Nano() - before.Nano() + 1) / 2
		if best == (clocks{}) || within < best.within {
			best = clocks{mono: before.Nano() + within, wall: wall.Nano(), within: within}
		}
		if best.within < 2000 {
			break
		}
	}
	return best
}
