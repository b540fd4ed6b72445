package canlog

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"milepost/can"
)

// syntheticLog makes up a log like that of two busy buses: 60 IDs, 8 of them
// extended, payloads of mostly 8 bytes, 54 % of which repeat the previous one.
func syntheticLog(frames int, direction string) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	type message struct {
		name string
		data []byte
	}
	messages := make([]message, 60)
	for i := range messages {
		id := fmt.Sprintf("%03X", 0x100+i*13)
		if i%8 == 7 {
			id = fmt.Sprintf("%08X", 0x18FEF100+i)
		}
		length := 8
		if i%10 == 9 {
			length = rng.IntN(8)
		}
		messages[i] = message{fmt.Sprintf("can%d %s", i%2, id), make([]byte, length)}
	}
	var log bytes.Buffer
	time := int64(1533201287_000013)
	for range frames {
		m := &messages[rng.IntN(len(messages))]
		if len(m.data) > 0 && rng.IntN(100) < 46 {
			m.data[rng.IntN(len(m.data))]++
		}
		fmt.Fprintf(&log, "(%010d.%06d) %s#%X%s\n", time/1e6, time%1e6, m.name, m.data, direction)
		time += int64(rng.IntN(380))
	}
	return log.Bytes()
}

func perFrame(b *testing.B, frames int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(frames), "ns/frame")
	b.ReportAllocs()
}

func BenchmarkRead(b *testing.B) {
	const frames = 100_000
	for _, bench := range []struct{ name, direction string }{
		{"log", ""}, {"direction", " R"},
	} {
		log := syntheticLog(frames, bench.direction)
		b.Run("Text/"+bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(log)))
			text := NewText("", Options{})
			batch := make([]can.Frame, 256)
			for b.Loop() {
				text.Reset(Chunk{Data: log})
				n := 0
				for {
					m, err := text.Read(batch)
					if n += m; err != nil {
						break
					}
				}
				if n != frames {
					b.Fatalf("%d frames", n)
				}
			}
			perFrame(b, frames)
		})
		b.Run("Log/"+bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(log)))
			batch := make([]can.Frame, 256)
			for b.Loop() {
				reader, err := NewReader("", bytes.NewReader(log), Options{})
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for err == nil {
					var m int
					m, err = reader.Read(batch)
					n += m
				}
				if err != io.EOF || n != frames {
					b.Fatalf("%d frames, %v", n, err)
				}
			}
			perFrame(b, frames)
		})
	}
	log := syntheticLog(frames, "")
	// What reading costs at least: finding the line ends.
	b.Run("lines", func(b *testing.B) {
		b.SetBytes(int64(len(log)))
		for b.Loop() {
			n := 0
			for rest := log; ; n++ {
				i := bytes.IndexByte(rest, '\n')
				if i < 0 {
					break
				}
				rest = rest[i+1:]
			}
			if n != frames {
				b.Fatal(n)
			}
		}
		perFrame(b, frames)
	})
	// The parser of all dialects, line by line.
	b.Run("general", func(b *testing.B) {
		b.SetBytes(int64(len(log)))
		s := newScanner("", Options{})
		var f can.Frame
		for b.Loop() {
			s.setText(log, 0)
			for {
				line, ok := s.nextLine()
				if !ok {
					break
				}
				if !s.parse(line, &f) {
					b.Fatalf("%s", line)
				}
			}
		}
		perFrame(b, frames)
	})
}
