//go:build linux

package powercut

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"milepost/uplink/spool"
	"milepost/uplink/uplinktest/volatiledisk"
)

// The environment may say how many cuts there are to be, and which.
const (
	cutsVariable = "POWERCUT_CUTS" // 200 by default
	seedVariable = "POWERCUT_SEED" // drawn by default
)

// number reads a number from the environment.
func number(t *testing.T, variable string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", variable, err)
	}
	return n
}

// TestMain lets the test binary be the writer.
func TestMain(m *testing.M) {
	if os.Getenv(noFsyncVariable) != "" {
		fmt.Fprintln(os.Stderr, "running without fsync:", removeFsync())
		os.Exit(1)
	}
	if text := os.Getenv(taskVariable); text != "" {
		runWriter(text)
	}
	os.Exit(m.Run())
}

// ownKernel skips a test where cutting the power and mounting disks would be
// somebody else's business.
func ownKernel(t *testing.T) {
	t.Helper()
	if os.Getenv("MILEPOST_UML") == "" {
		t.Skip("power cuts need a kernel of their own: `make power`")
	}
}

// drawSeed returns the seed of this run, and says how to repeat it.
func drawSeed(t *testing.T) uint64 {
	t.Helper()
	seed := number(t, seedVariable, rand.Uint64())
	t.Logf("%s=%d", seedVariable, seed)
	return seed
}

// drawScenario chooses what a life is like.
func drawScenario(random *rand.Rand) scenario {
	s := scenario{fs: volatiledisk.Ext4}
	switch random.IntN(10) {
	case 0, 1:
		s.fs = volatiledisk.Ext4.With("data=writeback")
	case 2:
		s.fs = volatiledisk.Ext4.With("data=journal")
	}
	switch random.IntN(5) {
	case 0, 1:
		s.task.Sync = spool.SyncAlways
	case 2:
		s.task.Sync, s.task.SyncEvery = spool.SyncNever, 10
	case 3:
		s.task.Sync, s.task.SyncEvery = spool.SyncNever, 300
	case 4:
		s.task.Sync, s.task.SyncEvery = time.Duration(2+random.IntN(100))*time.Millisecond, 100
	}
	s.task.Acks = random.IntN(3) > 0
	s.hurried = random.IntN(2) == 0
	s.task.Pauses = s.hurried && s.task.Sync != spool.SyncAlways
	if random.IntN(3) == 0 {
		s.task.MaxBytes = quotaBytes
		s.task.Thin = random.IntN(2) == 0
	}
	return s
}

// TestPowerCuts cuts the power again and again. What was durable is there, and
// everything else that the spool promises holds.
func TestPowerCuts(t *testing.T) {
	ownKernel(t)
	begin := time.Now()
	seed := drawSeed(t)
	cuts := int(number(t, cutsVariable, 200))
	var total tally
	for born := uint64(0); total.cuts < cuts && !t.Failed(); born++ {
		random := rand.New(rand.NewPCG(seed, born))
		s := drawScenario(random)
		l, err := newLife(s, random.Uint64(), &total)
		if err != nil {
			t.Fatal(err)
		}
		for left := 1 + random.IntN(8); left > 0 && total.cuts < cuts && len(l.wrong) == 0; left-- {
			if err := l.cut(); err != nil {
				t.Fatalf("life %d (%v), run %d: %v; %q", born, s, l.run, err, l.wrong)
			}
			if last := left == 1 || total.cuts == cuts; !last && random.IntN(4) == 0 {
				continue // the next writer meets what this cut has left
			}
			if err := l.check(); err != nil {
				t.Fatalf("life %d (%v), run %d: %v; %q", born, s, l.run, err, l.wrong)
			}
		}
		l.end()
		for _, wrong := range l.wrong {
			t.Errorf("life %d (%v), run %d: %s", born, s, l.run, wrong)
		}
	}
	took := time.Since(begin)
	t.Logf("%d cuts in %.1f s, %.0f ms a cut; %v", total.cuts, took.Seconds(), float64(took.Milliseconds())/float64(total.cuts), &total)
}

// TestControls: the same harness finds what it is meant to find. Each control
// takes away one thing that durability rests on.
func TestControls(t *testing.T) {
	ownKernel(t)
	for _, control := range []struct {
		name string
		scenario
	}{
		{"the kernel does nothing at fsync", scenario{fs: volatiledisk.Ext4, noFsync: true, task: task{Sync: spool.SyncAlways, Acks: true}}},
		{"entries are called durable without a sync", scenario{fs: volatiledisk.Ext4, task: task{Sync: spool.SyncNever, Boast: true}}},
		{"the file system sends no flushes", scenario{fs: volatiledisk.Ext4.With("nobarrier"), task: task{Sync: spool.SyncAlways, Acks: true}}},
		{"the disk ignores flushes", scenario{fs: volatiledisk.Ext4, disk: volatiledisk.Options{IgnoreFlush: true}, task: task{Sync: spool.SyncAlways, Acks: true}}},
	} {
		t.Run(control.name, func(t *testing.T) {
			seed := drawSeed(t)
			const cuts = 8
			control.task.Bytes = 64 << 10
			control.least = 60 // requests: before, there may be nothing yet to lose
			found := 0
			var total tally
			var example string
			for born := range uint64(cuts) {
				random := rand.New(rand.NewPCG(seed, born))
				l, err := newLife(control.scenario, random.Uint64(), &total)
				if err != nil {
					t.Fatal(err)
				}
				if err := l.cut(); err != nil {
					t.Fatal(err)
				}
				if len(l.wrong) == 0 {
					if err := l.check(); err != nil {
						t.Fatal(err)
					}
				}
				if len(l.wrong) > 0 {
					found++
					example = strings.Join(l.wrong, "; ")
				}
			}
			t.Logf("%d of %d cuts are noticed, such as: %.300s", found, cuts, example)
			if found == 0 {
				t.Errorf("none of %d cuts was noticed: the harness sees nothing", cuts)
			}
		})
	}
}
