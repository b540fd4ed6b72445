package board_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
	"milepost/cmd/milepost-lab/board/control"
)

// TestBoardSensors runs the board's tests of sensors/gpio in the guest, and does
// to the lines what they ask for.
func TestBoardSensors(t *testing.T) {
	onMachinesInTurn(t, func(t *testing.T, m board.Machine) {
		boardtest.Require(t)
		program := filepath.Join(t.TempDir(), "gpio.test")
		if err := board.BuildTest(t.Context(), m, "milepost/sensors/gpio", program); err != nil {
			t.Fatal(err)
		}
		asked := make(chan string, 4096) // more than the guest asks for at once
		b := boardtest.Start(t, board.Options{
			Machine: m,
			Lines:   []string{"ignition", "door", "wheel", "panic", "in4", "in5", "relay0", "relay1"},
			Files:   map[string]string{"bin/gpio.test": program},
			Console: requests(asked),
		})
		ctx, cancel := context.WithCancel(t.Context())
		driven := make(chan error, 1)
		go func() { driven <- drive(ctx, b, asked) }()
		run, err := b.StartProgram(ctx, control.Program{
			Args: []string{"/bin/gpio.test", "-test.v", "-test.run=^TestBoard", "-test.timeout=10m"},
			Env:  []string{"MILEPOST_BOARD_GPIO=" + board.GPIOChip},
		})
		if err != nil {
			t.Fatal(err)
		}
		exit, err := run.Wait(ctx)
		cancel()
		if err := <-driven; err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s", exit.Stdout)
		if exit.Code != 0 || !bytes.Contains(exit.Stdout, []byte("--- PASS: TestBoardEdges")) {
			t.Errorf("in the guest: %s", exit.How)
		}
	})
}

// requests finds on the board's console what is asked of the lines.
type requests chan<- string

func (r requests) Write(line []byte) (int, error) {
	if _, request, ok := strings.Cut(string(line), "gpio.test: gpio: "); ok {
		select {
		case r <- strings.TrimSpace(request):
		default: // whoever drives has given up: the console goes on
		}
	}
	return len(line), nil
}

// drive does what is asked for, in order.
func drive(ctx context.Context, b *board.Board, asked <-chan string) error {
	var high [board.GPIOLines]bool
	set := func(line int, to bool) error {
		if line < 0 || line >= len(high) {
			return fmt.Errorf("there is no line %d", line)
		}
		high[line] = to
		return b.SetLine(line, to)
	}
	for {
		var request string
		select {
		case request = <-asked:
		case <-ctx.Done():
			return nil
		}
		var line, to, times int
		var lines, every string
		if n, _ := fmt.Sscanf(request, "set %d %d", &line, &to); n == 2 {
			if err := set(line, to == 1); err != nil {
				return err
			}
			continue
		}
		if n, _ := fmt.Sscanf(request, "toggle %s %d %s", &lines, &times, &every); n != 3 {
			return fmt.Errorf("the guest asks to %q", request)
		}
		spacing, err := time.ParseDuration(every)
		if err != nil {
			return err
		}
		for range times {
			for _, text := range strings.Split(lines, ",") {
				line, err := strconv.Atoi(text)
				if err != nil {
					return err
				}
				if err := set(line, !high[line]); err != nil {
					return err
				}
			}
			time.Sleep(spacing)
		}
	}
}
