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
	// SetReadDeadline makes a Read that finds no frame wait until t at most and
	// return os.ErrDeadlineExceeded. Frames that wait to be read come first.
	SetReadDeadline(t time.Time) error
	// Close ends a Read that waits.
	Close() error
}

// LiveBus is a Bus with its name.
type LiveBus struct {
	Name string
	Bus  Bus
	// Begun, if set, is closed when the bus is read, or was found not to be there.
	Begun <-chan struct{}
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
	changing sync.Mutex // held by Reload, for what follows and Sinks
	fallback error      // why the records are not in SpoolDir
	earlier  []spool.Info

	stopping atomic.Bool

	durabilityLock sync.Mutex
	durability     durability
}

// liveSlots is how many windows may wait for the closer: a disk that hangs for so
// many seconds costs nothing. Of short windows there are more, but their memory is
// bounded.
func liveSlots(window time.Duration) int {
	return int(min(max(12*time.Second/window, 12), 96))
}

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
	if err := l.prepare(); err != nil {
		return ledger, errors.Join(err, l.spools.Close())
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
	stop := l.collect(context.WithoutCancel(ctx))
	l.awaitBuses(ctx)
	if l.Ready != nil {
		l.Ready()
	}
	<-ctx.Done()
	l.stopping.Store(true)
	l.Logger.Info("stopping", "cause", context.Cause(ctx))
	l.changing.Lock() // a Reload that has begun is awaited, no other begins
	l.changing.Unlock()
	stop()
	err = errors.Join(l.closer.finish(), l.drain(stopDelivery))
	if l.fallback != nil {
		// Memory is given back: the next start has a folder of its own.
		l.Logger.Warn("records that were kept in memory are gone", "entries", l.spools.Stats().Entries)
		defer os.RemoveAll(l.dir)
	}
	err = errors.Join(err, l.spools.Close())
	l.closer.store.closed() // what the disk has not taken until now is lost
	ledger = l.closer.account()
	return ledger, errors.Join(err, check(&ledger))
}

// beginning is how long Ready waits for buses at most: to set up an interface takes
// milliseconds.
const beginning = 5 * time.Second

// awaitBuses returns when each bus is read, or was found not to be there: whoever
// sends frames once the gateway has called itself ready finds them received.
func (l *Live) awaitBuses(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, beginning)
	defer cancel()
	for _, bus := range l.Buses {
		if bus.Begun == nil {
			continue
		}
		select {
		case <-bus.Begun:
		case <-ctx.Done():
			return
		}
	}
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
	return l.openInMemory(options, err)
}

// openInMemory opens spools in memory, because of what keeps those on the disk
// from being used.
func (l *Live) openInMemory(options spool.Options, cause error) (err error) {
	l.fallback = cause
	if l.dir, err = fallbackDir(); err != nil {
		return errors.Join(cause, err)
	}
	l.Logger.Error("the spool cannot be used; records are kept in memory until the next start", "cause", cause, "folder", l.dir)
	options.Quota, options.MaxBytes = spool.NewQuota(int64(cmp.Or(options.MemoryBytes, 4<<20))), 0
	options.Sync = spool.SyncNever
	spools, err := OpenSpools(l.dir, options, l.Priorities)
	if err != nil {
		return errors.Join(cause, err)
	}
	l.spools = spools
	return nil
}

// prepare makes the sinks and what forwards to them. A disk that lets the spools
// be opened, but has no room for the places of the sinks in them, is of no use
// either.
func (l *Live) prepare() error {
	noteOf := func(name string) []byte { return newestNote(l.earlier, name) }
	for {
		targets, err := l.targets(l.Sinks, noteOf)
		if err != nil {
			return err
		}
		l.closer = newCloser(l)
		l.delivery, err = NewDelivery(l.spools, targets, l.closer.store, l.Logger)
		if err == nil {
			return nil
		}
		for _, t := range targets {
			t.Sink.Close()
		}
		if l.fallback != nil {
			return err
		}
		l.spools.Close() // fails for the same cause
		options := l.Spool
		options.Logger = l.Logger
		if err := l.openInMemory(options, err); err != nil {
			return err
		}
		noteOf = func(string) []byte { return nil } // of another spool
	}
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

// collect starts all that collects. Stop ends it: the buses when what they have
// received is read, the sensors behind them, so that the last thing that the
// gateway tells of itself is the account of all frames.
func (l *Live) collect(ctx context.Context) (stop func()) {
	reading, stopReading := context.WithCancel(ctx)
	measured, stopMeasuring := context.WithCancel(ctx)
	summed, stopSumming := context.WithCancel(ctx)
	var buses, readings, measuring, summing sync.WaitGroup
	for _, group := range l.groups() {
		name, bus, options := group[0].Name, group[0].Bus, busOptions(l.Options)
		endless := len(group) == 1
		if endless {
			options.Lateness, options.Mirrors = 0, nil
		} else {
			all := join(group)
			name, bus = strings.Join(all.names, "+"), all
		}
		in := newIntake(name, bus, options, l.closer.signal, l.Logger)
		in.endless = endless
		in.rebind(l.Bindings)
		l.intakes = append(l.intakes, in)
	}
	sensors := append(l.Sensors[:len(l.Sensors):len(l.Sensors)], l.ownSensors()...)
	l.hub = newHub(sensors)
	hub := newIntake("sensors", l.hub, sensorOptions(l.Options), l.closer.signal, l.Logger)
	hub.fix(l.hub.bindings)
	for _, in := range l.intakes {
		buses.Go(func() { in.run(reading) })
	}
	l.intakes = append(l.intakes, hub)
	readings.Go(func() { hub.run(measured) })
	for i, s := range sensors {
		measuring.Go(func() {
			if err := s.Sensor.Run(measured, l.hub.emit(i)); err != nil {
				l.Logger.Error("a sensor is given up", "driver", s.Driver, "sensor", s.Name, "cause", err)
			}
		})
	}
	summing.Go(func() { l.closer.run(summed) })
	return func() {
		stopReading()
		for _, in := range l.intakes[:len(l.intakes)-1] {
			in.drain()
		}
		// One that goes on receiving faster than it is read is cut off.
		cut := time.AfterFunc(endPatience, l.closeBuses)
		buses.Wait()
		if cut.Stop() {
			l.closeBuses()
		}
		stopSumming()
		summing.Wait()
		l.closer.round(false)
		stopMeasuring()
		if !waitFor(&measuring, endPatience) {
			l.Logger.Warn("a sensor does not stop; it is left behind", "waited", endPatience)
		}
		l.hub.Close()
		readings.Wait()
	}
}

// endPatience is how long a stop waits for a bus to be read to its end, and for a
// sensor that hangs.
const endPatience = 2 * time.Second

// waitFor says whether a group has ended in time.
func waitFor(group *sync.WaitGroup, patience time.Duration) bool {
	ended := make(chan struct{})
	go func() {
		group.Wait()
		close(ended)
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return false
	}
}

func (l *Live) closeBuses() {
	for _, bus := range l.Buses {
		if err := bus.Bus.Close(); err != nil {
			l.Logger.Warn("closing a bus", "bus", bus.Name, "cause", err)
		}
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
