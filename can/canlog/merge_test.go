package canlog

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"milepost/can"
)

// textLog is a log of lines such as "3 can0 123#11" with the time in seconds.
func textLog(t testing.TB, lines ...string) can.Source {
	t.Helper()
	var text strings.Builder
	for _, line := range lines {
		second, frame, _ := strings.Cut(line, " ")
		fmt.Fprintf(&text, "(%010s.000000) %s\n", second, frame)
	}
	log, err := NewReader("log", strings.NewReader(text.String()), Options{
		OnProblem: func(p Problem) { t.Errorf("%s", p) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return log
}

func lines(frames []named) []string {
	var text []string
	for _, f := range frames {
		text = append(text, fmt.Sprintf("%d %s %s#%s", f.Time/1e9, f.Bus, can.FormatID(f.ID, f.Flags&can.Extended != 0), f.Data))
	}
	return text
}

func TestMerge(t *testing.T) {
	for _, test := range []struct {
		name    string
		logs    [][]string
		drop    bool
		want    []string
		dropped uint64
	}{
		{
			name: "by time, the first source first",
			logs: [][]string{
				{"1 can0 100#11", "3 can0 100#11", "5 can0 100#11"},
				{"1 can1 200#22", "2 can0 100#33", "5 can1 200#22", "6 can1 200#22"},
			},
			want: []string{
				"1 can0 100#11", "1 can1 200#22", "2 can0 100#33", "3 can0 100#11",
				"5 can0 100#11", "5 can1 200#22", "6 can1 200#22",
			},
		},
		{
			name: "the order within a source is kept",
			logs: [][]string{
				{"2 can0 100#11", "1 can0 100#22", "4 can0 100#33"},
				{"3 can0 200#44", "2 can0 200#55", "5 can0 200#66"},
			},
			want: []string{
				"2 can0 100#11", "1 can0 100#22", "3 can0 200#44", "2 can0 200#55", "4 can0 100#33", "5 can0 200#66",
			},
		},
		{
			name: "overlap",
			drop: true,
			logs: [][]string{
				{"1 can0 100#11", "2 can0 100#22", "3 can0 100#33"},
				{"2 can0 100#22", "3 can0 100#33", "4 can0 100#44"},
			},
			want:    []string{"1 can0 100#11", "2 can0 100#22", "3 can0 100#33", "4 can0 100#44"},
			dropped: 2,
		},
		{
			name: "never within a source, and as many as there are",
			drop: true,
			logs: [][]string{
				{"1 can0 100#11", "1 can0 100#11", "2 can0 100#11"},
				{"1 can0 100#11", "1 can0 100#11", "1 can0 100#11"},
			},
			want:    []string{"1 can0 100#11", "1 can0 100#11", "1 can0 100#11", "2 can0 100#11"},
			dropped: 2,
		},
		{
			name: "only if all is equal",
			drop: true,
			logs: [][]string{
				{"1 can0 100#11", "1 can0 00000100#11", "1 can0 100#1111", "1 can0 100#R", "1 can0 100##011"},
				{"1 can1 100#11", "1 can0 101#11", "1 can0 100#12", "1 can0 100#R1", "1 can0 100##111", "1 can0 20000100#11"},
			},
			want: []string{
				"1 can0 100#11", "1 can0 00000100#11", "1 can0 100#1111", "1 can0 100#", "1 can0 100#11",
				"1 can1 100#11", "1 can0 101#11", "1 can0 100#12", "1 can0 100#", "1 can0 100#11", "1 can0 100#11",
			},
		},
		{
			name: "overlap out of order",
			drop: true,
			logs: [][]string{
				{"5 can0 100#11", "3 can0 100#22", "6 can0 100#33"},
				{"5 can0 100#11", "3 can0 100#22", "6 can0 100#33"},
			},
			want:    []string{"5 can0 100#11", "3 can0 100#22", "6 can0 100#33"},
			dropped: 3,
		},
		{name: "nothing"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var sources []can.Source
			for _, log := range test.logs {
				sources = append(sources, textLog(t, log...))
			}
			m := NewMerge(MergeOptions{DropOverlap: test.drop}, sources...)
			got := lines(readAll(t, m)) // checks Stream
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if m.Dropped() != test.dropped {
				t.Errorf("%d dropped, want %d", m.Dropped(), test.dropped)
			}
		})
	}
}

// TestMergeIsMultisetUnion checks DropOverlap against its definition.
func TestMergeIsMultisetUnion(t *testing.T) {
	frame := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%d can%d 10%d#%d%d", rapid.IntRange(1, 5).Draw(t, "time"), rapid.IntRange(0, 1).Draw(t, "bus"),
			rapid.IntRange(0, 1).Draw(t, "id"), rapid.IntRange(0, 1).Draw(t, "hi"), rapid.IntRange(0, 1).Draw(t, "lo"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		var sources []can.Source
		most := make(map[string]int)
		total := 0
		for range rapid.IntRange(1, 4).Draw(rt, "sources") {
			log := rapid.SliceOfN(frame, 1, 30).Draw(rt, "log")
			sort.SliceStable(log, func(i, j int) bool { return log[i][0] < log[j][0] })
			sources = append(sources, textLog(t, log...))
			had := make(map[string]int)
			for _, line := range log {
				had[line]++
				total++
				most[line] = max(most[line], had[line])
			}
		}
		m := NewMerge(MergeOptions{DropOverlap: true}, sources...)
		got := readAll(t, m)
		if !slices.IsSortedFunc(got, func(a, b named) int { return int(a.Time/1e9 - b.Time/1e9) }) {
			rt.Fatal("not in order of time")
		}
		count := make(map[string]int)
		for _, line := range lines(got) {
			count[line]++
		}
		if diff := cmp.Diff(most, count); diff != "" {
			rt.Fatalf("(-want +got):\n%s", diff)
		}
		if len(got)+int(m.Dropped()) != total {
			rt.Fatalf("%d delivered and %d dropped of %d", len(got), m.Dropped(), total)
		}
	})
}

// TestMergeOverlapOfManyEqualTimes has more frames of one time than a SavvyCAN
// log with its whole seconds.
func TestMergeOverlapOfManyEqualTimes(t *testing.T) {
	var log []string
	for i := range 4000 {
		log = append(log, fmt.Sprintf("%d can0 %03X#%04x", 166+i/2000, i%0x700, i))
	}
	m := NewMerge(MergeOptions{DropOverlap: true}, textLog(t, log...), textLog(t, log...), textLog(t, log[2000:]...))
	if got := lines(readAll(t, m)); !slices.Equal(got, log) {
		t.Errorf("%d frames, want %d", len(got), len(log))
	}
	if m.Dropped() != 6000 {
		t.Errorf("%d dropped, want 6000", m.Dropped())
	}
}

type failing struct {
	can.Source
	err error
}

func (f failing) Read(frames []can.Frame) (int, error) {
	n, err := f.Source.Read(frames[:min(1, len(frames))])
	if err == io.EOF {
		err = f.err
	}
	return n, err
}

func TestMergeError(t *testing.T) {
	broken := errors.New("broken")
	m := NewMerge(MergeOptions{},
		failing{textLog(t, "1 can0 100#11", "2 can0 100#11"), broken},
		textLog(t, "1 can0 200#11", "3 can0 200#11"))
	got, err := readChecked(t, m, 10)
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	if want := []string{"1 can0 100#11", "1 can0 200#11", "2 can0 100#11"}; !slices.Equal(lines(got), want) {
		t.Errorf("frames before the error: %q, want %q", lines(got), want)
	}
	if _, err := m.Read(make([]can.Frame, 1)); !errors.Is(err, broken) {
		t.Errorf("error of the next Read: %v", err)
	}
}
