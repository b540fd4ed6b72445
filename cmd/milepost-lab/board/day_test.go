package board_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"milepost/can"
	"milepost/cmd/internal/status"
	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
	"milepost/cmd/milepost-lab/board/control"
	"milepost/uplink"
	"milepost/uplink/uplinktest/mqttbroker"
	"milepost/uplink/uplinktest/volatiledisk"
)

// The buses carry messages that count themselves: what a record says of a
// window names each of its frames.
const (
	countedMessages = 4 // of a bus
	firstID         = 0x100
	frameEvery      = 5 * time.Millisecond // 200 frames/s a bus
	phaseFrames     = 400                  // a bus: 2 s

	spoolDir    = control.DataDir + "/spool"
	dayDatabase = "/etc/milepost/counters.dbc"
	dayConfig   = "/etc/milepost/milepost.yaml"
)

func counterDBC() string {
	var b strings.Builder
	b.WriteString("VERSION \"\"\n\nBU_: Vehicle\n\n")
	for i := range countedMessages {
		fmt.Fprintf(&b, "BO_ %d Counter%d: 8 Vehicle\n SG_ Number : 0|32@1+ (1,0) [0|0] \"\" Vehicle\n\n", firstID+i, i)
	}
	return b.String()
}

// vehicleBus is a bus of the vehicle: its gateway's interface, and the other nodes.
type vehicleBus struct {
	name string
	next uint32 // number of the next frame
	send func(ctx context.Context, b *board.Board, frames []can.Frame) error
	// prepare brings up what the gateway does not.
	prepare func(ctx context.Context, b *board.Board) error
}

// frames makes the next ones.
func (v *vehicleBus) frames(n int) []can.Frame {
	frames := make([]can.Frame, n)
	for i := range frames {
		frames[i] = can.Frame{ID: firstID + v.next%countedMessages, Len: 8}
		binary.LittleEndian.PutUint32(frames[i].Data[:], v.next/countedMessages)
		v.next++
	}
	return frames
}

// controllerBus is between two controllers of the board: the gateway reads can0,
// and the guest's can1 is the rest of the vehicle.
func controllerBus() *vehicleBus {
	return &vehicleBus{name: "can0",
		prepare: func(ctx context.Context, b *board.Board) error {
			return b.SetCANLink(ctx, control.CANLink{Name: "can1", Bitrate: bitrate, Up: true})
		},
		send: func(ctx context.Context, b *board.Board, frames []can.Frame) error {
			return b.SendFrames(ctx, "can1", frameEvery, frames...)
		},
	}
}

// adapterBus is the host's.
func adapterBus(adapter int) *vehicleBus {
	name := fmt.Sprintf("bus%d", adapter)
	return &vehicleBus{name: name,
		prepare: func(ctx context.Context, b *board.Board) error { return b.AttachAdapter(ctx, adapter, name, bitrate) },
		send: func(ctx context.Context, b *board.Board, frames []can.Frame) error {
			tick := time.NewTicker(frameEvery)
			defer tick.Stop()
			for _, f := range frames {
				if err := b.Adapters[adapter].Send(f); err != nil {
					return err
				}
				select {
				case <-tick.C:
				case <-b.Ended():
					return net.ErrClosed
				case <-ctx.Done():
					return context.Cause(ctx)
				}
			}
			return nil
		},
	}
}

// day is a board with a gateway on it, and what is around them.
type day struct {
	t      *testing.T
	opts   board.Options
	buses  []*vehicleBus
	broker *mqttbroker.Broker

	b       *board.Board
	gateway *board.Process
	boot    uplink.BootID // of the gateway's records now
}

func newDay(t *testing.T, m board.Machine) *day {
	t.Helper()
	d := &day{t: t, broker: startBroker(t)}
	d.opts = board.Options{Machine: m, NoClock: true, Disk: newDisk(t, volatiledisk.Options{}), Adapters: 2}
	d.buses = []*vehicleBus{adapterBus(0), adapterBus(1)}
	if m.Name == board.ARM64.Name {
		d.opts.Adapters, d.opts.Controllers = 1, 2
		d.buses[1] = controllerBus()
	}
	_, port, err := net.SplitHostPort(d.broker.Addr())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := fmt.Sprintf(`device: van-17
dbc: [%s]
buses: [{name: %s, bitrate: 0}, {name: %s, bitrate: %d}]
dedup: {exception: {enabled: false}}
spool: {dir: %s}
sinks: [{name: broker, type: mqtt, url: "mqtt://%s:%s"}]
power: {drain: 1m}
`, filepath.Base(dayDatabase), d.buses[0].name, d.buses[1].name, d.bitrateOf(1), spoolDir, control.Host, port)
	d.opts.Files = map[string]string{"/bin/milepost": boardtest.Milepost(t, m)}
	for name, text := range map[string]string{dayConfig: config, dayDatabase: counterDBC()} {
		file := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		d.opts.Files[name] = file
	}
	return d
}

// bitrateOf is what the gateway sets a bus up with: the guest sets up adapters.
func (d *day) bitrateOf(bus int) int {
	if d.buses[bus].name == "can0" {
		return bitrate
	}
	return 0
}

// powerOn boots the board and starts the gateway, with or without a link.
func (d *day) powerOn(link bool) {
	d.t.Helper()
	d.b = boardtest.Start(d.t, d.opts)
	d.check(d.b.SetLink(link))
	d.check(d.b.MountData(d.t.Context(), ""))
	for _, bus := range d.buses {
		d.check(bus.prepare(d.t.Context(), d.b))
	}
	info, err := d.b.Info(d.t.Context())
	d.check(err)
	if info.Wall.Year() != 1970 {
		d.t.Errorf("the board boots at %v, not in 1970", info.Wall)
	}
	d.gateway, err = d.b.StartProgram(d.t.Context(), control.Program{Args: []string{"milepost", "run", dayConfig}})
	d.check(err)
	running := d.wait("the buses are not up", func(r *status.Report) bool {
		up := 0
		for _, bus := range r.Buses {
			if bus.State == "error-active" {
				up++
			}
		}
		return up == len(d.buses)
	})
	d.boot, err = uplink.ParseBootID(running.Boot)
	d.check(err)
}

func (d *day) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// wait asks the gateway how it is until that satisfies a condition.
func (d *day) wait(otherwise string, condition func(*status.Report) bool) *status.Report {
	d.t.Helper()
	var report status.Report
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		text, err := d.b.Run(d.t.Context(), "milepost", "status", "--json", spoolDir)
		if err == nil {
			report = status.Report{}
			d.check(json.Unmarshal(text, &report))
			if condition(&report) {
				return &report
			}
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: %v: %+v", otherwise, err, report)
		}
	}
}

// phase has every bus carry so many frames.
func (d *day) phase(frames int) {
	d.t.Helper()
	for _, err := range d.sendAll(frames) {
		d.check(<-err)
	}
}

func (d *day) sendAll(frames int) (ended []chan error) {
	for _, bus := range d.buses {
		c := make(chan error, 1)
		next := bus.frames(frames)
		go func() { c <- bus.send(d.t.Context(), d.b, next) }()
		ended = append(ended, c)
	}
	return ended
}

// settledEntries is how many entries the gateway writes until a silent bus's last
// window is certainly closed, summarised and among them: it is closed after two
// seconds, and each second has an entry at least, of what the gateway measures of
// itself.
const settledEntries = 5

// settle waits until all frames of this boot are summarised, and safe from a power
// cut.
func (d *day) settle(frames int) {
	d.t.Helper()
	arrived := d.wait(fmt.Sprintf("%d frames did not arrive", frames), func(r *status.Report) bool { return r.Frames >= uint64(frames) })
	if arrived.Frames > uint64(frames) {
		d.t.Errorf("the gateway has counted %d frames, the buses %d", arrived.Frames, frames)
	}
	d.wait("nothing becomes durable", func(r *status.Report) bool { return r.Spool.Durable >= arrived.Spool.Next+settledEntries })
}

// TestBoardDay is a day in a gateway's life: it boots in 1970, is told the time,
// loses its link, then its power, boots again without a link and in 1970, is told
// the time once more, and gets its link back. What the broker has in the end is
// what the buses carried, to the frame, but for the moment of the cut.
func TestBoardDay(t *testing.T) {
	onMachines(t, func(t *testing.T, m board.Machine) {
		d := newDay(t, m)
		d.powerOn(true)
		d.phase(phaseFrames) // in 1970
		d.check(d.b.SetClock(t.Context(), time.Now()))
		d.phase(phaseFrames)
		d.check(d.b.SetLink(false))
		waitCarrier(t, d.b, "0")
		checkEdges(t, d.b, 500)
		d.phase(phaseFrames) // nobody hears of these for now
		d.settle(3 * phaseFrames * len(d.buses))

		safe := d.buses[0].next
		d.cutPower()
		begin := time.Now()
		d.powerOn(false)
		again := d.buses[0].next
		d.phase(phaseFrames) // in 1970
		d.check(d.b.SetClock(t.Context(), time.Now()))
		d.phase(phaseFrames)
		d.settle(2 * phaseFrames * len(d.buses))
		d.check(d.b.SetLink(true))
		waitCarrier(t, d.b, "1")
		d.wait("the spool is not delivered", func(r *status.Report) bool { return r.Sinks[0].Up && r.Sinks[0].Waiting <= 1 })
		d.check(d.gateway.Signal(t.Context(), syscall.SIGTERM))
		exit, err := d.gateway.Wait(t.Context())
		if err != nil || exit.Code != 0 {
			t.Fatalf("the gateway's end: %+v: %v", exit, err)
		}
		t.Logf("the gateway says of its second life:\n%s", exit.Stderr)
		got := readDelivered(t, d.broker)
		got.checkFrames(t, d, safe/countedMessages, again/countedMessages, d.buses[0].next/countedMessages)
		got.checkDates(t, d.boot, begin, time.Now())
	})
}

// cutPower cuts the power while the gateway writes to its disk and the buses are
// busy. The next powerOn has what is left.
func (d *day) cutPower() {
	d.t.Helper()
	d.opts.Disk.CutAfter(12, 3) // requests: in the middle of a sync
	sending := d.sendAll(10 * phaseFrames)
	select {
	case <-d.b.Ended():
	case <-time.After(patience):
		d.t.Fatal("the gateway does not write to its disk")
	}
	for _, ended := range sending {
		if err := <-ended; err == nil {
			d.t.Fatal("all frames were sent before the power was cut: there are too few of them")
		}
	}
	d.t.Logf("the cut: %v; by then %s had carried %d frames", d.opts.Disk.Report(), d.buses[0].name, d.b.Adapters[0].Status().Sent)
	d.b.Stop()
	disk, err := d.opts.Disk.Restart(volatiledisk.Options{})
	d.check(err)
	d.opts.Disk = disk
}
