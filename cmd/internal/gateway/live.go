package gateway

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"milepost/can"
	"milepost/cmd/internal/clock"
	"milepost/cmd/internal/config"
	"milepost/cmd/internal/status"
	"milepost/sensors"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// Bus is a live bus, or what delivers frames as one does.
type Bus interface {
	can.Source
	// SetReadDeadline makes a Read that waits beyond t return no frame and
	// os.ErrDeadlineExceeded.
	SetReadDeadline(t time.Time) error
	// Close ends a Read that waits.
	Close() error
}

// LiveBus is a Bus with its name.
type LiveBus struct {
	Name string
	Bus  Bus
	// Health, if set, says how the bus is; it is asked once a second.
	Health func() status.Bus
}

// LiveSensor is a sensor, its driver and its name, which stand in the place of bus
// and message in its records.
type LiveSensor struct {
	Driver, Name string
	Sensor       sensors.Sensor
}

// Live reads buses and sensors and delivers summaries until it is told to stop.
//
// Each bus has a goroutine that only reads and sorts frames into the lanes of its
// ring; all sensors share another. One goroutine, the closer, summarises what is
// complete and stores it.
type Live struct {
	Options
	Bindings *Bindings
	Buses    []LiveBus
	Sensors  []LiveSensor

	Device  string
	Boot    uplink.BootID
	Version string

	SpoolDir   string
	Spool      spool.Options
	Priorities []config.PriorityRule
	Sinks      []config.Sink
	// Clock, if set, stamps windows and re-dates records; HoldBack is as in Target.
	Clock    *clock.Clock
	HoldBack time.Duration
	// Drain is how long a stop waits for the sinks to get what is stored.
	Drain time.Duration
	// Ready, if set, is called when everything runs.
	Ready  func()
	Logger *slog.Logger

	started  time.Time
	intakes  []*intake
	hub      *hub
	spools   *Spools
	dir      string
	delivery *Delivery
	closer   *closer
	reload   sync.Mutex
	fallback error // why the records are not in SpoolDir
	earlier  []spool.Info

	stopping atomic.Bool

	durabilityLock sync.Mutex
	durability     durability
}

// liveSlots is how many windows may wait for the closer: what a disk that hangs
// for so many seconds costs nothing.
const liveSlots = 12

// Run collects until ctx is done, and then stores and delivers what there is. The
// ledger accounts for all frames that were received.
func (l *Live) Run(ctx context.Context) (ledger Ledger, err error) {
	l.started = time.Now()
	if l.Logger == nil {
		l.Logger = slog.New(slog.DiscardHandler)
	}
	if err := l.open(); err != nil {
		return ledger, err
	}
	defer func() { err = errors.Join(err, l.spools.Close()) }()
	targets, err := l.targets(l.Sinks, func(name string) []byte { return newestNote(l.earlier, name) })
	if err != nil {
		return ledger, err
	}
	l.closer = newCloser(l)
	if l.delivery, err = NewDelivery(l.spools, targets, l.closer.store, l.Logger); err != nil {
		return ledger, err
	}
	forget(l.spools, l.Sinks, l.Logger)
	delivering, stopDelivery := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDelivery()
	l.delivery.Start(delivering, func(err error) {
		l.Logger.Error("a sink is given up until the next start; its records wait in the spool", "cause", err)
	})
	if l.Clock != nil {
		l.Options.Stamp = l.Clock.Stamp
		// A certificate that was not valid in 1970 may be so now.
		defer l.Clock.Subscribe(func(clock.Event) { l.delivery.Retry() })()
	}
	collecting, stopCollecting := context.WithCancel(context.WithoutCancel(ctx))
	defer stopCollecting()
	wait := l.collect(collecting)
	if l.Ready != nil {
		l.Ready()
	}
	<-ctx.Done()
	l.stopping.Store(true)
	l.Logger.Info("stopping", "cause", context.Cause(ctx))
	stopCollecting()
	wait()
	err = l.closer.finish()
	ledger = l.closer.ledger()
	return ledger, errors.Join(err, l.drain(stopDelivery), check(&ledger))
}

func check(ledger *Ledger) error {
	if err := ledger.Check(); err != nil {
		return fmt.Errorf("BUG: %w", err)
	}
	return nil
}

// open opens the spools. A disk that does not let them be opened is no reason not
// to run: what is collected is kept in memory then, and delivered from there.
func (l *Live) open() (err error) {
	options := l.Spool
	options.Logger = l.Logger
	if options.MaxBytes > 0 { // shared, as a reload may bring another class
		options.Quota, options.MaxBytes = spool.NewQuota(options.MaxBytes), 0
	}
	l.dir = l.SpoolDir
	for _, f := range SpoolFolders(l.dir) { // for the notes; what is not there, or broken, has none
		if info, err := spool.Inspect(f.Dir); err == nil {
			l.earlier = append(l.earlier, info)
		}
	}
	if l.spools, err = OpenSpools(l.dir, options, l.Priorities); err == nil || errors.Is(err, spool.ErrLocked) || errors.Is(err, spool.ErrNewer) {
		return err
	}
	l.fallback = err
	var fallbackErr error
	if l.dir, fallbackErr = fallbackDir(); fallbackErr != nil {
		return errors.Join(err, fallbackErr)
	}
	l.Logger.Error("the spool cannot be used; records are kept in memory until the next start", "cause", err, "folder", l.dir)
	options.Quota = spool.NewQuota(int64(cmp.Or(options.MemoryBytes, 4<<20)))
	options.Sync = spool.SyncNever
	l.spools, fallbackErr = OpenSpools(l.dir, options, l.Priorities)
	if fallbackErr != nil {
		return errors.Join(err, fallbackErr)
	}
	return nil
}

// Dir is the folder of the spool that is in use, once Run has called Ready.
func (l *Live) Dir() string { return l.dir }

// targets makes the sinks, which go on where the spool says that they were.
func (l *Live) targets(sinks []config.Sink, noteOf func(name string) []byte) (targets []Target, err error) {
	defer func() {
		if err != nil {
			for _, t := range targets {
				t.Sink.Close()
			}
		}
	}()
	for i := range sinks {
		t, err := NewTarget(&sinks[i], TargetOptions{
			Device: l.Device, Boot: l.Boot, Dir: l.dir, Note: noteOf(sinks[i].Name),
		})
		if err != nil {
			return targets, err
		}
		t.Clock, t.HoldBack = l.Clock, l.HoldBack
		targets = append(targets, t)
	}
	return targets, nil
}

// forget removes the cursors of sinks that are not configured any more: they would
// hold everything back for ever.
func forget(spools *Spools, sinks []config.Sink, log *slog.Logger) {
	for _, c := range spools.list() {
		for _, cursor := range c.Stats().Cursors {
			if hasSink(sinks, cursor.Name) {
				continue
			}
			log.Info("a sink is not configured any more; its records are not kept for it", "sink", cursor.Name)
			if err := c.RemoveCursor(cursor.Name); err != nil {
				log.Warn("its cursor cannot be removed", "sink", cursor.Name, "cause", err)
			}
		}
	}
}

func hasSink(sinks []config.Sink, name string) bool {
	for i := range sinks {
		if sinks[i].Name == name {
			return true
		}
	}
	return false
}

// collect starts all that collects. It ends when ctx does; wait waits for that.
func (l *Live) collect(ctx context.Context) (wait func()) {
	var buses, measuring, summing sync.WaitGroup
	for _, group := range l.groups() {
		name, bus, options := group[0].Name, group[0].Bus, busOptions(l.Options)
		if len(group) > 1 {
			all := join(group)
			name, bus = strings.Join(all.names, "+"), all
		} else {
			options.Lateness, options.Mirrors = 0, nil
		}
		in := newIntake(name, bus, options, l.closer.signal, l.Logger)
		in.rebind(l.Bindings)
		l.intakes = append(l.intakes, in)
	}
	sensors := append(l.Sensors[:len(l.Sensors):len(l.Sensors)], l.ownSensors()...)
	l.hub = newHub(sensors)
	in := newIntake("sensors", l.hub, sensorOptions(l.Options), l.closer.signal, l.Logger)
	in.fix(l.hub.bindings)
	l.intakes = append(l.intakes, in)
	for _, in := range l.intakes {
		buses.Go(func() { in.run(ctx) })
	}
	for i, s := range sensors {
		measuring.Go(func() {
			if err := s.Sensor.Run(ctx, l.hub.emit(i)); err != nil {
				l.Logger.Error("a sensor is given up", "driver", s.Driver, "sensor", s.Name, "cause", err)
			}
		})
	}
	summing.Go(func() { l.closer.run(ctx) })
	return func() {
		for _, bus := range l.Buses {
			if err := bus.Bus.Close(); err != nil {
				l.Logger.Warn("closing a bus", "bus", bus.Name, "cause", err)
			}
		}
		measuring.Wait()
		l.hub.Close()
		buses.Wait()
		summing.Wait()
	}
}

// drain gives the sinks what is stored, for a while, and stops them.
func (l *Live) drain(stop context.CancelFunc) error {
	err := l.spools.End()
	timer := time.AfterFunc(l.Drain, stop)
	deliveryErr := l.delivery.Wait()
	if !timer.Stop() && deliveryErr != nil {
		l.Logger.Info("not everything is delivered; the rest waits in the spool for the next start", "waited", l.Drain)
		deliveryErr = nil
	}
	return errors.Join(err, deliveryErr)
}

// busOptions are those of a bus: in short windows, of which the closer makes the
// configured ones. A single bus delivers its frames in order, so that none is late.
func busOptions(o Options) Options {
	o.Window = baseWindow(o.Window)
	return o
}

// sensorOptions are those of all sensors, whose readings arrive in no order: one
// that takes a second to measure is as old as that.
func sensorOptions(o Options) Options {
	o = busOptions(o)
	o.Lateness = max(o.Lateness, time.Second)
	o.Mirrors = nil
	return o
}

// fallbackDir makes a folder in memory.
func fallbackDir() (string, error) {
	for _, dir := range []string{os.Getenv("RUNTIME_DIRECTORY"), "/run", "/dev/shm", os.TempDir()} {
		if dir == "" {
			continue
		}
		if made, err := os.MkdirTemp(dir, "milepost-spool-"); err == nil {
			return made, nil
		}
	}
	return "", errors.New("nor is there any folder for temporary files that can be written to")
}

// wall is the time of day in nanoseconds.
func wall() int64 { return time.Now().UnixNano() }
