package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math"
	"os"

	"go.einride.tech/can"
	"go.einride.tech/can/pkg/dbc"
	"go.einride.tech/can/pkg/descriptor"
)

// The loops that milepost is measured against. Each reads a candump log and
// returns the number of lines or frames.

// lineLoop only splits the log into lines: the least that any reader of text
// does.
func lineLoop(path string) (n int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	buf := make([]byte, 256<<10)
	kept := 0
	for {
		read, err := f.Read(buf[kept:])
		data := buf[:kept+read]
		for {
			i := bytes.IndexByte(data, '\n')
			if i < 0 {
				break
			}
			n++
			data = data[i+1:]
		}
		kept = copy(buf, data)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// extremes is what the einride loop keeps of a signal: no histogram.
type extremes struct {
	count         int
	min, max, sum float64
}

// einrideLoop parses each frame and decodes each signal with
// go.einride.tech/can, and keeps count, minimum, maximum and sum a second. The
// signals of a message are found by array index, as a careful user would do it;
// its database is read with the package's own parser.
func einrideLoop(path string, database []byte) (n int, err error) {
	parser := dbc.NewParser("bench.dbc", database)
	if err := parser.Parse(); err != nil {
		return 0, err
	}
	signals := make(map[uint32][]*descriptor.Signal)
	for _, def := range parser.Defs() {
		m, ok := def.(*dbc.MessageDef)
		if !ok {
			continue
		}
		id := m.MessageID.ToCAN()
		for _, s := range m.Signals {
			signals[id] = append(signals[id], &descriptor.Signal{
				Name: string(s.Name), Start: uint8(s.StartBit), Length: uint8(s.Size),
				IsBigEndian: s.IsBigEndian, IsSigned: s.IsSigned,
				Scale: s.Factor, Offset: s.Offset, Min: s.Minimum, Max: s.Maximum,
			})
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	type stream struct {
		signals []*descriptor.Signal
		kept    []extremes
	}
	var standard [2][can.MaxID + 1]*stream
	extended := [2]map[uint32]*stream{{}, {}}
	var all []*stream
	second := ""
	scanner := bufio.NewScanner(f)
	scanner.Buffer(make([]byte, 64<<10), 1<<20)
	for scanner.Scan() {
		line := scanner.Text()
		const busAt = len("(1533201287.000013) can")
		const idAt = busAt + len("0 ")
		if len(line) < idAt {
			return n, fmt.Errorf("line %d: %q", n+1, line)
		}
		if line[1:11] != second {
			second = string([]byte(line[1:11]))
			for _, s := range all {
				for i := range s.kept {
					s.kept[i] = extremes{min: math.Inf(1), max: math.Inf(-1)}
				}
			}
		}
		var frame can.Frame
		if err := frame.UnmarshalString(line[idAt:]); err != nil {
			return n, err
		}
		bus := line[busAt] & 1
		var s *stream
		if frame.IsExtended {
			s = extended[bus][frame.ID]
		} else {
			s = standard[bus][frame.ID]
		}
		if s == nil {
			s = &stream{signals: signals[frame.ID]}
			s.kept = make([]extremes, len(s.signals))
			for i := range s.kept {
				s.kept[i] = extremes{min: math.Inf(1), max: math.Inf(-1)}
			}
			all = append(all, s)
			if frame.IsExtended {
				extended[bus][frame.ID] = s
			} else {
				standard[bus][frame.ID] = s
			}
		}
		for i, d := range s.signals {
			v := d.UnmarshalPhysical(frame.Data)
			k := &s.kept[i]
			k.count++
			k.sum += v
			k.min, k.max = min(k.min, v), max(k.max, v)
		}
		n++
	}
	return n, scanner.Err()
}
