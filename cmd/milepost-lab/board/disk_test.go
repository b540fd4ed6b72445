package board_test

import (
	"fmt"
	"strings"
	"testing"

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

// writeAndCut appends to two files, of which one is synced at each write, then
// cuts the power. It returns the disk as it comes back and how many writes were
// acknowledged.
func writeAndCut(t *testing.T, m board.Machine, disk *volatiledisk.Disk, seed uint64) (*volatiledisk.Disk, int) {
	t.Helper()
	const writes = 40
	b, err := startWithDisk(t, m, disk)
	if err != nil {
		t.Fatal(err)
	}
	for i := range writes {
		for _, path := range []string{unsynced, synced} {
			if err := b.WriteFile(t.Context(), control.Write{Path: path, Data: []byte(entry(i)), Append: true, Sync: path == synced}); err != nil {
				t.Fatal(err)
			}
		}
	}
	// Nobody ever syncs this one, not even as a neighbour of the other.
	if err := b.WriteFile(t.Context(), control.Write{Path: unsynced, Data: []byte("the last\n"), Append: true}); err != nil {
		t.Fatal(err)
	}
	report, err := b.CutPower(seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the cut: %v, after %+v", report, disk.Stats())
	disk, err = disk.Restart(volatiledisk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return disk, writes
}

// survived counts the entries that are there, in order, and says whether the file
// ends with them.
func survived(text string) (entries int, rest string) {
	for {
		after, ok := strings.CutPrefix(text, entry(entries))
		if !ok {
			return entries, text
		}
		text = after
		entries++
	}
}

// TestBoardPowerCut: what the guest has synced survives a power cut; what it has
// not does not, or else the cut would be none.
func TestBoardPowerCut(t *testing.T) {
	onMachines(t, func(t *testing.T, m board.Machine) {
		disk, writes := writeAndCut(t, m, newDisk(t, volatiledisk.Options{}), 1)
		b, err := startWithDisk(t, m, disk)
		if err != nil {
			t.Fatal(err)
		}
		text, err := b.ReadFile(t.Context(), synced)
		if err != nil {
			t.Fatal(err)
		}
		if n, rest := survived(string(text)); n != writes || rest != "" {
			t.Errorf("of %d synced entries %d have survived, then comes %q", writes, n, rest)
		}
		text, err = b.ReadFile(t.Context(), unsynced)
		if err == nil && strings.HasSuffix(string(text), "the last\n") {
			t.Error("what was never synced has survived: this was no power cut")
		}
		n, _ := survived(string(text))
		t.Logf("%d of %d synced and %d of %d unsynced entries have survived", writes, writes, n, writes+1)
	})
}

// TestBoardLyingDisk is the control: on a disk that says that it has flushed, and
// has not, synced entries are lost. So a flush that is missing would be found.
func TestBoardLyingDisk(t *testing.T) {
	disk, writes := writeAndCut(t, board.ARM64, newDisk(t, volatiledisk.Options{IgnoreFlush: true}), 1)
	b, err := startWithDisk(t, board.ARM64, disk)
	if err != nil {
		t.Logf("the disk cannot be mounted: %v", err)
		return
	}
	text, _ := b.ReadFile(t.Context(), synced) // may be gone
	n, _ := survived(string(text))
	if n == writes {
		t.Error("nothing was lost on a disk that ignores flushes")
	}
	t.Logf("%d of %d entries have survived", n, writes)
}
