package board

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"milepost/firmware/debian"
	"milepost/uplink/uplinktest/loopback"
	"milepost/uplink/uplinktest/volatiledisk"
)

// ApplianceOptions say what a board has that starts from the image of a disk.
// Machine and Image are required.
type ApplianceOptions struct {
	Machine Machine
	// Image is the file of the disk, which the board writes to. QEMU wants that of an
	// SD card to have a power of two bytes.
	Image string
	// Disk is the disk, if not nil: it has what Image has, which is left alone. When
	// its power is cut, so is the board's.
	Disk *volatiledisk.Disk
	// KernelArguments are added to those of the image's cmdline.txt.
	KernelArguments []string
	// SSH has the board's port 22 answer at an address of this machine.
	SSH bool
}

// Appliance is a board that runs what is on its disk, and of which the host knows
// no more than a user: its console, its network, and its disk when it is off.
type Appliance struct {
	SSHPort string // on the loopback interface

	opts     ApplianceOptions
	dir      string
	console  *console
	emulator *emulator
	disk     net.Listener // where QEMU finds the disk
	serving  sync.WaitGroup
	stop     sync.Once
}

// bootOffset is where the boot partition of an image begins, in bytes.
const bootOffset = 4 << 20

// ReadBootFile copies a file of an image's boot partition.
func ReadBootFile(ctx context.Context, image, name, to string) error {
	return mtools(ctx, "mcopy", "-n", "-i", fmt.Sprintf("%s@@%d", image, bootOffset), "::"+name, to)
}

// WriteBootFile puts a file onto the boot partition, in place of the one that is
// there, as its owner would with the card in a reader. The board must be off.
func WriteBootFile(ctx context.Context, image, name string, body []byte) error {
	f, err := os.CreateTemp("", "milepost-boot-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(body)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return mtools(ctx, "mcopy", "-o", "-i", fmt.Sprintf("%s@@%d", image, bootOffset), f.Name(), "::"+name)
}

// RemoveBootFile takes a file off the boot partition.
func RemoveBootFile(ctx context.Context, image, name string) error {
	return mtools(ctx, "mdel", "-i", fmt.Sprintf("%s@@%d", image, bootOffset), "::"+name)
}

func mtools(ctx context.Context, program string, args ...string) error {
	path, err := debian.FindProgram(program, "mtools")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=1")
	if said, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, bytes.TrimSpace(said))
	}
	return nil
}

// StartAppliance switches a board on. Kernel and initramfs are those of the image's
// boot partition, which QEMU takes itself as the firmware of a real board would. It
// returns at once; the board must be stopped.
func StartAppliance(ctx context.Context, opts ApplianceOptions) (*Appliance, error) {
	a := &Appliance{opts: opts, console: &console{}}
	var err error
	if a.dir, err = os.MkdirTemp("", "milepost-appliance-"); err != nil {
		return nil, fmt.Errorf("board: %w", err)
	}
	if err := a.start(ctx); err != nil {
		a.Stop()
		return nil, fmt.Errorf("board: %s: %w", opts.Machine, err)
	}
	return a, nil
}

func (a *Appliance) start(ctx context.Context) error {
	m := a.opts.Machine
	files := []string{"vmlinuz", "initrd.img", "cmdline.txt"}
	if m.tree != "" {
		files = append(files, m.tree)
	}
	for _, name := range files {
		if err := ReadBootFile(ctx, a.opts.Image, name, filepath.Join(a.dir, name)); err != nil {
			return err
		}
	}
	commandLine, err := os.ReadFile(filepath.Join(a.dir, "cmdline.txt"))
	if err != nil {
		return err
	}
	words := append(strings.Fields(string(commandLine)), a.opts.KernelArguments...)
	args := append([]string{}, m.arguments...)
	args = append(args, "-display", "none", "-nodefaults", "-no-reboot",
		"-kernel", filepath.Join(a.dir, "vmlinuz"), "-initrd", filepath.Join(a.dir, "initrd.img"), "-append", strings.Join(words, " "))
	network := "user,id=net"
	if a.opts.SSH {
		if a.SSHPort, err = freePort(); err != nil {
			return err
		}
		network += ",hostfwd=tcp:127.0.0.1:" + a.SSHPort + "-:22"
	}
	args = append(args, "-netdev", network)
	drive := "file=" + a.opts.Image
	if a.opts.Disk != nil {
		path := filepath.Join(a.dir, "disk")
		if a.disk, err = net.Listen("unix", path); err != nil {
			return err
		}
		a.serving.Go(func() { serveDisk(a.disk, a.opts.Disk, &a.serving, a.console) })
		drive = "cache=writeback,file=nbd+unix:///?socket=" + path // see diskArguments
	}
	if m.tree != "" {
		args = append(args, "-dtb", filepath.Join(a.dir, m.tree), "-serial", "null", "-serial", "stdio",
			"-drive", drive+",if=sd,format=raw", "-device", "usb-net,netdev=net")
	} else {
		args = append(args, "-serial", "stdio",
			"-drive", drive+",if=none,id=disk,format=raw", "-device", "virtio-blk-device,drive=disk",
			"-device", "virtio-net-device,netdev=net")
	}
	if m.pci {
		args = append(args, "-device", "i6300esb")
	}
	if a.emulator, err = startEmulator(m, args, a.console); err != nil {
		return err
	}
	if a.opts.Disk != nil {
		go followDisk(a.opts.Disk, a.emulator)
	}
	return nil
}

// freePort is one of the loopback interface that nobody uses, and that nobody is given.
func freePort() (string, error) {
	address, err := loopback.Address()
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(address)
	return port, err
}

// Began is when the board was switched on.
func (a *Appliance) Began() time.Time { return a.console.begin }

// Console is what the board has said on its serial port so far, each line with the
// seconds since power-on.
func (a *Appliance) Console() string { return a.console.text() }

// Ended is closed when the board is off, for whatever reason. A board that restarts
// is off instead.
func (a *Appliance) Ended() <-chan struct{} { return a.emulator.ended }

// Stop takes the power away: what the board has not made durable is lost.
func (a *Appliance) Stop() {
	a.stop.Do(func() {
		if a.emulator != nil {
			a.emulator.kill()
		}
		if a.disk != nil {
			a.disk.Close()
			a.serving.Wait()
		}
		os.RemoveAll(a.dir)
	})
}

// Run runs a shell command on the board over SSH, with a private key of a user who
// may, and returns what it says. It is an error if the command fails.
func (a *Appliance) Run(ctx context.Context, key, command string) (stdout string, err error) {
	ssh, err := debian.FindProgram("ssh", "openssh-client")
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, ssh, "-i", key, "-p", a.SSHPort, "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no",
		"-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "ConnectTimeout=60", "root@127.0.0.1", command)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("board: %q over SSH: %w: %s", command, err, bytes.TrimSpace(said.Bytes()))
	}
	return out.String(), nil
}
