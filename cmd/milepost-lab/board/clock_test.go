package board_test

import (
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
)

// TestBoardClock: a board's clock is what it was told to be, or unset as without a
// battery, until it is set.
func TestBoardClock(t *testing.T) {
	past := time.Date(2001, 9, 9, 1, 46, 40, 0, time.UTC)
	onMachines(t, func(t *testing.T, m board.Machine) {
		for _, c := range []struct {
			opts  board.Options
			begin time.Time
		}{
			{board.Options{Machine: m, Clock: past}, past},
			{board.Options{Machine: m, NoClock: true}, time.Unix(0, 0)},
		} {
			b := boardtest.Start(t, c.opts)
			near := func(what string, want time.Time) {
				t.Helper()
				info, err := b.Info(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if off := info.Wall.Sub(want); off < -time.Second || off > 5*time.Minute {
					t.Errorf("%s the clock says %v, want %v", what, info.Wall, want)
				}
				if info.Now < info.Init || info.Now > 5*time.Minute {
					t.Errorf("%s the board has been running for %v", what, info.Now)
				}
			}
			near("at the beginning", c.begin)
			now := time.Now()
			if err := b.SetClock(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			near("when it is set", now)
			b.Stop()
		}
	})
}
