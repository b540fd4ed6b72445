// Package metrics shows the state of a gateway to Prometheus, in its text
// exposition format 0.0.4, and as JSON.
package metrics

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"milepost/cmd/internal/status"
)

// Serve answers at a TCP address: /metrics for Prometheus, /api/status as JSON,
// until stop is called.
func Serve(address string, report func() status.Report) (stop func(), err error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	server := &http.Server{Handler: Handler(report), ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	return func() {
		server.Close()
		<-done
	}, nil
}

// Handler answers what Serve serves.
func Handler(report func() status.Report) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(report())
	})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		r := report()
		w.Write(Text(&r))
	})
	return mux
}

// page is an exposition under way.
type page struct{ bytes.Buffer }

// metric writes the head of a metric, whose samples follow.
func (p *page) metric(name, kind, help string) {
	fmt.Fprintf(p, "# HELP milepost_%s %s\n# TYPE milepost_%s %s\n", name, help, name, kind)
}

// sample writes a sample; labels are names and values in turn.
func (p *page) sample(name string, value float64, labels ...string) {
	p.WriteString("milepost_" + name)
	for i := 0; i < len(labels); i += 2 {
		separator := ","
		if i == 0 {
			separator = "{"
		}
		fmt.Fprintf(p, "%s%s=\"%s\"", separator, labels[i], escape.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		p.WriteByte('}')
	}
	p.WriteByte(' ')
	p.Write(strconv.AppendFloat(nil, value, 'g', -1, 64))
	p.WriteByte('\n')
}

// escape makes a text into the value of a label.
var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (p *page) one(name, kind, help string, value float64) {
	p.metric(name, kind, help)
	p.sample(name, value)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// seconds is a time as Prometheus has them; 0 for none.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixNano()) / 1e9
}

// Text is the exposition of a report.
func Text(r *status.Report) []byte {
	p := new(page)
	p.metric("info", "gauge", "What runs, and where.")
	p.sample("info", 1, "version", r.Version, "device", r.Device, "boot", r.Boot)
	p.one("start_time_seconds", "gauge", "When the program started, Unix time.", seconds(r.Started))
	p.one("event_time_seconds", "gauge", "Start of the newest window, Unix time.", seconds(r.EventTime))
	p.one("frames_total", "counter", "Frames that were received.", float64(r.Frames))
	p.one("dropped_frames_total", "counter", "Frames for whose windows there was no room.", float64(r.DroppedFrames))
	p.one("late_frames_total", "counter", "Frames that came after their window was closed and are in corrections.", float64(r.LateFrames))
	if r.Clock != "" {
		p.one("clock_state", "gauge", "How good the clock is: 0 unset, 1 set, 2 synchronized, -1 not known.", float64(slices.Index([]string{"unset", "set", "synchronized"}, r.Clock)))
	}
	p.one("stuck", "gauge", "1 if a part of the program makes no progress.", truth(r.Stuck != ""))
	p.buses(r.Buses)
	p.sensors(r.Sensors)
	p.spool(r)
	p.sinks(r.Sinks)
	return p.Bytes()
}

func (p *page) buses(buses []status.Bus) {
	if len(buses) == 0 {
		return
	}
	for _, m := range []struct {
		name, kind, help string
		value            func(*status.Bus) (float64, bool)
	}{
		{"bus_state", "gauge", "State of the bus: 0 error-active, 1 warning, 2 passive, 3 bus-off, 4 stopped, 5 down, 6 absent.", func(b *status.Bus) (float64, bool) { return float64(b.StateNumber()), true }},
		{"bus_load_ratio", "gauge", "Share of the last second in which the bus was busy.", func(b *status.Bus) (float64, bool) {
			if b.Load == nil {
				return 0, false
			}
			return *b.Load, true
		}},
		{"bus_tx_errors", "gauge", "The controller's transmit error counter.", number(func(b *status.Bus) uint64 { return uint64(b.TxErrors) })},
		{"bus_rx_errors", "gauge", "The controller's receive error counter.", number(func(b *status.Bus) uint64 { return uint64(b.RxErrors) })},
		{"bus_received_frames_total", "counter", "Frames that reached the program.", number(func(b *status.Bus) uint64 { return b.Received })},
		{"bus_dropped_frames_total", "counter", "Frames for which the kernel had no room.", number(func(b *status.Bus) uint64 { return b.Dropped })},
		{"bus_foreign_frames_total", "counter", "Frames that no database knows, kept back by the kernel.", number(func(b *status.Bus) uint64 { return b.Foreign })},
		{"bus_error_frames_total", "counter", "Error frames.", number(func(b *status.Bus) uint64 { return b.ErrorFrames })},
		{"bus_off_total", "counter", "Times that the controller went bus-off.", number(func(b *status.Bus) uint64 { return b.BusOffs })},
		{"bus_restarts_total", "counter", "Times that the controller was started again.", number(func(b *status.Bus) uint64 { return b.Restarts })},
	} {
		p.metric(m.name, m.kind, m.help)
		for i := range buses {
			if v, ok := m.value(&buses[i]); ok {
				p.sample(m.name, v, "bus", buses[i].Name)
			}
		}
	}
}

func number[T any](of func(*T) uint64) func(*T) (float64, bool) {
	return func(v *T) (float64, bool) { return float64(of(v)), true }
}

func (p *page) sensors(sensors []status.Sensor) {
	if len(sensors) == 0 {
		return
	}
	for _, m := range []struct {
		name, kind, help string
		value            func(*status.Sensor) float64
	}{
		{"sensor_up", "gauge", "1 if the sensor works.", func(s *status.Sensor) float64 { return truth(s.Err == "") }},
		{"sensor_readings_total", "counter", "Readings of the sensor.", func(s *status.Sensor) float64 { return float64(s.Readings) }},
		{"sensor_failures_total", "counter", "Tries that gave no reading.", func(s *status.Sensor) float64 { return float64(s.Failures) }},
		{"sensor_lost_events_total", "counter", "Events that the kernel dropped.", func(s *status.Sensor) float64 { return float64(s.Lost) }},
	} {
		p.metric(m.name, m.kind, m.help)
		for i := range sensors {
			p.sample(m.name, m.value(&sensors[i]), "driver", sensors[i].Driver, "sensor", sensors[i].Name)
		}
	}
}

func (p *page) spool(r *status.Report) {
	s := &r.Spool
	p.one("spool_entries", "gauge", "Entries in the spool.", float64(s.Entries))
	p.one("spool_bytes", "gauge", "What the spool takes on the disk.", float64(s.Bytes))
	p.one("spool_storing", "gauge", "1 if entries go to the disk, 0 if it takes none.", truth(s.Cause == "" && r.Fallback == ""))
	p.one("spool_written_bytes_total", "counter", "What was written to the disk.", float64(s.WrittenBytes))
	p.metric("spool_lost_entries_total", "counter", "Entries that were lost, by reason; those evicted since the spool was made.")
	p.sample("spool_lost_entries_total", float64(s.Evicted), "reason", "evicted")
	p.sample("spool_lost_entries_total", float64(s.Dropped), "reason", "dropped")
	p.sample("spool_lost_entries_total", float64(s.Missing), "reason", "missing")
}

func (p *page) sinks(sinks []status.Sink) {
	if len(sinks) == 0 {
		return
	}
	for _, m := range []struct {
		name, kind, help string
		value            func(*status.Sink) float64
	}{
		{"sink_up", "gauge", "1 if the last try succeeded.", func(s *status.Sink) float64 { return truth(s.Up) }},
		{"sink_sent_records_total", "counter", "Records that were delivered.", func(s *status.Sink) float64 { return float64(s.Sent) }},
		{"sink_waiting_entries", "gauge", "Entries of the spool that wait for the sink.", func(s *status.Sink) float64 { return float64(s.Waiting) }},
		{"sink_failures_total", "counter", "Tries that failed.", func(s *status.Sink) float64 { return float64(s.Failures) }},
		{"sink_poisoned_records_total", "counter", "Records that the receiver will never take.", func(s *status.Sink) float64 { return float64(s.Poisoned) }},
		{"sink_traffic_bytes_total", "counter", "Bytes over the wire, both ways.", func(s *status.Sink) float64 { return float64(s.Traffic) }},
		{"sink_delivered_time_seconds", "gauge", "End of the newest delivered window, Unix time.", func(s *status.Sink) float64 { return seconds(s.Delivered) }},
	} {
		p.metric(m.name, m.kind, m.help)
		for i := range sinks {
			p.sample(m.name, m.value(&sinks[i]), "sink", sinks[i].Name)
		}
	}
}
