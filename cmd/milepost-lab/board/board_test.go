package board_test

import (
	"testing"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
)

// onMachines runs a test on each kind of board, at the same time: each board uses
// one processor.
func onMachines(t *testing.T, test func(t *testing.T, m board.Machine)) {
	t.Helper()
	onMachinesInTurn(t, func(t *testing.T, m board.Machine) {
		t.Parallel()
		test(t, m)
	})
}

// onMachinesInTurn is for tests that ask for edges faster than a guest serves them
// which has to share its processor.
func onMachinesInTurn(t *testing.T, test func(t *testing.T, m board.Machine)) {
	t.Helper()
	boardtest.Require(t)
	for _, m := range board.Machines {
		t.Run(m.Name, func(t *testing.T) { test(t, m) })
	}
}

// TestBoardBoots: a board is what it says, and switches itself off when asked to.
func TestBoardBoots(t *testing.T) {
	onMachines(t, func(t *testing.T, m board.Machine) {
		b := boardtest.Start(t, board.Options{Machine: m})
		info, err := b.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"arm64": "aarch64", "arm32": "armv7l"}[m.Name]
		if info.Machine != want || len(info.Boot) != 36 {
			t.Errorf("the board is %+v, want a machine %s", info, want)
		}
		if err := b.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
