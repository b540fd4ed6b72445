package boards

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// Combine puts HATs on a board: what comes out is a board that has their CAN
// controllers and says what takes each line. It fails where a HAT does not fit the
// board's header, or where two things want the same line, chip select, address or
// port; the error names all of that, with the places in the files.
//
// The board and the HATs remain as they are.
func Combine(board *Board, hats ...*HAT) (*Board, error) {
	c := combination{board: board.clone(), taken: make(map[string]claim)}
	c.claimBoard()
	for _, h := range hats {
		c.add(h)
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.errs...)
	}
	c.markLines()
	return c.board, nil
}

// markLines says at each line what has taken it.
func (c *combination) markLines() {
	for i := range c.board.Lines {
		l := &c.board.Lines[i]
		if by, ok := c.taken[l.Name]; ok {
			l.Use = by.use
			continue
		}
		l.Use = ""
		for _, port := range c.board.Serial {
			if port.Use == console && slices.Contains(port.Lines, l.Name) {
				l.Use = console
			}
		}
	}
}

// clone copies what Combine changes.
func (b *Board) clone() *Board {
	copied := *b
	copied.Lines = slices.Clone(b.Lines)
	copied.SPI = slices.Clone(b.SPI)
	copied.CAN = slices.Clone(b.CAN)
	copied.I2C = slices.Clone(b.I2C)
	copied.Serial = slices.Clone(b.Serial)
	copied.Config = slices.Clone(b.Config)
	copied.HATs = slices.Clone(b.HATs)
	copied.Quirks = slices.Clone(b.Quirks)
	copied.Sources = slices.Clone(b.Sources)
	copied.uses = slices.Clone(b.uses)
	return &copied
}

// combination is a board on which HATs are being put.
type combination struct {
	board *Board
	// taken has the lines by name, and besides them chip selects ("SPI0 chip select
	// 1"), addresses and serial ports, each with what has it.
	taken map[string]claim
	errs  []error
}

// claim is what has taken something, and where it is written.
type claim struct {
	use  string
	file string
	at   position
	// shared things may be taken again for the same use: the clock of an SPI bus.
	shared bool
}

func (c claim) String() string { return fmt.Sprintf("%s (%s:%d)", c.use, c.file, c.at.line) }

func (c *combination) fail(by claim, format string, args ...any) {
	c.errs = append(c.errs, &Error{by.file, by.at.line, by.at.column, fmt.Sprintf(format, args...)})
}

// take notes that something is used, unless it is already.
func (c *combination) take(what string, by claim) {
	if before, ok := c.taken[what]; ok {
		if !by.shared || before.use != by.use {
			c.fail(by, "%s has %s already: %s cannot have it, too", before, what, by.use)
		}
		return
	}
	c.taken[what] = by
}

// takeLine is take for a line, which the board must have.
func (c *combination) takeLine(name string, by claim) {
	l, ok := c.board.Line(name)
	switch {
	case !ok:
		c.fail(by, "%s wants line %s, which %s does not have", by.use, name, c.board.Name)
		return
	case l.Pin == "" && by.file != c.board.file:
		c.fail(by, "%s wants line %s, which is not on a header of %s", by.use, name, c.board.Name)
		return
	}
	c.take(name, by)
}

// claimBoard notes what the board itself uses.
func (c *combination) claimBoard() {
	b := c.board
	for i := range b.CAN {
		c.takeCAN(&b.CAN[i], b.file)
	}
	for _, chip := range b.I2C {
		c.takeI2C(chip, b.file, chip.Use)
	}
	for _, s := range b.Serial {
		if s.Use == "" || s.Use == console {
			continue
		}
		for _, line := range s.Lines {
			c.takeLine(line, claim{use: s.Use, file: b.file, at: s.at})
		}
	}
	for _, led := range b.LEDs {
		if led.Line != "" {
			c.takeLine(led.Line, claim{use: "LED " + led.Name, file: b.file, at: led.at})
		}
	}
	for _, l := range b.uses {
		c.takeLine(l.Name, claim{use: l.Use, file: b.file, at: l.at})
	}
}

// add puts one HAT on the board.
func (c *combination) add(h *HAT) {
	whole := claim{use: h.Name, file: h.file, at: position{1, 1}}
	switch {
	case slices.Contains(c.board.HATs, h.Name) && h.Header != "":
		c.fail(whole, "%s is there twice", h.Name)
		return
	case h.Header != "" && c.board.Header == "":
		c.fail(whole, "%s goes on the header %s; %s has no header for HATs", h.Name, h.Header, c.board.Name)
		return
	case h.Header != c.board.Header && h.Header != "":
		c.fail(whole, "%s goes on the header %s; %s has %s", h.Name, h.Header, c.board.Name, c.board.Header)
		return
	}
	c.board.HATs = append(c.board.HATs, h.Name)
	for _, moved := range h.SPI {
		c.moveChipSelects(moved, h)
	}
	for _, controller := range h.CAN {
		controller.From = h.Name
		controller.Name = "can" + strconv.Itoa(len(c.board.CAN))
		c.takeCAN(&controller, h.file)
		c.board.CAN = append(c.board.CAN, controller)
	}
	for _, l := range h.Lines {
		l.Use = h.Name + " " + l.Use
		c.takeLine(l.Name, claim{use: l.Use, file: h.file, at: l.at})
		c.board.uses = append(c.board.uses, l)
	}
	for _, chip := range h.I2C {
		c.takeI2C(chip, h.file, h.Name+" "+chip.Use)
		c.board.I2C = append(c.board.I2C, chip)
	}
	for _, s := range h.Serial {
		c.takeSerial(s, h)
	}
	for _, line := range h.Config {
		if !slices.Contains(c.board.Config, line) {
			c.board.Config = append(c.board.Config, line)
		}
	}
	if h.Header != "" {
		for _, missing := range []string{"gpio", "spi"} {
			if slices.Contains(c.board.Kernel.Missing, missing) {
				c.board.Quirks = append(c.board.Quirks, fmt.Sprintf("Debian's kernel of %s does not drive what %s needs (%s).", c.board.Kernel.Release, h.Name, missing))
			}
		}
	}
	c.board.Quirks = append(c.board.Quirks, h.Quirks...)
	c.board.Sources = append(c.board.Sources, h.Sources...)
}

// moveChipSelects replaces a bus's chip selects by those of the HAT.
func (c *combination) moveChipSelects(moved SPI, h *HAT) {
	for i := range c.board.SPI {
		bus := &c.board.SPI[i]
		if bus.Bus == moved.Bus {
			bus.ChipSelects = moved.ChipSelects
			return
		}
	}
	c.fail(claim{file: h.file, at: moved.at}, "%s wants SPI bus %d, which %s does not have", h.Name, moved.Bus, c.board.Name)
}

// takeCAN takes the lines of a controller.
func (c *combination) takeCAN(controller *CAN, file string) {
	by := claim{use: controller.Name, file: file, at: controller.at}
	if s := controller.SPI; s != nil {
		c.takeSPI(*s, by)
	}
	if controller.Interrupt != "" {
		interrupt := by
		interrupt.use += " interrupt"
		c.takeLine(controller.Interrupt, interrupt)
	}
	for _, line := range controller.Lines {
		c.takeLine(line, by)
	}
}

// takeSPI takes a chip select and, together with the others of the bus, its clock
// and its data.
func (c *combination) takeSPI(s ChipSelect, by claim) {
	i := slices.IndexFunc(c.board.SPI, func(bus SPI) bool { return bus.Bus == s.Bus })
	if i < 0 {
		c.fail(by, "%s wants SPI bus %d, which %s does not have", by.use, s.Bus, c.board.Name)
		return
	}
	bus := c.board.SPI[i]
	if s.Select >= len(bus.ChipSelects) {
		c.fail(by, "%s wants chip select %d of SPI bus %d, which has %d", by.use, s.Select, s.Bus, len(bus.ChipSelects))
		return
	}
	for _, line := range bus.Lines {
		c.takeLine(line, claim{use: fmt.Sprintf("SPI%d", s.Bus), file: by.file, at: by.at, shared: true})
	}
	what := fmt.Sprintf("chip select %d of SPI%d", s.Select, s.Bus)
	if before, ok := c.taken[what]; ok {
		c.fail(by, "%s has %s already: %s cannot have it, too", before, what, by.use)
		return
	}
	c.taken[what] = by
	chipSelect := by
	chipSelect.use += " chip select"
	c.takeLine(bus.ChipSelects[s.Select], chipSelect)
}

// takeI2C takes an address.
func (c *combination) takeI2C(chip I2C, file, use string) {
	c.take(fmt.Sprintf("address %#x of I2C%d", chip.Address, chip.Bus), claim{use: use, file: file, at: chip.at})
	for i := range c.board.Lines {
		l := &c.board.Lines[i]
		for _, pin := range []string{"sda", "scl"} {
			if slices.Contains(l.Functions, fmt.Sprintf("i2c%d-%s", chip.Bus, pin)) {
				c.takeLine(l.Name, claim{use: fmt.Sprintf("I2C%d", chip.Bus), file: file, at: chip.at, shared: true})
			}
		}
	}
}

// takeSerial takes a port of the board for a HAT, from the console if need be.
func (c *combination) takeSerial(s Serial, h *HAT) {
	by := claim{use: h.Name + " " + s.Use, file: h.file, at: s.at}
	i := slices.IndexFunc(c.board.Serial, func(port Serial) bool { return port.Name == s.Name })
	if i < 0 {
		c.fail(by, "%s wants the port %s, which %s does not have", by.use, s.Name, c.board.Name)
		return
	}
	port := &c.board.Serial[i]
	if port.Use != "" && port.Use != console {
		c.fail(by, "%s has the port %s already: %s cannot have it, too", port.Use, s.Name, by.use)
		return
	}
	port.Use = by.use
	for _, line := range port.Lines {
		c.takeLine(line, by)
	}
}
