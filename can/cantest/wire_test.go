package cantest

import (
	"math/rand/v2"
	"testing"
)

// referenceWireBits makes the frame as a string of bits, stuffs it and counts.
func referenceWireBits(id uint32, extended bool, data []byte) int {
	var bits []byte
	put := func(value uint64, n int) {
		for n--; n >= 0; n-- {
			bits = append(bits, byte(value>>n&1))
		}
	}
	put(0, 1) // start of frame
	if extended {
		put(uint64(id>>18), 11)
		put(3, 2) // SRR, IDE
		put(uint64(id), 18)
		put(0, 3) // RTR, r1, r0
	} else {
		put(uint64(id), 11)
		put(0, 3) // RTR, IDE, r0
	}
	put(uint64(len(data)), 4)
	for _, b := range data {
		put(uint64(b), 8)
	}
	crc := uint64(0)
	for _, bit := range bits {
		crc = crc<<1 ^ uint64(bit)<<15
		if crc&0x8000 != 0 {
			crc ^= 0x8000 | 0x4599
		}
		crc &= 0x7FFF
	}
	put(crc, 15)
	count, run, last := 0, 0, byte(2)
	for _, bit := range bits {
		if bit != last {
			run, last = 0, bit
		}
		run++
		count++
		if run == 5 {
			run, last = 1, bit^1
			count++
		}
	}
	return count + 1 + 1 + 1 + 7 + 3
}

func TestWireBits(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	check := func(id uint32, extended bool, data []byte) {
		t.Helper()
		if got, want := WireBits(id, extended, data), referenceWireBits(id, extended, data); got != want {
			t.Errorf("%x#%x extended %v: %d bits, want %d", id, data, extended, got, want)
		}
	}
	for range 20_000 {
		data := make([]byte, random.IntN(9))
		for i := range data {
			// Runs of equal bits, for the stuffing.
			data[i] = [...]byte{0, 0xFF, 0x1F, 0x83, byte(random.Uint32())}[random.IntN(5)]
		}
		check(random.Uint32N(1<<11), false, data)
		check(random.Uint32N(1<<29), true, data)
	}
	// Bounds: 47 and 67 bits without data and stuffing; one stuff bit for the
	// first 5 bits and every 4 more at most.
	if got := WireBits(0x555, false, nil); got < 47 || got > 47+(34-1)/4 {
		t.Errorf("%d bits", got)
	}
	if got := WireBits(0, false, make([]byte, 8)); got < 111 || got > 111+(98-1)/4 {
		t.Errorf("%d bits", got)
	}
}
