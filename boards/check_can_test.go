package boards

import (
	"regexp"
	"slices"
)

// controller is what is known of a CAN controller.
type controller struct {
	driver string
	fd     bool
	// oscillators are those that there are; none if the clock is the processor's
	// and need not be known.
	oscillators []int
	maxSPI      int
	node, usb   bool
}

const mhz = 1_000_000

var controllers = map[string]controller{
	"MCP2515":     {driver: "mcp251x", oscillators: []int{8 * mhz, 12 * mhz, 16 * mhz, 20 * mhz}, maxSPI: 10 * mhz},
	"MCP2517FD":   {driver: "mcp251xfd", fd: true, oscillators: []int{4 * mhz, 20 * mhz, 40 * mhz}, maxSPI: 20 * mhz},
	"MCP2518FD":   {driver: "mcp251xfd", fd: true, oscillators: []int{4 * mhz, 20 * mhz, 40 * mhz}, maxSPI: 20 * mhz},
	"MCP251xFD":   {driver: "mcp251xfd", fd: true, oscillators: []int{4 * mhz, 20 * mhz, 40 * mhz}, maxSPI: 20 * mhz}, // one of the two
	"FlexCAN":     {driver: "flexcan", fd: true, oscillators: []int{24 * mhz, 30 * mhz, 40 * mhz, 80 * mhz}, node: true},
	"D_CAN":       {driver: "c_can_platform", oscillators: []int{24 * mhz}, node: true},
	"SJA1000":     {driver: "kvaser_pci", oscillators: []int{16 * mhz}},
	"bxCAN":       {driver: "gs_usb", oscillators: []int{48 * mhz}, usb: true},
	"PCAN-USB FD": {driver: "peak_usb", fd: true, oscillators: []int{80 * mhz}, usb: true},
}

var usbID = regexp.MustCompile(`^[0-9a-f]{4}:[0-9a-f]{4}$`)

func (k *checker) can(c *CAN) {
	known, ok := controllers[c.Chip]
	if !ok {
		k.fail(c.at, "unknown chip %q", c.Chip)
		return
	}
	want := func(ok bool, format string, args ...any) {
		if !ok {
			k.fail(c.at, format, args...)
		}
	}
	want(c.Driver == known.driver, "%s has the driver %s, not %q", c.Chip, known.driver, c.Driver)
	want(!c.FD || known.fd, "%s cannot do CAN FD", c.Chip)
	want(c.Bitrate > 0 && c.Bitrate <= mhz, "CAN has no bit rate of %d", c.Bitrate)
	want(c.DataBitrate == 0 || c.FD && c.DataBitrate > c.Bitrate && c.DataBitrate <= 8*mhz, "CAN has no data bit rate of %d", c.DataBitrate)
	for _, hz := range append([]int{c.Oscillator}, c.OscillatorAlso...) {
		want(slices.Contains(known.oscillators, hz) || hz == 0 && known.maxSPI == 0, "there is no %s with an oscillator of %d Hz", c.Chip, hz)
	}
	want((c.SPI != nil) == (known.maxSPI > 0), "%s: want a place on an SPI bus if and only if it is a chip for one", c.Chip)
	want((c.Interrupt != "") == (known.maxSPI > 0), "%s: want an interrupt line if and only if it is on an SPI bus", c.Chip)
	if c.SPI != nil {
		most := known.maxSPI
		if known.driver == "mcp251xfd" { // microchip,mcp251xfd.yaml: half of the oscillator or less
			most = min(most, c.Oscillator/2)
		}
		want(c.SPI.MaxHz > 0 && c.SPI.MaxHz <= most, "%s takes SPI at %d Hz, not at %d", c.Chip, most, c.SPI.MaxHz)
	}
	want((c.Node != "") == known.node, "%s: want a node of the device tree if and only if it is on the processor", c.Chip)
	want((len(c.USB) > 0) == known.usb, "%s: want USB numbers if and only if it is an adapter", c.Chip)
	for _, id := range c.USB {
		want(usbID.MatchString(id), "%q are no numbers of a USB device", id)
	}
}
