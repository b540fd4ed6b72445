package main

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"milepost/boards"
)

// rows writes a table, whose first row is its head: each column is as wide as its
// widest cell, and columns that are empty but for their head are left out.
func rows(w *bytes.Buffer, indent string, table [][]string) {
	if len(table) == 0 {
		return
	}
	widths := make([]int, len(table[0]))
	for i, row := range table {
		for j, cell := range row {
			if i > 0 && cell != "" {
				widths[j] = max(widths[j], utf8.RuneCountInString(cell), utf8.RuneCountInString(table[0][j]))
			}
		}
	}
	for i, row := range table {
		if i == 0 && strings.Join(row, "") == "" {
			continue
		}
		line := indent
		for j, cell := range row {
			if widths[j] > 0 {
				line += cell + strings.Repeat(" ", widths[j]-utf8.RuneCountInString(cell)+2)
			}
		}
		w.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

func listBoards(w *bytes.Buffer, all []*boards.Board, hats []*boards.HAT) {
	table := [][]string{{"board", "architecture", "CAN", "what it is"}}
	for _, b := range all {
		table = append(table, []string{b.Name, buildFor(b), canInShort(b.CAN, b.Header != ""), b.Title})
	}
	rows(w, "", table)
	w.WriteString("\n")
	table = [][]string{{"HAT", "goes on", "CAN", "what it is"}}
	for _, h := range hats {
		table = append(table, []string{h.Name, cmp.Or(h.Header, "USB"), canInShort(h.CAN, false), h.Title})
	}
	rows(w, "", table)
	w.WriteString("\n`milepost boards BOARD [HAT …]` shows one with its pins and buses.\n")
}

// buildFor gives the architecture as Go has it, such as arm64 or arm 7.
func buildFor(b *boards.Board) string {
	return strings.TrimSpace(b.Arch.GOARCH + " " + b.Arch.GOARM)
}

// canInShort gives the controllers, such as "2 × MCP2518FD (FD)".
func canInShort(controllers []boards.CAN, header bool) string {
	if len(controllers) == 0 {
		if header {
			return "by HAT or USB"
		}
		return "by USB or virtual"
	}
	c := controllers[0]
	text := c.Chip
	if c.FD {
		text += " (FD)"
	}
	if len(controllers) > 1 {
		text = fmt.Sprintf("%d × %s", len(controllers), text)
	}
	return text
}

func showBoard(w *bytes.Buffer, b *boards.Board) {
	fmt.Fprintf(w, "%s: %s\n", strings.Join(slices.Concat([]string{b.Name}, b.HATs), " + "), b.Title)
	if b.SoC != "" {
		fmt.Fprintln(w, b.SoC)
	}
	w.WriteString("\n")
	rows(w, "", slices.Concat([][]string{{"", ""}}, facts(b)))
	showCAN(w, b.CAN, b)
	showHeader(w, b)
	showLines(w, b)
	verbatim(w, "config.txt", b.Config)
	var fragments []string
	for _, c := range b.CAN {
		fragments = append(fragments, slices.Collect(strings.Lines(c.DeviceTree))...)
	}
	verbatim(w, "to append to the device tree", fragments)
	section(w, "to know", b.Quirks)
	showOrigin(w, b.Tested, b.Sources)
}

// facts are what a line each is enough for.
func facts(b *boards.Board) (table [][]string) {
	add := func(name string, words ...string) {
		words = slices.DeleteFunc(words, func(word string) bool { return word == "" })
		if len(words) > 0 {
			table = append(table, []string{name, strings.Join(words, ", ")})
		}
	}
	add("built for", "linux/"+buildFor(b), "Debian "+b.Arch.Debian)
	add("kernel", b.Kernel.Package+" of "+b.Kernel.Release, b.Kernel.DeviceTree, "console="+b.Kernel.Console)
	if len(b.Kernel.Missing) > 0 {
		add("not driven", strings.Join(b.Kernel.Missing, ", "))
	}
	add("emulator", b.Emulator)
	add("boots from", append(slices.Clone(b.Storage.Media), b.Storage.Device, b.Storage.Table)...)
	for _, r := range b.Storage.Raw {
		add("", fmt.Sprintf("%#x: %s", r.Offset, r.Holds))
	}
	for _, p := range b.Storage.Partitions {
		add("", fmt.Sprintf("partition %s (%s, %d MiB): %s", p.Name, p.Filesystem, p.MiB, p.Holds))
	}
	if d := b.Watchdog; d.Device != "" {
		most := ""
		if d.MaxSeconds > 0 {
			most = fmt.Sprintf("up to %d s", d.MaxSeconds)
		}
		add("watchdog", d.Device, d.Driver, most)
	}
	add("power", b.Power.Supply)
	add("ignition", b.Power.Ignition)
	add("power hold", b.Power.Hold)
	add("clock", b.Power.RTC)
	for _, s := range b.Serial {
		add("serial", s.Name, s.Device, strings.Join(s.Lines, " "), s.Use)
	}
	for _, c := range b.I2C {
		add("I2C", fmt.Sprintf("bus %d address %#x", c.Bus, c.Address), c.Chip, c.Use)
	}
	for _, l := range b.LEDs {
		add("LED", "/sys/class/leds/"+l.Name, l.Line)
	}
	for _, c := range b.Chips {
		add("GPIO", c.Name, c.Label, c.Device, strconv.Itoa(c.Lines)+" lines")
	}
	return table
}

// showCAN lists controllers; the board, which has their lines, may be nil.
func showCAN(w *bytes.Buffer, controllers []boards.CAN, b *boards.Board) {
	if len(controllers) == 0 {
		return
	}
	table := [][]string{{"bus", "label", "chip", "driver", "Mbit/s", "MHz", "where", "interrupt", "from"}}
	for _, c := range controllers {
		speed := megas(c.Bitrate)
		if c.FD {
			speed += " FD"
		}
		if c.DataBitrate > 0 {
			speed += " " + megas(c.DataBitrate)
		}
		var clocks []string
		for _, hz := range append([]int{c.Oscillator}, c.OscillatorAlso...) {
			if hz > 0 {
				clocks = append(clocks, megas(hz))
			}
		}
		where := strings.Join(append(slices.Clone(c.USB), c.Lines...), " ")
		if s := c.SPI; s != nil {
			where = fmt.Sprintf("SPI%d select %d, %s MHz", s.Bus, s.Select, megas(s.MaxHz))
		}
		interrupt := c.Interrupt
		if b != nil {
			if l, ok := b.Line(interrupt); ok && l.Pin != "" {
				interrupt += " (pin " + l.Pin + ")"
			}
		}
		table = append(table, []string{c.Name, c.Label, c.Chip, c.Driver, speed, strings.Join(clocks, " or "), where, interrupt, c.From})
	}
	w.WriteString("\nCAN\n")
	rows(w, "  ", table)
}

// megas gives a number in millions.
func megas(n int) string { return strconv.FormatFloat(float64(n)/1e6, 'f', -1, 64) }

// showHeader draws the header as it lies on the board: odd pins left, even right.
func showHeader(w *bytes.Buffer, b *boards.Board) {
	if len(b.Pins) == 0 {
		return
	}
	fmt.Fprintf(w, "\nheader %s: what has a line, or (what it could be)\n", b.Header)
	cells := make([]string, len(b.Pins))
	widest := 0
	for i, p := range b.Pins {
		cells[i] = p.Name
		if l, ok := b.Line(p.Name); ok && l.Use != "" {
			cells[i] += " " + l.Use
		} else if len(p.Functions) > 0 {
			cells[i] += " (" + strings.Join(p.Functions, ", ") + ")"
		}
		if i%2 == 0 {
			widest = max(widest, utf8.RuneCountInString(cells[i]))
		}
	}
	for i := 0; i+1 < len(cells); i += 2 {
		pad := strings.Repeat(" ", widest-utf8.RuneCountInString(cells[i]))
		fmt.Fprintf(w, "  %s%s  %2d │ %-2d  %s\n", pad, cells[i], b.Pins[i].Number, b.Pins[i+1].Number, cells[i+1])
	}
}

// showLines lists the lines that are not on the header.
func showLines(w *bytes.Buffer, b *boards.Board) {
	table := [][]string{{"line", "chip", "offset", "pin", "could be", "has it"}}
	for _, l := range b.Lines {
		if slices.ContainsFunc(b.Pins, func(p boards.Pin) bool { return p.Name == l.Name }) {
			continue
		}
		pin := l.Pin
		if pin == l.Name {
			pin = ""
		}
		table = append(table, []string{l.Name, l.Chip, strconv.Itoa(l.Offset), pin, strings.Join(l.Functions, ", "), l.Use})
	}
	if len(table) > 1 {
		w.WriteString("\nlines\n")
		rows(w, "  ", table)
	}
}

func showHAT(w *bytes.Buffer, h *boards.HAT) {
	fmt.Fprintf(w, "%s: %s\n", h.Name, h.Title)
	if h.Header != "" {
		fmt.Fprintf(w, "goes on the header %s\n", h.Header)
	}
	showCAN(w, h.CAN, nil)
	var others []string
	for _, bus := range h.SPI {
		others = append(others, fmt.Sprintf("SPI%d chip selects on %s", bus.Bus, strings.Join(bus.ChipSelects, ", ")))
	}
	for _, l := range h.Lines {
		others = append(others, l.Name+" "+l.Use)
	}
	for _, c := range h.I2C {
		others = append(others, fmt.Sprintf("I2C bus %d address %#x, %s, %s", c.Bus, c.Address, c.Chip, c.Use))
	}
	for _, s := range h.Serial {
		others = append(others, s.Name+" "+s.Use)
	}
	section(w, "also takes", others)
	verbatim(w, "config.txt", h.Config)
	section(w, "to know", h.Quirks)
	showOrigin(w, h.Tested, h.Sources)
}

// verbatim writes lines below a title as they are; nothing if there are none.
func verbatim(w *bytes.Buffer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	for _, line := range lines {
		fmt.Fprintf(w, "  %s\n", strings.TrimRight(line, "\n"))
	}
}

// section writes sentences below a title, each in lines that a terminal can show.
func section(w *bytes.Buffer, title string, sentences []string) {
	var lines []string
	for _, sentence := range sentences {
		lines = append(lines, wrap(sentence, 110)...)
	}
	verbatim(w, title, lines)
}

// wrap breaks a text at blanks into lines of at most width bytes, if it can; what
// follows the first is indented.
func wrap(text string, width int) (lines []string) {
	for len(text) > width {
		cut := strings.LastIndexByte(text[:width], ' ')
		if strings.TrimSpace(text[:max(cut, 0)]) == "" {
			break
		}
		lines = append(lines, text[:cut])
		text = "  " + text[cut+1:]
	}
	return append(lines, text)
}

// showOrigin says what was tested, and which documents the facts are from.
func showOrigin(w *bytes.Buffer, t boards.Tested, sources []boards.Source) {
	tested := slices.DeleteFunc([]string{t.Physical, t.Emulated}, func(text string) bool { return text == "" })
	section(w, "tested", tested)
	var from []string
	for _, s := range sources {
		from = append(from, wrap(s.Document+": "+s.For, 110)...)
		if s.URL != "" {
			from = append(from, "  "+s.URL)
		}
	}
	verbatim(w, "written in", from)
}
