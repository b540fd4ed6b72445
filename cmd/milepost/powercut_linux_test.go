package main

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"milepost/uplink/uplinktest/volatiledisk"
)

// TestPowerCutReplay cuts the power of replays at random requests of their
// disks and resumes them: the file that they deliver to is, to the byte, what an
// undisturbed replay writes. Spool and file are on a disk each, and both lose
// their power at the same time.
func TestPowerCutReplay(t *testing.T) {
	if os.Getenv("MILEPOST_UML") == "" {
		t.Skip("power cuts need a kernel of their own: `make power`")
	}
	// How many cuts fall into a replay, and not behind its end, depends on the
	// machine's speed: the disk gets a request a sync, not a byte.
	const replays, cutsEach, most = 9, 4, 36
	log, database := shortDrive(t)
	want := replayed(t, nil, "--dbc", database, "--to", "jsonl", log)
	var requests uint64 // of both disks, in an undisturbed replay
	var cuts, resumed, mounting int
	begin := time.Now()
	replay := 0
	for ; replay < replays || resumed < replays && replay < most; replay++ {
		c := newComputer(t)
		for n := 0; ; n++ {
			if replay > 0 && n < cutsEach {
				c.cutAfter(rand.IntN(int(requests)))
			}
			if !c.start() {
				mounting++
				cuts++
				continue
			}
			command, _, stderr := process(t, "replay", "--quiet", "--dbc", database, "--spool", c.spoolDir(), "--resume",
				"--to", "jsonl", "-o", c.output(), log)
			start(t, command)
			ended := make(chan int, 1)
			go func() { ended <- exitCode(t, command) }()
			var code int
			select {
			case code = <-ended:
			case <-c.spool.Disk.Gone():
				c.file.Disk.Cut(rand.Uint64())
				command.Process.Kill()
				code = <-ended
			case <-c.file.Disk.Gone():
				c.spool.Disk.Cut(rand.Uint64())
				command.Process.Kill()
				code = <-ended
			}
			cut := c.spool.IsCut() || c.file.IsCut()
			if !cut && code != exitDone {
				t.Fatalf("replay %d, run %d: exit code %d: %s", replay, n, code, stderr)
			}
			if !cut {
				break
			}
			cuts++
			if code != exitDone {
				resumed++
			}
			c.stop()
			c.restart()
		}
		got, err := os.ReadFile(c.output())
		if err != nil {
			t.Fatal(err)
		}
		equalText(t, "the file", string(got), want)
		if requests == 0 {
			requests = c.requests()
		}
		c.stop()
	}
	t.Logf("%d cuts, %d of them while mounting, of %d replays of %d requests each in %.1f s; %d replays were cut off",
		cuts, mounting, replay-1, requests, time.Since(begin).Seconds(), resumed)
	if resumed < replays {
		t.Errorf("only %d replays were cut off: the test has seen little", resumed)
	}
}

// computer has a disk for the spool and one for the file, and one switch.
type computer struct {
	t           *testing.T
	spool, file *volatiledisk.Machine
}

func newComputer(t *testing.T) *computer {
	t.Helper()
	c := &computer{t: t}
	for name, m := range map[string]**volatiledisk.Machine{"spool-disk": &c.spool, "file-disk": &c.file} {
		var err error
		if *m, err = volatiledisk.NewMachine(name, volatiledisk.Ext4, volatiledisk.Options{Seed: rand.Uint64()}); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

func (c *computer) spoolDir() string { return filepath.Join(c.spool.Dir, "spool") }
func (c *computer) output() string   { return filepath.Join(c.file.Dir, "drive.jsonl") }

// cutAfter has the power cut when one of the disks, whichever it is, has served
// so many requests.
func (c *computer) cutAfter(requests int) {
	m := c.spool
	if rand.IntN(3) == 0 {
		m = c.file
	}
	if rand.IntN(2) == 0 {
		m.Disk.CutBeforeFlush(requests/2, rand.Uint64())
	} else {
		m.Disk.CutAfter(requests/2, rand.Uint64())
	}
}

// start mounts both disks. It reports false where the power was cut by then; it
// is back after that.
func (c *computer) start() bool {
	c.t.Helper()
	for _, m := range []*volatiledisk.Machine{c.spool, c.file} {
		err := m.Start()
		var unmountable *volatiledisk.MountError
		if errors.As(err, &unmountable) && m.IsCut() {
			if m == c.file {
				c.stopOne(c.spool)
			}
			c.spool.Disk.Cut(rand.Uint64())
			c.file.Disk.Cut(rand.Uint64())
			c.restart()
			return false
		}
		if err != nil {
			c.t.Fatal(err)
		}
	}
	return true
}

func (c *computer) stop() {
	c.t.Helper()
	c.stopOne(c.spool)
	c.stopOne(c.file)
}

func (c *computer) stopOne(m *volatiledisk.Machine) {
	c.t.Helper()
	if err := m.Stop(); err != nil {
		c.t.Fatal(err)
	}
}

// restart brings the power back.
func (c *computer) restart() {
	c.t.Helper()
	c.spool.Disk.Cut(rand.Uint64())
	c.file.Disk.Cut(rand.Uint64())
	for _, m := range []*volatiledisk.Machine{c.spool, c.file} {
		if err := m.Restart(); err != nil {
			c.t.Fatal(err)
		}
	}
}

func (c *computer) requests() uint64 {
	a, b := c.spool.Disk.Stats(), c.file.Disk.Stats()
	return a.Writes + a.Flushes + b.Writes + b.Flushes
}
