package canlog

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"milepost/can"
)

// FuzzCandump reads any text by the fast path, by the general parser alone,
// through a reader in odd pieces, and by chunks: always with the same result.
func FuzzCandump(f *testing.F) {
	f.Add([]byte("(1533201287.000013) can0 2C1#0014DF14BBCA3A91\n(1533201287.000014) can0 2C1#0014DF14BBCA3A91 R\n"+
		"(1533201287.000015) can0 2C1#0014DF14BBCA3A92 T\r\n(1533201287.000015) can0 2C1#00\n(1533201287.000016) can0 2C1#01\n"), uint8(3))
	f.Add([]byte("(1533201287.000013) can0 1ABCDEF0##51122\n(1.5) can1 123#R5\n2E244#80:CA:A26B7F62#4D\n# c\n\n"), uint8(60))
	f.Add([]byte(" (000.000001)  can0  TX B E  2C1  [02]  11`22\n \x1b[1mcan0\x1b[0m 123 {9} 00000000\n\tx\n"), uint8(1))
	f.Add([]byte("interface = can1, family\n<0x18eeff01> [8] 05 a0 be 1c 00 a0 a0 c0\n can0 20000004 [1] 00   ERRORFRAME\n\tbus-off\n"), uint8(200))
	f.Add([]byte("(2018-08-02 09:14:47.000013)  can0  2C1   [3]  41 20 23     'A #'\rcan0 123#\r\r\n\xef\xbb\xbf"), uint8(9))
	f.Fuzz(func(t *testing.T, text []byte, piece uint8) {
		want := scan(text, true)
		checkBalance(t, want.Stats)
		if want.Stats.Bytes != int64(len(text)) || uint64(len(want.Problems)) != want.Stats.Bad {
			t.Errorf("%d bytes, %d problems: %+v", len(text), len(want.Problems), want.Stats)
		}
		if diff := cmp.Diff(want, scan(text, false)); diff != "" {
			t.Errorf("fast path differs (-general +fast):\n%s", diff)
		}

		// In pieces; without detection, which has an opinion of relative times.
		var names []named
		for i := range want.Frames {
			names = append(names, name(&want.Frames[i], want.Buses))
		}
		r := newCandumpReader("log", &pieces{text, int(piece)%70 + 1}, make([]byte, readBufferSize), 0, detection{}, Options{})
		got, err := readChecked(t, r, int(piece)%5+1)
		if err != io.EOF || !slices.Equal(names, got) {
			t.Errorf("in pieces: %v (-general +pieces):\n%s", err, cmp.Diff(names, got))
		}
		if diff := cmp.Diff(want.Stats, r.stats); diff != "" {
			t.Errorf("in pieces (-general +pieces):\n%s", diff)
		}

		// By chunks, if no line depends on another one.
		Detect(text)
		log, err := NewReader("log", bytes.NewReader(text), Options{})
		if err != nil || !log.Splittable() {
			return
		}
		whole := readAll(t, log)
		chunk := NewText("log", Options{})
		var parts []named
		frames := make([]can.Frame, 3)
		lines := int64(0)
		for rest := text; len(rest) > 0; {
			// Chunks are cut behind a LF.
			end := min(int(piece), len(rest)-1)
			if i := bytes.IndexByte(rest[end:], '\n'); i >= 0 {
				end += i + 1
			} else {
				end = len(rest)
			}
			chunk.Reset(Chunk{Data: rest[:end]})
			rest = rest[end:]
			for {
				n, err := chunk.Read(frames)
				for i := range frames[:n] {
					parts = append(parts, name(&frames[i], chunk.Buses()))
				}
				if err != nil {
					break
				}
			}
			if chunk.Dependent() {
				return
			}
			lines += chunk.Lines()
		}
		if !slices.Equal(whole, parts) {
			t.Errorf("by chunks (-whole +chunks):\n%s", cmp.Diff(whole, parts))
		}
		if want := log.Position().Line; lines != want {
			t.Errorf("by chunks %d lines, want %d", lines, want)
		}
		if diff := cmp.Diff(log.Stats(), chunk.Stats()); diff != "" {
			t.Errorf("by chunks (-whole +chunks):\n%s", diff)
		}
	})
}

// pieces delivers a text a few bytes at a time.
type pieces struct {
	text []byte
	size int
}

func (p *pieces) Read(buf []byte) (int, error) {
	if len(p.text) == 0 {
		return 0, io.EOF
	}
	n := copy(buf[:min(len(buf), p.size)], p.text)
	p.text = p.text[n:]
	return n, nil
}
