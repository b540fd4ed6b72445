package rules

import (
	"bufio"
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"milepost/aggregate/histogram"
	"milepost/uplink"
)

// demoDir is where a demo that was run for these tests has left its files.
var demoDir = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "milepost-rules-")
	if err != nil {
		return "", err
	}
	out, err := exec.Command("go", "run", "milepost/cmd/milepost-lab", "demo", "--keep", filepath.Join(dir, "demo")).CombinedOutput()
	if err != nil {
		return dir, fmt.Errorf("%w\n%s", err, out)
	}
	return dir, nil
})

func TestMain(m *testing.M) {
	ran := false
	inner := demoDir
	demoDir = func() (string, error) { ran = true; return inner() }
	code := m.Run()
	if ran {
		if dir, _ := inner(); dir != "" {
			os.RemoveAll(dir)
		}
	}
	os.Exit(code)
}

const figure = "docs/drive.svg"

// TestFigure: the README's picture is drawn from what the demo's broker got, and
// is what the demo gives today.
func TestFigure(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo takes some seconds")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to run the demo with")
	}
	dir, err := demoDir()
	if err != nil {
		t.Fatal(err)
	}
	panels := []*panel{
		{signal: "VehicleSpeed", title: "VehicleSpeed, km/h", step: 50},
		{signal: "DamperCurrentFL", title: "DamperCurrentFL, mA", step: 500},
	}
	gatherPanels(t, filepath.Join(dir, "demo", "delivered.jsonl"), panels)
	got := draw(panels)
	path := filepath.Join(root(t), figure)
	if *update {
		if err := os.WriteFile(path, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the demo gives today; look at it after `go test ./cmd/internal/rules -run TestFigure -update`", figure)
	}
}

// panel is the picture of one signal.
type panel struct {
	signal, title string
	step          float64 // between the lines of the scale
	seconds       []second
	whole         histogram.Histogram // of all windows
	top           float64
}

// second is one record.
type second struct {
	start         time.Time
	min, avg, max float64
}

// gatherPanels takes each record once, by its key.
func gatherPanels(t *testing.T, path string, panels []*panel) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	seen := make(map[uint64]bool)
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		for _, p := range panels {
			if !bytes.Contains(lines.Bytes(), []byte(`"signal":"`+p.signal+`"`)) {
				continue
			}
			r, err := uplink.DecodeJSON(lines.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if seen[r.Sequence] {
				continue
			}
			seen[r.Sequence] = true
			v := r.Value()
			p.seconds = append(p.seconds, second{time.Unix(0, r.Start).UTC(), v.Min, v.Avg(r.Summary.Count), v.Max})
			if p.whole.Count() == 0 {
				p.whole = histogram.New()
			}
			p.whole.Merge(&r.Summary.Histogram)
			p.top = max(p.top, v.Max)
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// Measures of the picture, in pixels.
const (
	pictureWidth = 860
	panelHeight  = 150
	plotLeft     = 52
	plotWidth    = 620
	barsLeft     = plotLeft + plotWidth + 18
	barsWidth    = pictureWidth - barsLeft - 12
)

func draw(panels []*panel) []byte {
	var b bytes.Buffer
	height := 30 + len(panels)*(panelHeight+34) + 6
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12" fill="#333">`+"\n", pictureWidth, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", pictureWidth, height)
	seconds := panels[0].seconds
	from, to := seconds[0].start, seconds[len(seconds)-1].start.Add(time.Second)
	x := func(t time.Time) float64 {
		return plotLeft + plotWidth*float64(t.Sub(from))/float64(to.Sub(from))
	}
	third := to.Sub(from) / 3
	cut, back := x(from.Add(third)), x(from.Add(2*third))
	fmt.Fprintf(&b, `<rect x="%.1f" y="26" width="%.1f" height="%d" fill="#f3e3d3"/>`+"\n", cut, back-cut, len(panels)*(panelHeight+34)-14)
	fmt.Fprintf(&b, `<text x="%.1f" y="20" text-anchor="middle">the link to the broker is cut</text>`+"\n", (cut+back)/2)
	fmt.Fprintf(&b, `<text x="%d" y="20">the whole drive</text>`+"\n", barsLeft)
	for i, p := range panels {
		p.draw(&b, float64(48+i*(panelHeight+34)), x)
	}
	for minute := from; !minute.After(to); minute = minute.Add(5 * time.Minute) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#777">%s</text>`+"\n", x(minute), height-8, minute.Format("15:04"))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// draw draws one panel: the band between minimum and maximum, the average, and
// the merged histogram beside it on the same scale.
func (p *panel) draw(b *bytes.Buffer, top float64, x func(time.Time) float64) {
	highest := p.ceiling()
	y := func(value float64) float64 { return top + panelHeight*(1-value/highest) }
	fmt.Fprintf(b, `<text x="%d" y="%.1f" font-weight="bold">%s</text>`+"\n", plotLeft, top-6, p.title)
	for value := 0.0; value <= highest; value += p.step {
		fmt.Fprintf(b, `<path d="M%d %.1fH%d" stroke="#ccc"/><text x="%d" y="%.1f" text-anchor="end" fill="#777">%.0f</text>`+"\n",
			plotLeft, y(value), pictureWidth-12, plotLeft-6, y(value)+4, value)
	}
	var band, back, line strings.Builder
	for i, s := range p.seconds {
		fmt.Fprintf(&band, "%.1f,%.1f ", x(s.start), y(s.max))
		fmt.Fprintf(&line, "%.1f,%.1f ", x(s.start), y(s.avg))
		last := p.seconds[len(p.seconds)-1-i]
		fmt.Fprintf(&back, "%.1f,%.1f ", x(last.start), y(last.min))
	}
	fmt.Fprintf(b, `<polygon points="%s%s" fill="#e8743b" fill-opacity=".35" stroke="#e8743b" stroke-opacity=".5"/>`+"\n", band.String(), back.String())
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="#19547b" stroke-width="1.2"/>`+"\n", line.String())
	p.bars(b, y)
}

// ceiling is the upper end of the scale.
func (p *panel) ceiling() float64 { return math.Ceil(p.top/p.step) * p.step }

// bars draws the density of the non-zero values.
func (p *panel) bars(b *bytes.Buffer, y func(float64) float64) {
	buckets := p.whole.Positive
	density := func(i int) (low, high, count float64) {
		bucket := buckets.Offset + int32(i)
		low, high = histogram.LowerBound(int(p.whole.Scale), bucket), histogram.UpperBound(int(p.whole.Scale), bucket)
		return low, high, float64(buckets.Counts[i]) / (high - low)
	}
	most := 0.0
	for i := range buckets.Counts {
		if low, _, d := density(i); low > p.top/100 { // the narrow buckets near zero say nothing
			most = max(most, d)
		}
	}
	for i := range buckets.Counts {
		low, high, d := density(i)
		if width := barsWidth * d / most; low > p.top/100 && width >= .1 {
			fmt.Fprintf(b, `<rect x="%d" y="%.1f" width="%.1f" height="%.1f" fill="#19547b" fill-opacity=".7"/>`+"\n",
				barsLeft, y(high), width, y(low)-y(high))
		}
	}
	fmt.Fprintf(b, `<text x="%d" y="%.1f" text-anchor="end" fill="#777" font-size="11">median about %.0f</text>`+"\n",
		pictureWidth-12, y(p.ceiling())-6, p.whole.Quantile(.5))
}
