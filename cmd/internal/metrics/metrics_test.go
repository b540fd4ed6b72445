package metrics

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"milepost/cmd/internal/status"
)

func report() status.Report {
	load := 0.25
	return status.Report{
		Command: "run", Version: "v1", Device: `van "17"\`, Boot: "b", Started: time.Unix(1780000000, 5e8), Frames: 12, DroppedFrames: 1, Clock: "unset",
		Buses: []status.Bus{
			{Name: "can0", State: "bus-off", Load: &load, Received: 7, BusOffs: 2},
			{Name: "vcan0", State: "error-active"},
		},
		Sensors: []status.Sensor{{Driver: "gpio", Name: "door", Err: "gone", Readings: 3, Lost: 4}},
		Spool:   status.Spool{Bytes: 1 << 20, Evicted: 9},
		Sinks:   []status.Sink{{Name: "broker", Up: true, Sent: 100}, {Name: "archive"}},
	}
}

// What Prometheus reads: each metric has its head once, before its samples, which
// stand together (text exposition format 0.0.4).
func TestText(t *testing.T) {
	r := report()
	text := string(Text(&r))
	sample := regexp.MustCompile(`^(milepost_[a-z_]+)(\{[a-z]+="([^"\\]|\\.)*"(,[a-z]+="([^"\\]|\\.)*")*\})? (-?[0-9.e+]+)$`)
	current := ""
	seen := map[string]bool{}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# HELP "); ok {
			current, _, _ = strings.Cut(name, " ")
			if seen[current] {
				t.Errorf("%s comes twice", current)
			}
			seen[current] = true
			continue
		}
		if name, ok := strings.CutPrefix(line, "# TYPE "); ok {
			if name, kind, _ := strings.Cut(name, " "); name != current || kind != "gauge" && kind != "counter" {
				t.Errorf("%q follows the help of %s", line, current)
			}
			continue
		}
		if m := sample.FindStringSubmatch(line); m == nil || m[1] != current {
			t.Errorf("%q is no sample of %s", line, current)
		}
	}
	for _, want := range []string{
		`milepost_info{version="v1",device="van \"17\"\\",boot="b"} 1`,
		`milepost_start_time_seconds 1.7800000005e+09`,
		`milepost_frames_total 12`,
		`milepost_clock_state 0`,
		`milepost_bus_state{bus="can0"} 3`, `milepost_bus_state{bus="vcan0"} 0`,
		`milepost_bus_load_ratio{bus="can0"} 0.25`,
		`milepost_bus_off_total{bus="can0"} 2`,
		`milepost_sensor_up{driver="gpio",sensor="door"} 0`,
		`milepost_sensor_lost_events_total{driver="gpio",sensor="door"} 4`,
		`milepost_spool_lost_entries_total{reason="evicted"} 9`,
		`milepost_sink_up{sink="broker"} 1`, `milepost_sink_up{sink="archive"} 0`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, `load_ratio{bus="vcan0"}`) {
		t.Error("a load that is not known is shown")
	}
}

func TestHandler(t *testing.T) {
	server := httptest.NewServer(Handler(report))
	defer server.Close()
	get := func(path string) (string, string) {
		response, err := http.Get(server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.Header.Get("Content-Type"), string(body)
	}
	if kind, text := get("/metrics"); kind != "text/plain; version=0.0.4; charset=utf-8" || !strings.Contains(text, "milepost_frames_total 12") {
		t.Errorf("%s\n%s", kind, text)
	}
	var got status.Report
	if _, text := get("/api/status"); json.Unmarshal([]byte(text), &got) != nil || len(got.Buses) != 2 {
		t.Error(text)
	}
}

func TestServe(t *testing.T) {
	if _, err := Serve("256.0.0.1:0", report); err == nil {
		t.Error("an address that there is not")
	}
	stop, err := Serve("127.0.0.1:0", report)
	if err != nil {
		t.Fatal(err)
	}
	stop()
}
