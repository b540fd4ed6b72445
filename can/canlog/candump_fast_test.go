package canlog

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"milepost/can"
)

func wholeText(t testing.TB, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if strings.HasSuffix(path, ".json") {
		return nil
	}
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if text, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
	}
	return text
}

// read is what a scanner found in a text.
type found struct {
	Frames   []can.Frame
	Buses    []string
	Stats    Stats
	Problems []Problem
	Position Position
}

// scan reads text; with general, each line by the general parser alone.
func scan(text []byte, general bool) found {
	var got found
	s := newScanner("log", Options{OnProblem: func(p Problem) { got.Problems = append(got.Problems, p) }})
	s.setText(text, 0)
	if general {
		for {
			var f can.Frame
			line, ok := s.nextLine()
			if !ok {
				break
			}
			if s.parse(line, &f) {
				got.Frames = append(got.Frames, f)
			}
		}
		s.stats.Frames, s.stats.Bytes = uint64(len(got.Frames)), int64(s.pos)
	} else {
		batch := make([]can.Frame, 7)
		for {
			n := s.read(batch)
			if n == 0 {
				break
			}
			for _, f := range batch[:n] {
				clear(f.Data[max(8, (f.Len+7)&^7):]) // unspecified
				got.Frames = append(got.Frames, f)
			}
		}
	}
	for i := range got.Frames {
		f := &got.Frames[i]
		clear(f.Data[max(8, (f.Len+7)&^7):])
	}
	got.Buses, got.Stats, got.Position = s.buses, s.stats, s.position()
	return got
}

func sameAsGeneral(t testing.TB, text []byte) {
	t.Helper()
	want, got := scan(text, true), scan(text, false)
	if reflect.DeepEqual(want, got) { // far faster than cmp
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("fast path differs (-general +fast):\n%.3000s", diff)
	}
}

// randomLine makes up a line that is nearly of the usual form.
func randomLine(rng *rand.Rand) string {
	pick := func(options ...string) string { return options[rng.IntN(len(options))] }
	id := fmt.Sprintf("%03X", 0x7F0+rng.IntN(20))
	if rng.IntN(3) == 0 {
		id = fmt.Sprintf("%08X", 0x1FFFFFFA+rng.IntN(8))
	}
	data := fmt.Sprintf("%X", make([]byte, rng.IntN(9)))
	if rng.IntN(2) == 0 && len(data) > 0 {
		i := rng.IntN(len(data))
		data = data[:i] + pick("1", "F", "a", "A", "g", "@", ".", " ", "\x10", "\x80", "\n", "_9", "R", "#") + data[i+1:]
	}
	line := fmt.Sprintf("(%010d.%06d)%s%s %s#%s%s",
		rng.IntN(3), rng.IntN(1e6), pick(" ", " ", " ", "  "), pick("can0", "can1", "vcan0", "c", "any", "slcan100"),
		id, data, pick("", "", " R", " T", " X", " RT", "R", "_9"))
	switch rng.IntN(12) {
	case 0:
		line = strings.ToLower(line)
	case 1:
		i := rng.IntN(len(line))
		line = line[:i] + string(rune(rng.IntN(256))) + line[i+1:]
	case 2:
		line = line[:rng.IntN(len(line))]
	}
	return line + pick("\n", "\n", "\n", "\n", "\r\n", "\r")
}

func TestFastPathOnRandomLines(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var text strings.Builder
		for range 200 {
			text.WriteString(randomLine(rng))
		}
		sameAsGeneral(t, []byte(text.String()))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// TestFastPathIsTaken keeps the equality tests from comparing the general
// parser with itself.
func TestFastPathIsTaken(t *testing.T) {
	text := syntheticLog(10_000, " T")
	s := newScanner("", Options{})
	s.setText(text, 0)
	frames := make([]can.Frame, 10_000)
	fast, general := 0, 0
	for {
		fast += s.fast(frames)
		line, ok := s.nextLine()
		if !ok {
			break
		}
		if !s.parse(line, &frames[0]) {
			t.Fatalf("%q", line)
		}
		general++
	}
	if fast+general != 10_000 || general > 100 {
		t.Errorf("%d lines by the fast path, %d by the general parser", fast, general)
	}
}

func TestReadAllocatesNothing(t *testing.T) {
	text := NewText("", Options{})
	log := Chunk{Data: append(syntheticLog(1000, ""), syntheticLog(1000, " R")...)}
	frames := make([]can.Frame, 128)
	allocs := testing.AllocsPerRun(10, func() {
		text.Reset(log)
		for {
			if _, err := text.Read(frames); err != nil {
				return
			}
		}
	})
	if allocs != 0 {
		t.Errorf("%g allocations in 2000 frames", allocs)
	}
}

func TestDecodeHex(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for range 200_000 {
		var text [8]byte
		for i := range text {
			text[i] = "0123456789ABCDEFabcdef"[rng.IntN(22)]
		}
		if rng.IntN(2) == 0 {
			text[rng.IntN(8)] = byte(rng.IntN(256))
		}
		var word uint64
		var want uint32
		valid := true
		for i, c := range text {
			word |= uint64(c) << (8 * i)
			v := hexValue[c]
			valid = valid && v <= 15
			want |= uint32(v&15) << (8*(i/2) + 4*(1-i%2))
		}
		got, bad := decodeHex(word)
		bad &= each80
		if (bad == 0) != valid || valid && got != want {
			t.Fatalf("decodeHex(%q) = %08x, bad %x; want %08x, valid %t", text, got, bad, want, valid)
		}
		if valid {
			if again, bad := decodeHex(encodeHex(want)); again != want || bad&each80 != 0 {
				t.Fatalf("encodeHex(%08x) = %016x", want, encodeHex(want))
			}
		}
	}
}

func TestPairs(t *testing.T) {
	for at := range 1 << 16 {
		text := string([]byte{byte(at), byte(at >> 8)})
		for _, table := range []struct {
			base int
			got  uint16
		}{{16, hexPairs[at]}, {10, decimalPairs[at]}} {
			want := uint16(0)
			if n, err := strconv.ParseUint(text, table.base, 8); err == nil && text[0] != '+' {
				want = isPair + uint16(n)
			}
			if table.got != want {
				t.Fatalf("%q to base %d: %#x, want %#x", text, table.base, table.got, want)
			}
		}
	}
}
