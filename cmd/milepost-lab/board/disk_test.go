package board_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
	"milepost/cmd/milepost-lab/board/control"
	"milepost/uplink/uplinktest/volatiledisk"
)

const diskBytes = 32 << 20

func newDisk(t *testing.T, opts volatiledisk.Options) *volatiledisk.Disk {
	t.Helper()
	boardtest.Require(t)
	disk, err := board.NewDisk(t.Context(), diskBytes, opts)
	if err != nil {
		t.Fatal(err)
	}
	return disk
}

// startWithDisk starts a board and mounts its disk.
func startWithDisk(t *testing.T, m board.Machine, disk *volatiledisk.Disk) (*board.Board, error) {
	t.Helper()
	b := boardtest.Start(t, board.Options{Machine: m, Disk: disk})
	return b, b.MountData(t.Context(), "")
}

const synced, unsynced = control.DataDir + "/synced", control.DataDir + "/unsynced"

func entry(i int) string { return fmt.Sprintf("entry %d\n", i) }

func write(t *testing.T, b *board.Board, path, text string) error {
	t.Helper()
	return b.WriteFile(t.Context(), control.Write{Path: path, Data: []byte(text), Append: true, Sync: path == synced})
}

// survived counts the entries that a file begins with, and returns what follows
// them.
func survived(t *testing.T, b *board.Board, path string) (entries int, rest string) {
	t.Helper()
	data, err := b.ReadFile(t.Context(), path)
	if err != nil {
		return 0, "" // the file itself may be lost
	}
	text := string(data)
	for {
		after, ok := strings.CutPrefix(text, entry(entries))
		if !ok {
			return entries, text
		}
		text = after
		entries++
	}
}

// TestBoardPowerCut cuts the power again and again while the guest writes. What it
// has synced survives; what it has not does not, or else the cut would be none.
func TestBoardPowerCut(t *testing.T) {
	const cuts = 3
	onMachines(t, func(t *testing.T, m board.Machine) {
		disk := newDisk(t, volatiledisk.Options{})
		acknowledged, tried := 0, 0
		for cut := range cuts + 1 {
			b, err := startWithDisk(t, m, disk)
			if err != nil {
				t.Fatal(err)
			}
			n, rest := survived(t, b, synced)
			// The write that the cut has interrupted may be there, whole, in part, or
			// not at all.
			if n < acknowledged || n > tried || rest != "" && !strings.HasPrefix(entry(n), rest) {
				t.Fatalf("after %d cuts %d entries have survived, then comes %q; %d were synced, %d tried", cut, n, rest, acknowledged, tried)
			}
			if m, _ := survived(t, b, unsynced); m > 0 {
				t.Errorf("%d entries have survived that were never synced: this was no power cut", m)
			}
			if cut == cuts {
				break
			}
			if err := b.WriteFile(t.Context(), control.Write{Path: synced, Data: []byte(entries(n)), Sync: true}); err != nil {
				t.Fatal(err)
			}
			acknowledged, tried = n, n
			disk.CutAfter(40+7*cut, uint64(cut)) // requests
			for i := n; ; i++ {
				tried = i + 1
				if err = write(t, b, synced, entry(i)); err != nil {
					break
				}
				acknowledged = i + 1
				if err = write(t, b, unsynced, entry(i-n)); err != nil {
					break
				}
			}
			select {
			case <-b.Ended():
			case <-time.After(patience):
				t.Fatalf("a write failed while the power was on: %v", err)
			}
			t.Logf("cut %d after %d entries: %v", cut, acknowledged, disk.Report())
			b.Stop()
			if disk, err = disk.Restart(volatiledisk.Options{}); err != nil {
				t.Fatal(err)
			}
		}
		if acknowledged == 0 {
			t.Error("nothing was synced: the test has seen nothing")
		}
	})
}

// entries is the text of the first ones.
func entries(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(entry(i))
	}
	return b.String()
}

// TestBoardLyingDisk is the control: on a disk that says that it has flushed, and
// has not, synced entries are lost. So a flush that is missing would be found.
func TestBoardLyingDisk(t *testing.T) {
	const writes = 40
	disk := newDisk(t, volatiledisk.Options{IgnoreFlush: true})
	b, err := startWithDisk(t, board.ARM64, disk)
	if err != nil {
		t.Fatal(err)
	}
	for i := range writes {
		if err := write(t, b, synced, entry(i)); err != nil {
			t.Fatal(err)
		}
	}
	report, err := b.CutPower(1)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the cut: %v", report)
	if disk, err = disk.Restart(volatiledisk.Options{}); err != nil {
		t.Fatal(err)
	}
	b, err = startWithDisk(t, board.ARM64, disk)
	if err != nil {
		t.Logf("the disk cannot be mounted: %v", err)
		return
	}
	n, _ := survived(t, b, synced)
	if n == writes {
		t.Error("nothing was lost on a disk that ignores flushes")
	}
	t.Logf("%d of %d entries have survived", n, writes)
}
