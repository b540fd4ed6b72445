package boards

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/boards.md")

const docs = "../docs/boards.md"

const docsHead = `# Boards

<!-- Made from boards/*/board.yaml: go test ./boards -update -->

milepost knows these boards and HATs: their CAN controllers, GPIO lines with pins, serial ports, watchdog, storage, and what an integrator
should know. ` + "`milepost boards BOARD [HAT …]`" + ` shows all of it, with the documents that it comes from; ` + "`--json`" + ` gives it to programs.
A board or HAT that is missing is a folder with a ` + "`board.yaml`" + ` to write: see [boards](../boards). Tests say what in it makes no sense.

`

// markdown is docs/boards.md.
func markdown(all contents) string {
	var b strings.Builder
	b.WriteString(docsHead)
	b.WriteString("## Boards and virtual boards\n\n| Board | What it is | Built for | Kernel | CAN | Watchdog | Tested |\n|---|---|---|---|---|---|---|\n")
	for _, board := range all.boards {
		arch := board.Arch.GOARCH
		if board.Arch.GOARM != "" {
			arch += ", GOARM=" + board.Arch.GOARM
		}
		kernel := board.Kernel.Package + " of " + board.Kernel.Release
		if len(board.Kernel.Missing) > 0 {
			kernel += ", without " + strings.Join(board.Kernel.Missing, ", ")
		}
		buses := canCell(board.CAN)
		if board.Header != "" {
			buses = "by HAT or USB"
		} else if buses == "" {
			buses = "by USB or virtual"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", board.Name, board.Title, arch, kernel, buses, board.Watchdog.Driver, testedCell(board.Tested))
	}
	b.WriteString("\n## HATs and adapters\n\n| HAT | What it is | Goes on | CAN | Where | Oscillator | Interrupt | Tested |\n|---|---|---|---|---|---|---|---|\n")
	for _, h := range all.hats {
		var where, clocks, interrupts []string
		for _, c := range h.CAN {
			if c.SPI != nil {
				where = append(where, fmt.Sprintf("SPI%d, select %d", c.SPI.Bus, c.SPI.Select))
			}
			for _, hz := range append([]int{c.Oscillator}, c.OscillatorAlso...) {
				if clock := fmt.Sprintf("%g MHz", float64(hz)/1e6); hz > 0 && !strings.Contains(strings.Join(clocks, " "), clock) {
					clocks = append(clocks, clock)
				}
			}
			if c.Interrupt != "" {
				interrupts = append(interrupts, c.Interrupt)
			}
		}
		on := h.Header
		if on == "" {
			on = "USB"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", h.Name, h.Title, on, canCell(h.CAN),
			strings.Join(where, "; "), strings.Join(clocks, " or "), strings.Join(interrupts, ", "), testedCell(h.Tested))
	}
	return b.String()
}

func canCell(controllers []CAN) string {
	if len(controllers) == 0 {
		return ""
	}
	text := controllers[0].Chip
	if controllers[0].FD {
		text += ", CAN FD"
	}
	if n := len(controllers); n > 1 {
		text = fmt.Sprintf("%d × %s", n, text)
	}
	return text + " (" + controllers[0].Driver + ")"
}

func testedCell(t Tested) string {
	if t.Physical != "" && t.Emulated != "" {
		return t.Physical + "; " + t.Emulated
	}
	return t.Physical + t.Emulated
}

func TestDocs(t *testing.T) {
	all, err := (catalogue{embedded}).all()
	if err != nil {
		t.Fatal(err)
	}
	want := markdown(all)
	for line := range strings.Lines(want) {
		if strings.HasPrefix(line, "| `") && strings.Count(line, "|") != 8 && strings.Count(line, "|") != 9 {
			t.Errorf("a | in a text breaks the table: %s", line)
		}
	}
	if *update {
		if err := os.WriteFile(docs, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("docs/boards.md is out of date; run: go test ./boards -update")
	}
}
