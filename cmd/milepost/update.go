package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"milepost/cmd/internal/slots"
	"milepost/cmd/internal/status"
	"milepost/cmd/internal/update"
)

var updateCommand = &command{
	name:    "update",
	summary: "bring this gateway's image to another version, signed",
	usage:   "status|keep|confirm or [--downgrade] [--restart] FILE|URL|-",
	detail: `
FILE is an update bundle, for an image that milepost-firmware has made; it may be
at an http:// or https:// address, or come from standard input as "-". It is taken
if one of the device's keys has signed it, and if it is newer and for this board and
kernel. It is written to the system partition that does not run, and tried at the
next start. It is kept if within ten minutes the gateway proves healthy there;
otherwise the device restarts into the system that runs now. The power may be cut at
any instant.

  status    say which system runs, and what became of the last trial
  keep      end the trial of the running system: it stays, healthy or not
  confirm   what the image does at every start: watch the gateway of a system on
            trial, keep it, or restart into the old one`,
	example: `milepost update milepost-1.3.0-rpi4.mpb --restart
milepost update https://updates.example.com/milepost-1.3.0-rpi4.mpb
ssh -l root gateway milepost update - <milepost-1.3.0-rpi4.mpb
milepost update status`,
	run: runUpdate,
}

// updateFlags are the flags of update, and the places on a device that only tests
// have elsewhere.
type updateFlags struct {
	keys, release      string
	downgrade, restart bool
	asJSON             bool
	within, healthy    time.Duration
	spool              string

	booted, lock string
	// reboot restarts the device.
	reboot func() error
	// kernel says what runs.
	kernel func() (string, error)
	// ask asks the gateway with a spool folder how it is.
	ask func(ctx context.Context, dir string) (status.Report, error)
}

func runUpdate(ctx context.Context, inv *invocation, c *command, args []string) error {
	f := updateFlags{booted: slots.BootedFile, lock: update.LockFile, reboot: update.Restart, kernel: update.KernelRelease, ask: status.Ask}
	return f.run(ctx, inv, c, args)
}

func (f *updateFlags) run(ctx context.Context, inv *invocation, c *command, args []string) error {
	rest, err := c.parse(inv, args, f.declare)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("one of status, keep and confirm, or one FILE, URL or -")
	}
	switch rest[0] {
	case "status":
		return f.status(inv)
	case "keep":
		return f.keep(inv)
	case "confirm":
		return f.confirm(ctx, inv)
	}
	return f.apply(ctx, inv, rest[0])
}

// apply takes a bundle.
func (f *updateFlags) apply(ctx context.Context, inv *invocation, from string) error {
	device, err := update.ReadRelease(f.release)
	if err != nil {
		return err
	}
	if device.Kernel, err = f.kernel(); err != nil {
		return err
	}
	keys, err := update.ReadKeys(f.keys)
	if err != nil {
		return err
	}
	machine, err := update.OpenMachine(f.booted, f.lock, true)
	if err != nil {
		return err
	}
	defer machine.Close()
	state, _ := machine.State()
	if err := update.Ready(state, machine.Booted.Started); err != nil { // before anything is fetched
		return err
	}
	progress := newProgress(inv.stderr, 0)
	progress.state.bytesOnly = true
	source, err := openBundle(ctx, inv, from, progress)
	if err != nil {
		return err
	}
	defer source.Close()
	bundle, err := update.OpenBundle(source, keys)
	if err != nil {
		return fmt.Errorf("%s: %w", source.name, err)
	}
	if err := device.Accepts(&bundle.Manifest, f.downgrade); err != nil {
		return err
	}
	if file, ok := source.ReadCloser.(*os.File); ok && source.rewinds {
		// All of it is checked before the other slot's system is given up for it.
		if bundle, err = verified(ctx, bundle, file, keys); err != nil {
			return fmt.Errorf("%s: %w", source.name, err)
		}
	}
	target, closeTarget, err := machine.Target()
	if err != nil {
		return err
	}
	size := bundle.Manifest.Size
	err = update.Apply(ctx, bundle, target, func(done int64) { progress.update(done, size, 0, time.Unix(0, 0)) })
	progress.finish()
	if e := closeTarget(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("%s: %w", source.name, err)
	}
	fmt.Fprintf(inv.stdout, "version %s, signed with %s, is in slot %v, written and read back\n", bundle.Manifest.Version, bundle.Signer.Name, target.Running.Other())
	if f.restart {
		fmt.Fprintln(inv.stdout, "restarting to try it")
		return f.reboot()
	}
	fmt.Fprintln(inv.stdout, "restart to try it; `milepost update status` then says what came of it")
	return nil
}

// bundleSource is where a bundle comes from.
type bundleSource struct {
	io.ReadCloser
	name    string
	rewinds bool
}

func openBundle(ctx context.Context, inv *invocation, from string, messages io.Writer) (*bundleSource, error) {
	if from == "-" {
		return &bundleSource{io.NopCloser(inv.stdin), "standard input", false}, nil
	}
	if strings.Contains(from, "://") {
		download, err := update.OpenURL(ctx, from, update.DownloadOptions{Broken: func(at int64, err error) {
			fmt.Fprintf(messages, "milepost update: the link broke at byte %d, and is tried again: %v\n", at, err)
		}})
		if err != nil {
			return nil, err
		}
		return &bundleSource{download, "the download", false}, nil
	}
	file, err := os.Open(from)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &bundleSource{file, from, info.Mode().IsRegular()}, nil
}

// verified reads a bundle to its end and opens it anew.
func verified(ctx context.Context, b *update.Bundle, file *os.File, keys []update.Key) (*update.Bundle, error) {
	if err := b.Verify(ctx); err != nil {
		return nil, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	again, err := update.OpenBundle(file, keys)
	if err == nil && again.Manifest.SHA256 != b.Manifest.SHA256 {
		err = errors.New("the file changes while it is read")
	}
	return again, err
}

func (f *updateFlags) declare(flags *flag.FlagSet) {
	flags.BoolVar(&f.downgrade, "downgrade", false, "take an older version, or the same")
	flags.BoolVar(&f.restart, "restart", false, "restart when the bundle is written")
	flags.StringVar(&f.keys, "keys", update.KeyDir, "the folder `DIR` with the public keys to trust, *.pem")
	flags.BoolVar(&f.asJSON, "json", false, "print JSON, with status")
	flags.DurationVar(&f.within, "within", 10*time.Minute, "`TIME` for a system on trial, with confirm")
	flags.DurationVar(&f.healthy, "healthy", 30*time.Second, "how long a `TIME` it must be healthy, with confirm")
	flags.StringVar(&f.spool, "spool", "", "the gateway's spool folder `DIR`, if not that of "+defaultConfig+", with confirm")
	flags.StringVar(&f.release, "release", update.ReleaseFile, "the `FILE` that says which board and version this is")
}
