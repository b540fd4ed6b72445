package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"milepost/cmd/internal/clock"
	"milepost/cmd/internal/config"
	"milepost/cmd/internal/gateway"
	"milepost/cmd/internal/metrics"
	"milepost/cmd/internal/status"
	"milepost/cmd/internal/systemd"
	"milepost/sensors/gpio"
	"milepost/uplink/spool"
)

// defaultConfig is where a package puts the configuration.
const defaultConfig = "/etc/milepost/milepost.yaml"

var runCommand = &command{
	name:    "run",
	summary: "read live buses and sensors, and deliver the summaries: what a gateway does",
	usage:   "[CONFIG]",
	detail: `
Buses, sensors and sinks are those of the configuration, ` + defaultConfig + `
unless another is named. Records wait in the spool while there is no link.

SIGTERM stops it: what is collected is stored, and the sinks have a while to get
it (power.drain). SIGHUP reads the configuration again: databases, priorities and
sinks change without losing a window; a file with mistakes changes nothing.`,
	example: `milepost run
milepost run ./milepost.yaml`,
	run: runRun,
}

// service is a running gateway and what is around it.
type service struct {
	inv    *invocation
	path   string
	config *config.Config // in force
	live   *gateway.Live
	// running is live while it runs.
	running atomic.Pointer[gateway.Live]
	clock   *clock.Clock
	log     *slog.Logger
	notify  systemd.Notifier
	// hangups are the signals to read the configuration again. One that comes while
	// nothing runs is heeded when something does.
	hangups chan os.Signal
	// filter gives a bus other kernel filters.
	filter func(bus string, bindings *gateway.Bindings) error
}

func runRun(ctx context.Context, inv *invocation, c *command, args []string) error {
	files, err := c.parse(inv, args, nil)
	if err != nil {
		return err
	}
	if len(files) > 1 {
		return usagef("one CONFIG")
	}
	s := &service{inv: inv, path: defaultConfig, notify: systemd.New(inv.getenv)}
	if len(files) == 1 {
		s.path = files[0]
	}
	if s.config, err = config.Load(s.path); err != nil {
		return err
	}
	s.log = newLogger(inv.stderr, s.config)
	inv.keepHeapSmall()
	s.hangups = make(chan os.Signal, 1)
	signal.Notify(s.hangups, syscall.SIGHUP)
	defer signal.Stop(s.hangups)
	return s.serve(ctx)
}

// serve runs gateways, one after the other: each while the ignition is on.
func (s *service) serve(ctx context.Context) error {
	around, end := context.WithCancel(context.WithoutCancel(ctx))
	var wait sync.WaitGroup
	defer wait.Wait()
	defer end()
	wait.Go(func() {
		s.notify.Watch(around, s.stuck, func(what string) { s.log.Error("no progress; the watchdog is not fed", "cause", what) })
	})
	power := &s.config.Power
	if power.Ignition.Line.Line == "" {
		return s.drive(ctx)
	}
	o, err := lineOptions(&power.Ignition.Line)
	if err != nil {
		return fmt.Errorf("power.ignition: %w", err)
	}
	line, err := gpio.NewInput(o)
	if err != nil {
		return fmt.Errorf("power.ignition: %w", err)
	}
	wait.Go(func() {
		if err := line.Run(around); err != nil {
			s.log.Error("the ignition line cannot be watched, and is taken for on", "cause", err)
		}
	})
	for {
		s.tell(s.notify.Notify("READY=1", "STATUS=waiting for the ignition"))
		if waitForIgnition(ctx, line, s.log) != nil {
			return nil // it is told to stop, and there is nothing to stop
		}
		on, done := whileIgnition(ctx, line, power.Ignition.Hold)
		err := s.drive(on)
		off := errors.Is(context.Cause(on), errIgnitionOff)
		done()
		if err != nil || !off {
			return err
		}
		if len(power.Off) > 0 {
			s.log.Info("everything is stored; switching off")
			if err := powerOff(ctx, power.Off); err != nil {
				s.log.Error("the gateway cannot be switched off", "cause", err)
			}
		}
	}
}

// stuck is what makes no progress; nothing does so while nothing runs.
func (s *service) stuck() string {
	if live := s.running.Load(); live != nil {
		return live.Stuck()
	}
	return ""
}

// drive runs one gateway until ctx is done.
func (s *service) drive(ctx context.Context) error {
	if err := s.build(); err != nil {
		return err
	}
	return s.run(ctx)
}

// build makes the gateway that the configuration describes.
func (s *service) build() error {
	c := s.config
	if len(c.Buses)+len(c.Sensors) == 0 {
		return fmt.Errorf("%s: %w", s.path, errNothingToRead)
	}
	bindings, err := s.bindings(c)
	if err != nil {
		return err
	}
	boot, earlier, err := gateway.NewBoot(c.Spool.Dir, gateway.KernelBoot())
	if errors.Is(err, gateway.ErrReplay) {
		return err
	}
	if err != nil {
		s.log.Warn("the records' boot ID is made up", "cause", err)
	}
	if s.clock, err = clock.Open(clock.Options{Table: filepath.Join(c.Spool.Dir, "clock"), Boot: boot, Earlier: earlier, Logger: s.log}); err != nil {
		return err
	}
	s.live = &gateway.Live{
		Options: gateway.Options{
			Window: c.Window, Lateness: c.Lateness, ClockStep: c.ClockStep,
			DecodeUnchanged: !c.Dedup.Unchanged,
		},
		Bindings: bindings,
		Device:   c.Device, Boot: boot, Version: thisBuild().Version,
		SpoolDir: c.Spool.Dir,
		Spool: spool.Options{
			Sync: c.Spool.Sync, ChapterBytes: int64(c.Spool.ChapterSize), MaxBytes: int64(c.Spool.MaxSize),
			MemoryBytes: int64(c.Spool.Memory), QuarantineBytes: int64(c.Spool.Quarantine),
			BallastBytes: int64(c.Spool.Ballast), Thin: gateway.NewThinning(c.Spool.Thin),
		},
		Priorities: c.Priorities, Sinks: c.Sinks, Drain: c.Power.Drain,
		Clock: s.clock, HoldBack: c.HoldBack,
		Logger: s.log,
	}
	if c.Spool.Compression == config.CompressionZstd {
		s.live.Spool.Compression = spool.Zstd
	}
	s.live.Refresh = refresh(c)
	for _, m := range c.Dedup.Mirrors {
		s.live.Mirrors = append(s.live.Mirrors, gateway.Mirror{Buses: m.Buses, Within: m.Within})
	}
	if err := s.sensors(); err != nil {
		return err
	}
	return s.buses(bindings)
}

// refresh is how often everything is sent; 0 is always.
func refresh(c *config.Config) time.Duration {
	if !c.Dedup.Exception.Enabled {
		return 0
	}
	return c.Dedup.Exception.Refresh
}

// bindings reads the databases of a configuration.
func (s *service) bindings(c *config.Config) (*gateway.Bindings, error) {
	d := databaseFlags{match: string(c.Match), notAvailable: string(c.NotAvailable)}
	d.fromConfig(c)
	return d.load(s.inv.stderr)
}

// run runs until ctx is done, with the metrics and the status around it.
func (s *service) run(ctx context.Context) error {
	var around sync.WaitGroup
	outer, end := context.WithCancel(context.Background())
	var stops []func()
	around.Go(func() { s.clock.Run(outer) })
	s.live.Ready = func() {
		stop, err := status.Serve(s.live.Dir(), s.live.Report)
		if err != nil {
			s.log.Warn("milepost status will not find this gateway", "cause", err)
		} else {
			stops = append(stops, stop)
		}
		if s.config.Metrics.Listen != "" {
			if stop, err = metrics.Serve(s.config.Metrics.Listen, s.live.Report); err != nil {
				s.log.Error("there will be no metrics", "cause", err)
			} else {
				stops = append(stops, stop)
			}
		}
		around.Go(func() { s.reloads(outer) })
		s.running.Store(s.live)
		s.tell(s.notify.Notify("READY=1", "STATUS=collecting"))
		s.log.Info("running", "device", s.config.Device, "version", s.live.Version, "buses", len(s.live.Buses), "sensors", len(s.live.Sensors), "sinks", len(s.live.Sinks))
	}
	stopping := context.AfterFunc(ctx, func() {
		if !errors.Is(context.Cause(ctx), errIgnitionOff) {
			s.tell(s.notify.Stopping())
		}
	})
	defer stopping()
	ledger, err := s.live.Run(ctx)
	s.running.Store(nil)
	end()
	around.Wait()
	for _, stop := range stops {
		stop()
	}
	if ledger.Frames > 0 || ledger.Readings > 0 {
		var account strings.Builder
		ledger.WriteTo(&account)
		fmt.Fprint(s.inv.stderr, account.String())
	}
	return err
}

// tell logs that systemd could not be told something.
func (s *service) tell(err error) {
	if err != nil {
		s.log.Warn(err.Error())
	}
}

// reloads reads the configuration again at each SIGHUP.
func (s *service) reloads(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.hangups:
		}
		s.tell(s.notify.Reloading())
		if err := s.reload(); err != nil {
			s.log.Error("the configuration is not taken over", "cause", err)
		} else {
			s.log.Info("the configuration is taken over", "file", s.path)
		}
		s.tell(s.notify.Ready())
	}
}

// reload takes over what the file says now. With a mistake in it, nothing changes.
func (s *service) reload() error {
	c, err := config.Load(s.path)
	if err != nil {
		return err
	}
	if fixed := unchangeable(s.config, c); len(fixed) > 0 {
		return fmt.Errorf("%s: %s cannot change while the gateway runs; restart it, or put the old value back; nothing is taken over", s.path, strings.Join(fixed, ", "))
	}
	bindings, err := s.bindings(c)
	if err != nil {
		return err
	}
	for i := range c.Sinks {
		if err := gateway.CheckTarget(&c.Sinks[i]); err != nil {
			return err
		}
	}
	var errs []error
	for _, bus := range c.Buses { // before the bindings, which then find nothing missing
		errs = append(errs, s.filter(bus.Name, bindings))
	}
	errs = append(errs, s.live.Reload(gateway.Change{
		Bindings: bindings, Priorities: c.Priorities, Refresh: refresh(c), Sinks: c.Sinks,
	}))
	s.config = c
	return errors.Join(errs...)
}

// unchangeable names the keys that differ and that a running gateway cannot change.
func unchangeable(old, new *config.Config) (keys []string) {
	for _, k := range []struct {
		key      string
		old, new any
	}{
		{"device", old.Device, new.Device},
		{"window", old.Window, new.Window},
		{"lateness", old.Lateness, new.Lateness},
		{"clock_step", old.ClockStep, new.ClockStep},
		{"hold_back", old.HoldBack, new.HoldBack},
		{"sensors", old.Sensors, new.Sensors},
		{"buses", withoutDatabases(old.Buses), withoutDatabases(new.Buses)},
		{"dedup.unchanged", old.Dedup.Unchanged, new.Dedup.Unchanged},
		{"dedup.mirrors", old.Dedup.Mirrors, new.Dedup.Mirrors},
		{"spool", old.Spool, new.Spool},
		{"power", old.Power, new.Power},
		{"metrics", old.Metrics, new.Metrics},
		{"log", old.Log, new.Log},
	} {
		if !reflect.DeepEqual(k.old, k.new) {
			keys = append(keys, k.key)
		}
	}
	return keys
}

// withoutDatabases are the buses without what can be changed of them.
func withoutDatabases(buses []config.Bus) (rest []config.Bus) {
	for _, b := range buses {
		b.DBC = nil
		rest = append(rest, b)
	}
	return rest
}
