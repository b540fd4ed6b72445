// Package board runs virtual boards: Linux on emulated ARM hardware, with
// Debian's kernel and real drivers, and everything around the board in the hands
// of a test on the host: the vehicle's buses, the GPIO lines, the link, the clock
// and the power.
//
// A board boots into a small program of ours, which then does what the host asks
// of it: it starts the product as it is, for one. Needed are QEMU, Debian's
// package sources and Go; no root, no KVM.
//
//	kernel       Debian's package, fetched by apt (FetchKernel)
//	CAN          kvaser_pci controllers on a bus within the board; slcan adapters
//	             that the host plays (Board.AttachAdapter)
//	GPIO         a PL061, its inputs and outputs at the host (Board.SetLine)
//	link         QEMU's user network to the host, and a plug (Board.SetLink)
//	disk         ext4 on a disk with a volatile cache (Board.CutPower)
//	clock        at any time, or none at all (Options.Clock)
package board

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/rpc"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"milepost/cmd/milepost-lab/board/control"
	"milepost/cmd/milepost-lab/slcan"
	"milepost/firmware/debian"
	"milepost/uplink/uplinktest/volatiledisk"
)

// Options say what a board has. Machine, Kernel and Guest are required.
type Options struct {
	Machine Machine
	Kernel  *debian.Kernel
	Guest   string // the program of BuildGuest
	// Files are files of the host by their path in the guest.
	Files map[string]string
	// Modules of the kernel that are loaded beside those of the board's devices,
	// such as vcan.
	Modules []string
	// Controllers is how many CAN controllers, can0 and so on, are on one bus
	// within the board. ARM32 has no drivers for them.
	Controllers int
	// Adapters is how many serial lines with a CAN adapter there are.
	Adapters int
	// Lines are the names of the GPIO lines.
	Lines []string
	// Disk is the data disk, if any.
	Disk *volatiledisk.Disk
	// Clock is what the real-time clock says at power-on. The zero value is the
	// host's time.
	Clock time.Time
	// NoClock is a board without a real-time clock: it boots in 1970.
	NoClock bool
	// KernelArguments are added to the kernel's command line.
	KernelArguments []string
	// Console gets, line by line, what the board says, if not nil.
	Console io.Writer
}

// Board is a board that is switched on. Its methods are safe for concurrent use.
type Board struct {
	// Adapters are the CAN adapters, in the order of their lines. They are closed
	// until AttachAdapter.
	Adapters []*slcan.Adapter

	opts     Options
	dir      string // for sockets and images
	console  *console
	emulator *emulator
	qmp      *qmp
	gpio     *gpio
	control  *rpc.Client
	conns    []io.Closer
	serving  sync.WaitGroup
	stop     sync.Once
	times    Times
}

// Times are measured from power-on, by the host's clock.
type Times struct {
	Output time.Duration // the first that the board says
	Init   time.Duration // since the kernel began, by its own clock, until init did
	Ready  time.Duration // until the guest answers the host
}

// bootTimeout is for a machine under load: 2 s are usual.
const bootTimeout = 3 * time.Minute

// Start switches a board on and returns when it answers. It must be stopped.
func Start(ctx context.Context, opts Options) (*Board, error) {
	if opts.Kernel == nil || opts.Guest == "" || opts.Machine.emulator == "" {
		return nil, errors.New("board: Machine, Kernel and Guest are required")
	}
	if opts.Controllers > 0 && !opts.Machine.pci {
		return nil, fmt.Errorf("board: %s has no CAN controllers: use adapters", opts.Machine)
	}
	b := &Board{opts: opts, console: &console{also: opts.Console}}
	var err error
	if b.dir, err = os.MkdirTemp("", "milepost-board-"); err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, bootTimeout, fmt.Errorf("the board has not booted in %v", bootTimeout))
	defer cancel()
	if err := b.boot(ctx); err != nil {
		b.Stop()
		return nil, fmt.Errorf("board: %s: %w", opts.Machine, err)
	}
	return b, nil
}

func (b *Board) boot(ctx context.Context) error {
	o := b.opts
	sockets := map[string]*socket{}
	for _, name := range b.socketNames() {
		s, err := listen(b.dir, name)
		if err != nil {
			return err
		}
		sockets[name] = s
		b.conns = append(b.conns, s.listener)
	}
	initramfs := filepath.Join(b.dir, "initramfs")
	if err := writeInitramfs(initramfs, o.Kernel, b.modules(), o.Guest, o.Files); err != nil {
		return err
	}
	devices := b.devices(func(name string) string { return sockets[name].path })
	tree, err := writeDeviceTree(ctx, b.dir, o.Machine, o.Machine.arguments, o.Lines)
	if err != nil {
		return err
	}
	args := slices.Concat(o.Machine.arguments, devices, []string{
		"-display", "none", "-nodefaults", "-no-reboot", "-serial", "stdio",
		"-kernel", o.Kernel.Image(), "-initrd", initramfs, "-dtb", tree, "-append", b.commandLine(),
	})
	if o.Disk != nil {
		l := sockets[diskSocket].listener
		b.serving.Go(func() { serveDisk(l, o.Disk, &b.serving, b.console) })
	}
	if b.emulator, err = startEmulator(o.Machine, args, b.console); err != nil {
		return err
	}
	if o.Disk != nil {
		b.serving.Go(func() { followDisk(b.opts.Disk, b.emulator) })
	}
	return b.connect(ctx, sockets)
}

const (
	qmpSocket     = "qmp"
	qtestSocket   = "qtest"
	controlSocket = "control"
	diskSocket    = "disk"
)

func adapterSocket(i int) string { return fmt.Sprintf("can%d", i) }

func (b *Board) socketNames() []string {
	names := []string{qmpSocket, qtestSocket, controlSocket}
	for i := range b.opts.Adapters {
		names = append(names, adapterSocket(i))
	}
	if b.opts.Disk != nil {
		names = append(names, diskSocket)
	}
	return names
}

// modules are those of the kernel that the board's devices need, in the order in
// which they are loaded. Each costs the guest some 50 ms.
func (b *Board) modules() []string {
	names := []string{"virtio_mmio", "virtio_console", "virtio_net", "can_raw"}
	if b.opts.Controllers > 0 {
		names = append(names, "kvaser_pci")
	}
	if b.opts.Adapters > 0 {
		names = append(names, "slcan")
	}
	if b.opts.Disk != nil {
		// ext4 asks for its checksum by another name than the module's.
		names = append(names, "virtio_blk", "crc32c_generic", "ext4")
	}
	return append(names, b.opts.Modules...)
}

// devices are QEMU's arguments for what the machine has beside processor and
// memory.
func (b *Board) devices(path func(socket string) string) []string {
	o := b.opts
	args := []string{
		"-chardev", "socket,id=qmp,path=" + path(qmpSocket), "-mon", "chardev=qmp,mode=control",
		"-qtest", "unix:" + path(qtestSocket), "-qtest-log", "none",
		"-netdev", "user,id=net", "-device", "virtio-net-device,netdev=net,id=nic",
		"-device", "virtio-serial-device",
	}
	// The port of number 0 is a console's: /dev/hvc0 is the first adapter.
	for i := range o.Adapters {
		name := adapterSocket(i)
		args = append(args, "-chardev", fmt.Sprintf("socket,id=%s,path=%s", name, path(name)), "-device", "virtconsole,chardev="+name)
	}
	args = append(args, "-chardev", "socket,id=control,path="+path(controlSocket),
		"-device", "virtserialport,chardev=control,name="+control.Port)
	if o.Controllers > 0 {
		args = append(args, "-object", "can-bus,id=bus")
		for range o.Controllers {
			args = append(args, "-device", "kvaser_pci,canbus=bus")
		}
	}
	if o.Disk != nil {
		args = append(args, diskArguments(path(diskSocket))...)
	}
	if !o.Clock.IsZero() {
		args = append(args, "-rtc", "base="+o.Clock.UTC().Format("2006-01-02T15:04:05"))
	}
	return args
}

// commandLine is the kernel's.
func (b *Board) commandLine() string {
	words := []string{"console=" + b.opts.Machine.console, "quiet", "panic=-1"}
	if b.opts.NoClock {
		words = append(words, "initcall_blacklist=pl031_driver_init")
	}
	return strings.Join(append(words, b.opts.KernelArguments...), " ")
}

// connect takes up QEMU's ends of the sockets, and the guest's.
func (b *Board) connect(ctx context.Context, sockets map[string]*socket) error {
	conns := map[string]net.Conn{}
	for _, name := range b.socketNames() {
		if name == diskSocket {
			continue
		}
		conn, err := sockets[name].accept(ctx, b.emulator)
		if err != nil {
			return err
		}
		b.conns = append(b.conns, conn)
		conns[name] = conn
	}
	var err error
	if b.qmp, err = newQMP(conns[qmpSocket]); err != nil {
		return err
	}
	if b.gpio, err = newGPIO(b.qmp, conns[qtestSocket]); err != nil {
		return err
	}
	for i := range b.opts.Adapters {
		a := slcan.New(conns[adapterSocket(i)])
		b.Adapters = append(b.Adapters, a)
		b.serving.Go(func() { a.Run() }) // its Wait says how the line ended
	}
	b.control = rpc.NewClient(conns[controlSocket])
	info, err := b.Info(ctx)
	if err != nil {
		return err
	}
	// QEMU has read its files and connected to its sockets: a test that is killed
	// leaves nothing behind.
	if err := os.RemoveAll(b.dir); err != nil {
		return err
	}
	b.times = Times{Output: b.console.firstOutput(), Init: info.Init, Ready: time.Since(b.console.begin)}
	return b.call(ctx, "Network", control.None(false), nil)
}

// Times says how long the board took to boot.
func (b *Board) Times() Times { return b.times }

// Console is what the board has said on its serial port so far, each line with
// the seconds since power-on.
func (b *Board) Console() string { return b.console.text() }

// Stop takes the power away and waits until nothing of the board is left. A data
// disk keeps its cache: for its power, see CutPower.
func (b *Board) Stop() {
	b.stop.Do(func() {
		if b.emulator != nil {
			b.emulator.kill()
		}
		if b.control != nil {
			b.control.Close()
		}
		for _, c := range b.conns {
			c.Close()
		}
		b.serving.Wait()
		os.RemoveAll(b.dir)
	})
}

// Shutdown has the guest sync its disk and switch itself off.
func (b *Board) Shutdown(ctx context.Context) error {
	b.control.Go(control.Service+".PowerOff", control.None(false), new(control.None), make(chan *rpc.Call, 1)) // has no answer
	select {
	case <-b.emulator.ended:
		b.Stop()
		return nil
	case <-ctx.Done():
		return fmt.Errorf("board: the guest does not switch itself off: %w%s", context.Cause(ctx), b.console.tail())
	}
}

// Ended is closed when the board is off, for whatever reason.
func (b *Board) Ended() <-chan struct{} { return b.emulator.ended }
