// Package status lets a running replay or gateway be asked how it is: JSON over
// HTTP, at a socket in its spool's folder.
package status

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Report is the state of a run. Its JSON form is what /api/status answers.
type Report struct {
	// Command is what runs: replay or run.
	Command string    `json:"command"`
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Started time.Time `json:"started"`
	Device  string    `json:"device"`
	Boot    string    `json:"boot"`

	// Logs are the logs of a replay, of which DoneBytes of TotalBytes are read
	// (0: not known); Frames were read and EventTime was reached (none: no window
	// is complete yet).
	Logs       []string  `json:"logs,omitempty"`
	DoneBytes  int64     `json:"done_bytes"`
	TotalBytes int64     `json:"total_bytes,omitempty"`
	Frames     uint64    `json:"frames"`
	EventTime  time.Time `json:"event_time,omitzero"`

	// Buses and Sensors are those of a live gateway. DroppedFrames are those for
	// whose windows there was no room, LateFrames are in corrections.
	Buses         []Bus    `json:"buses,omitempty"`
	Sensors       []Sensor `json:"sensors,omitempty"`
	DroppedFrames uint64   `json:"dropped_frames,omitempty"`
	LateFrames    uint64   `json:"late_frames,omitempty"`
	// Clock is how good the clock is: synchronized, set, unset or unknown.
	Clock string `json:"clock,omitempty"`
	// Fallback is why the records are not kept where they should be, but in memory.
	Fallback string `json:"fallback,omitempty"`
	// Stuck is what makes no progress, if anything: then the watchdog is not fed.
	Stuck string `json:"stuck,omitempty"`

	Spool Spool  `json:"spool"`
	Sinks []Sink `json:"sinks"`
}

// Bus is the state of a live bus.
type Bus struct {
	Name      string `json:"name"`
	Interface string `json:"interface,omitempty"`
	// State is absent, down, error-active, error-warning, error-passive, bus-off or
	// stopped; Err is why, where that is known, since Since.
	State string    `json:"state"`
	Err   string    `json:"error,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// TxErrors and RxErrors are the controller's error counters.
	TxErrors uint16 `json:"tx_errors"`
	RxErrors uint16 `json:"rx_errors"`
	// Load is the share of the time in the last second in which the bus was busy,
	// 0 to 1; nil where the bit rate is not known.
	Load *float64 `json:"load,omitempty"`
	// Received frames reached the gateway; Dropped ones the kernel had no room for;
	// Foreign ones no database knows, and they were filtered out by the kernel.
	Received uint64 `json:"received"`
	Dropped  uint64 `json:"dropped"`
	Foreign  uint64 `json:"foreign,omitempty"`
	// What happened on the bus since the gateway started.
	ErrorFrames     uint64 `json:"error_frames,omitempty"`
	Warnings        uint64 `json:"warnings,omitempty"`
	Passives        uint64 `json:"passives,omitempty"`
	BusOffs         uint64 `json:"bus_offs,omitempty"`
	Restarts        uint64 `json:"restarts,omitempty"`
	ArbitrationLost uint64 `json:"arbitration_lost,omitempty"`
}

// busStates are the values of Bus.State, in the order of their numbers.
var busStates = [...]string{"error-active", "error-warning", "error-passive", "bus-off", "stopped", "down", "absent"}

// StateNumber is the state as a number, as it travels in records: from 0, which is
// well, to 6, the interface is absent.
func (b *Bus) StateNumber() int {
	for n, s := range busStates {
		if s == b.State {
			return n
		}
	}
	return len(busStates) - 1
}

// Sensor is the state of a sensor.
type Sensor struct {
	Driver string `json:"driver"`
	Name   string `json:"name"`
	// Err is why it does not work; it became so, or ceased to be, at Since.
	Err      string    `json:"error,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Readings uint64    `json:"readings"`
	Failures uint64    `json:"failures,omitempty"`
	Lost     uint64    `json:"lost,omitempty"`
}

// Spool is the state of the spool.
type Spool struct {
	Dir      string `json:"dir"`
	Entries  uint64 `json:"entries"`
	Bytes    int64  `json:"bytes"`
	Next     uint64 `json:"next"`
	Durable  uint64 `json:"durable"`
	Chapters int    `json:"chapters"`
	// State is storing, in memory or dropping; the last two have a cause and
	// began at Since.
	State string    `json:"state"`
	Cause string    `json:"cause,omitempty"`
	Since time.Time `json:"since,omitzero"`
	// WrittenBytes went to the disk in this run, WrittenPerHour of them in an hour
	// on average; Amplification is what that is of the records' own bytes.
	WrittenBytes   uint64  `json:"written_bytes"`
	WrittenPerHour float64 `json:"written_bytes_per_hour"`
	Amplification  float64 `json:"write_amplification"`
	// Thinned entries were merged into others, of longer windows, to make room,
	// since the spool was made; with the range of times.
	Thinned      uint64    `json:"thinned"`
	ThinnedFrom  time.Time `json:"thinned_from,omitzero"`
	ThinnedUntil time.Time `json:"thinned_until,omitzero"`
	// Evicted entries were deleted for the quota before every sink had them, since
	// the spool was made; Dropped ones were not taken in this run. Each with the
	// range of times.
	Evicted      uint64    `json:"evicted"`
	EvictedFrom  time.Time `json:"evicted_from,omitzero"`
	EvictedUntil time.Time `json:"evicted_until,omitzero"`
	Dropped      uint64    `json:"dropped"`
	DroppedFrom  time.Time `json:"dropped_from,omitzero"`
	DroppedUntil time.Time `json:"dropped_until,omitzero"`
	Missing      uint64    `json:"missing"`
}

// Sink is the state of the delivery to a sink.
type Sink struct {
	Name string `json:"name"`
	Up   bool   `json:"up"`
	// Since is when Up changed last, NextTry when a sink that is down is tried
	// again.
	Since   time.Time `json:"since,omitzero"`
	NextTry time.Time `json:"next_try,omitzero"`
	// Traffic is the bytes that went over the wire in this run, both ways.
	Traffic uint64 `json:"traffic_bytes"`
	// Sent records were delivered; Waiting entries are in the spool for it.
	Sent      uint64 `json:"sent"`
	Waiting   uint64 `json:"waiting_entries"`
	Failures  uint64 `json:"failures"`
	Poisoned  uint64 `json:"poisoned"`
	LastError string `json:"last_error,omitempty"`
	// Delivered is the end of the newest window that was delivered in this run.
	Delivered time.Time `json:"delivered,omitzero"`
	// Budget is there where one is configured.
	Budget *Budget `json:"budget,omitempty"`
}

// Budget is how far a sink's budget is used up, in bytes. A limit of 0 is none.
type Budget struct {
	DayUsed    uint64    `json:"day_used"`
	DayLimit   uint64    `json:"day_limit,omitempty"`
	DayReset   time.Time `json:"day_reset,omitzero"`
	MonthUsed  uint64    `json:"month_used"`
	MonthLimit uint64    `json:"month_limit,omitempty"`
	MonthReset time.Time `json:"month_reset,omitzero"`
	// Restricted says that less important records have to wait, Exhausted that all
	// have.
	Restricted bool   `json:"restricted,omitempty"`
	Exhausted  bool   `json:"exhausted,omitempty"`
	Error      string `json:"error,omitempty"`
}

const socketName = "status.sock"

// Serve answers at the socket in dir with what report says, until stop is
// called. A socket that an earlier run left behind is replaced.
func Serve(dir string, report func() Report) (stop func(), err error) {
	path := filepath.Join(dir, socketName)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("status socket: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(report())
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(listener)
	}()
	return func() {
		server.Close()
		<-done
		os.Remove(path)
	}, nil
}

// Ask fetches the report of what runs with its spool in dir.
func Ask(ctx context.Context, dir string) (r Report, err error) {
	path := filepath.Join(dir, socketName)
	if _, err := os.Stat(path); err != nil {
		return r, fmt.Errorf("nothing runs with the spool %s (there is no %s)", dir, socketName)
	}
	client := &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", path)
		}},
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://milepost/api/status", nil)
	if err != nil {
		return r, err
	}
	response, err := client.Do(request)
	if err != nil {
		return r, fmt.Errorf("what ran with the spool %s has ended, or hangs: %w", dir, errors.Unwrap(err))
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return r, fmt.Errorf("status: %s", response.Status)
	}
	return r, json.NewDecoder(response.Body).Decode(&r)
}

// Running finds the folders of the replays that run without a folder of their
// own.
func Running() []string {
	sockets, _ := filepath.Glob(filepath.Join(os.TempDir(), "milepost-*", socketName))
	var dirs []string
	for _, socket := range sockets {
		dirs = append(dirs, filepath.Dir(socket))
	}
	return dirs
}
