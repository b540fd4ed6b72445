package socketcan

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"milepost/can"
)

func frameOf(id uint32, flags can.Flags, data ...byte) *can.Frame {
	f := &can.Frame{ID: id, Flags: flags, Len: uint8(len(data))}
	copy(f.Data[:], data)
	return f
}

// TestWireBits has frames whose bits were counted by hand.
func TestWireBits(t *testing.T) {
	ones := make([]byte, 64)
	for i := range ones {
		ones[i] = 0x55
	}
	for _, c := range []struct {
		name          string
		frame         *can.Frame
		nominal, data int
	}{
		// 19 zeros from the start of frame to the DLC, whose CRC is 15 zeros: 34
		// zeros get 6 stuff bits. Then 10 bits to the end of frame, 3 between frames.
		{"all dominant", frameOf(0, 0), 34 + 6 + 10 + 3, 0},
		// SOF 0, ID 10101010101, RTR IDE r0 000, DLC 0001: a stuff bit among the six
		// zeros. Data 01010101 and the CRC, by long division 111100010010111: five ones,
		// a stuff bit.
		{"alternating", frameOf(0x555, 0, 0x55), 19 + 8 + 15 + 2 + 10 + 3, 0},
		// FD, standard, no BRS, no data: 17 bits, of which SOF and ten zeros of the ID
		// bring two stuff bits (after bits 5 and 10); then the ID's 1, RRS 0, IDE 0,
		// FDF 1, res 0, BRS 0. ESI 0 and DLC 0000 make seven zeros: one stuff bit.
		// Then 21 bits of stuff count and CRC, with 6 fixed ones, and 13.
		{"FD, no switch", frameOf(1, can.FD), 17 + 2 + 5 + 1 + 27 + 13, 0},
		// The same with BRS: 0 (res), 1 (BRS), then the data phase begins with five
		// zeros, and a stuff bit.
		{"FD, switched", frameOf(1, can.FD|can.BRS), 17 + 2 + 13, 5 + 1 + 27},
		// 64 bytes: no stuff bits in the data; ESI 0, DLC 1111. 4 + 21 bits of stuff
		// count and CRC have 7 fixed stuff bits.
		{"FD, long", frameOf(0x555, can.FD|can.BRS, ones...), 17 + 13, 5 + 512 + 25 + 7},
	} {
		nominal, data := wireBits(c.frame)
		if nominal != c.nominal || data != c.data {
			t.Errorf("%s: %d and %d bits, want %d and %d", c.name, nominal, data, c.nominal, c.data)
		}
	}
}

// TestWireBitsOfAny compares with strings of digits, and with the bounds that
// everybody quotes.
func TestWireBitsOfAny(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		f := frameOf(random.Uint32N(can.MaxStandardID+1), 0)
		if random.IntN(2) == 0 {
			f.ID, f.Flags = random.Uint32N(can.MaxExtendedID+1), can.Extended
		}
		f.Len = uint8(random.IntN(9))
		for i := range f.Len {
			f.Data[i] = []byte{0, 0xFF, byte(random.Uint32())}[random.IntN(3)]
		}
		got, _ := wireBits(f)
		if want := classicalByDigits(f); got != want {
			t.Fatalf("%+v: %d bits, want %d", f, got, want)
		}
		n, stuffable := 8*int(f.Len), 34
		if f.Flags&can.Extended != 0 {
			stuffable = 54
		}
		if least := stuffable + n + 13; got < least || got > least+(stuffable+n-1)/4 {
			t.Fatalf("%+v: %d bits, at least %d", f, got, least)
		}
	}
}

// classicalByDigits writes a frame down bit by bit.
func classicalByDigits(f *can.Frame) int {
	digits := func(v uint32, n int) string {
		var s strings.Builder
		for i := n - 1; i >= 0; i-- {
			s.WriteByte('0' + byte(v>>i&1))
		}
		return s.String()
	}
	bits := "0"
	if f.Flags&can.Extended != 0 {
		id := digits(f.ID, 29)
		bits += id[:11] + "11" + id[11:] + "0" + "00"
	} else {
		bits += digits(f.ID, 11) + "0" + "00"
	}
	bits += digits(uint32(f.Len), 4)
	for _, b := range f.Payload() {
		bits += digits(uint32(b), 8)
	}
	// The CRC is the remainder of the division by x^15+x^14+x^10+x^8+x^7+x^4+x^3+1.
	rest := []byte(bits + strings.Repeat("0", 15))
	for i := range len(bits) {
		if rest[i] == '1' {
			for j, d := range "1100010110011001" {
				rest[i+j] ^= byte(d) & 1
			}
		}
	}
	bits += string(rest[len(bits):])
	stuffed := ""
	for _, d := range bits {
		stuffed += string(d)
		for _, five := range []string{"00000", "11111"} {
			if strings.HasSuffix(stuffed, five) {
				stuffed += string(five[0] ^ 1)
				break
			}
		}
	}
	return len(stuffed) + 10 + 3
}

// TestLoad: what is known gives the share, what is not gives NaN.
func TestLoad(t *testing.T) {
	var mix frameMix
	nominal, data := mix.bits(1000, 8000)
	if want := 47000 + 8*1.1*8000; math.Abs(nominal-want) > 1e-6 || data != 0 {
		t.Errorf("without samples: %v and %v bits, want %v", nominal, data, want)
	}
	eight := frameOf(0x555, 0, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55)
	bits, _ := wireBits(eight)
	mix.add(eight)
	mix.add(eight)
	mix.fade()
	if nominal, data = mix.bits(100, 800); nominal != float64(100*bits) || data != 0 {
		t.Errorf("%v and %v bits, want %d", nominal, data, 100*bits)
	}
	if nominal, _ = mix.bits(100, 400); math.Abs(nominal-float64(100*bits)+8*1.1*400) > 1e-6 {
		t.Errorf("with half the bytes: %v bits", nominal)
	}
	if got := busLoad(250000, 0, 500000, 0, time.Second); got != 0.5 {
		t.Errorf("half a load is %v", got)
	}
	if got := busLoad(250000, 1000000, 500000, 2000000, 2*time.Second); got != 0.5 {
		t.Errorf("half a load with data bits is %v", got)
	}
	for name, got := range map[string]float64{
		"bit rate":      busLoad(1, 0, 0, 0, time.Second),
		"data bit rate": busLoad(1, 1, 500000, 0, time.Second),
		"time":          busLoad(1, 0, 500000, 0, 0),
	} {
		if !math.IsNaN(got) {
			t.Errorf("without a %s the load is %v", name, got)
		}
	}
	fd := frameOf(0x555, can.FD|can.BRS, make([]byte, 64)...)
	n, d := wireBits(fd)
	mix = frameMix{}
	mix.add(fd)
	if nominal, data = mix.bits(10, 640); nominal != float64(10*n) || data != float64(10*d) {
		t.Errorf("FD: %v and %v bits, want %d and %d", nominal, data, 10*n, 10*d)
	}
}
