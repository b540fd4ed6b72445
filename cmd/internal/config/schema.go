package config

import (
	"log/slog"
	"math"
	"time"

	"milepost/uplink"
)

// defaults is what an empty file says. What is left empty here is filled in by
// complete.
func defaults() *Config {
	return &Config{
		Window:       time.Second,
		Lateness:     time.Second,
		ClockStep:    10 * time.Second,
		Match:        MatchAuto,
		NotAvailable: NotAvailableMissing,
		Dedup: Dedup{
			Unchanged: true,
			Overlap:   true,
			Exception: Exception{Enabled: true, Refresh: time.Minute},
		},
		Spool: Spool{
			Dir:         "/var/lib/milepost/spool",
			Sync:        time.Second,
			MaxSize:     1 << 30,
			ChapterSize: 512 << 10,
			Compression: CompressionZstd,
			Memory:      4 << 20,
			Ballast:     256 << 10,
			Quarantine:  16 << 20,
		},
		Power: Power{Ignition: Ignition{Line: newLine(), Hold: 2 * time.Second}, Drain: 10 * time.Second},
		Log:   Log{Level: slog.LevelInfo, Format: LogText},
	}
}

func newBus() Bus {
	return Bus{Restart: time.Second, Filter: true, Coalesce: 10 * time.Millisecond, ReceiveBuffer: 4 << 20}
}

func exampleBus(name, dbc string, bitrate int) Bus {
	b := newBus()
	b.Name, b.DBC, b.Bitrate = name, []string{dbc}, bitrate
	return b
}

func newMirror() Mirror { return Mirror{Within: 10 * time.Millisecond} }

// NewSink is a sink whose keys have their defaults, as Parse begins with.
func NewSink() Sink {
	return Sink{
		Format:     FormatJSONL,
		Encoding:   uplink.JSON,
		MaxPayload: 64 << 10,
		InFlight:   100,
		Order:      OrderOldestFirst,
		Delivery:   DeliveryAtLeastOnce,
		SASL:       SASLPlain,
		Form:       FormGeneric,
		Latest:     Latest{Interval: 10 * time.Second},
		Budget:     Budget{Zone: "UTC"},
		Start:      StartOldest,
		Backoff:    Backoff{Min: 100 * time.Millisecond, Max: 30 * time.Second},
	}
}

// exampleSinks is one sink of each type, for the default file.
func exampleSinks() []Sink {
	broker, stream, file, server := NewSink(), NewSink(), NewSink(), NewSink()
	broker.Name, broker.Type, broker.URL = "broker", SinkMQTT, URL{Scheme: "mqtts", Addresses: []string{"broker.example:8883"}}
	stream.Name, stream.Type, stream.URL = "stream", SinkKafka, URL{Scheme: "kafka", Addresses: []string{"k1.example:9092", "k2.example:9092"}}
	file.Name, file.Type, file.Path = "archive", SinkFile, "/var/lib/milepost/records.jsonl"
	server.Name, server.Type, server.URL = "server", SinkHTTP, URL{Scheme: "https", Addresses: []string{"records.example:443"}, Path: "/v1/records"}
	return []Sink{broker, stream, file, server}
}

const forever = time.Duration(math.MaxInt64)

func (c *Config) fields() []field {
	return []field{
		{key: "device", value: name(&c.Device), absent: "the host name", example: "gateway-1",
			doc: "The name of this device: the first part of every record's key. Give each device its own."},
		{key: "window", value: duration(&c.Window, 10*time.Millisecond, time.Hour),
			doc: "The length of a window: each signal gets one summary a window. An hour must be a whole number of windows."},
		{key: "lateness", value: duration(&c.Lateness, 0, time.Hour),
			doc: "How far behind the newest window a window of a log stays open. What comes later is counted and sent as a correction. The frames of a live bus come in order, and its windows are closed at once."},
		{key: "clock_step", value: duration(&c.ClockStep, time.Millisecond, forever),
			doc: "When time jumps back by more than this, the clock has been set, and what follows is not late. Must be more than lateness."},
		{key: "hold_back", value: duration(&c.HoldBack, 0, 24*time.Hour),
			doc: "How long a gateway that does not know the time yet waits for NTP or GNSS before it sends anything, 0 for not at all. What is sent before has \"clock\": \"unset\", and a wrong time; what is sent later has the right one."},
		{key: "match", value: enum(&c.Match, MatchAuto, MatchExact, MatchJ1939),
			doc: "How a frame finds its message in a database: by its whole arbitration ID (exact), by its J1939 PGN (j1939), or by what each database says about itself (auto)."},
		{key: "not_available", value: enum(&c.NotAvailable, NotAvailableMissing, NotAvailableKeep),
			doc: "What becomes of raw values that stand for \"not available\" or \"error\", as J1939 has them: they are no samples (missing), or values like others (keep)."},
		{key: "dbc", value: texts{&c.DBC, path}, example: "vehicle.dbc",
			doc: "DBC files for all buses."},
		{key: "buses", value: listOf(&c.Buses, newBus,
			exampleBus("can0", "powertrain.dbc", 500_000), exampleBus("can1", "body.dbc", 125_000)),
			doc: "The buses. A gateway reads those that are listed; a log may have others, which have the databases of all buses."},
		{key: "dedup", value: group{&c.Dedup},
			doc: "What is left out because it says nothing new. All of it is counted."},
		{key: "sensors", value: listOf(&c.Sensors, newSensor, exampleSensors()...),
			doc: "What is measured beside the buses. One that is missing or fails is tried again until it works."},
		{key: "priorities", value: listOf(&c.Priorities, newPriorityRule,
			PriorityRule{Signal: "Brake*", Priority: PriorityHigh}, PriorityRule{Bus: "can1", Message: "Seat*", Priority: PriorityLow}),
			doc: "How important signals are: the first item that matches counts, and what none matches is normal. The less important make room for the others in a full spool, and wait in a budget's steps."},
		{key: "spool", value: group{&c.Spool},
			doc: "Where records wait on disk until every sink has them."},
		{key: "sinks", value: listOf(&c.Sinks, NewSink, exampleSinks()...),
			doc: "Where the records go. Each sink gets all of them, at its own pace."},
		{key: "power", value: group{&c.Power},
			doc: "What happens when the vehicle is switched off, or the gateway is stopped."},
		{key: "metrics", value: group{&c.Metrics},
			doc: "Numbers about the program itself."},
		{key: "log", value: group{&c.Log},
			doc: "The program's own log, on standard error."},
	}
}

func (b *Bus) fields() []field {
	return []field{
		{key: "name", value: text(&b.Name), required: true,
			doc: "The bus's name, as its log or the system has it."},
		{key: "dbc", value: texts{&b.DBC, path}, example: "body.dbc",
			doc: "DBC files for this bus, besides those for all buses."},
		{key: "interface", value: text(&b.Interface), absent: "the bus's name", example: "can0",
			doc: "The network interface of a live bus. It may come later, go away and come back."},
		{key: "bitrate", value: integer(&b.Bitrate, 0, 1_000_000), example: "500000",
			doc: "The bit rate in bit/s to set up the interface with, 0 to leave the interface as the system has set it up."},
		{key: "sample_point", value: fraction(&b.SamplePoint, 0, 0.999), example: "0.875",
			doc: "Where in a bit it is sampled, 0 for the driver's choice."},
		{key: "data_bitrate", value: integer(&b.DataBitrate, 0, 20_000_000), example: "2000000",
			doc: "The bit rate of the data of CAN FD frames, 0 for a bus without CAN FD."},
		{key: "data_sample_point", value: fraction(&b.DataSamplePoint, 0, 0.999),
			doc: "The same for the data of CAN FD frames."},
		{key: "transmit", value: boolean(&b.Transmit),
			doc: "Let the controller take part in the bus, where it acknowledges frames and signals errors. Otherwise it only listens, and cannot disturb the vehicle."},
		{key: "restart", value: duration(&b.Restart, 0, time.Hour),
			doc: "How long after a bus-off the controller starts again, 0 for never."},
		{key: "tx_queue", value: integer(&b.TxQueue, 0, 100_000),
			doc: "The length of the interface's transmit queue in frames, 0 to leave it."},
		{key: "filter", value: boolean(&b.Filter),
			doc: "Have the kernel keep back frames that no database knows, so that they never wake the program."},
		{key: "count_foreign", value: boolean(&b.CountForeign),
			doc: "Count the frames that were kept back, by the interface's own counters."},
		{key: "coalesce", value: duration(&b.Coalesce, 0, 100*time.Millisecond),
			doc: "How long frames may gather before they are read, so that a busy bus wakes the program less often. Their times are the kernel's in any case; the first frame after a silence does not wait."},
		{key: "receive_buffer", value: size(&b.ReceiveBuffer, 64<<10, 256<<20),
			doc: "How much the kernel may keep for the program while that is busy. A frame takes about 800 bytes of it."},
	}
}

func (p *Power) fields() []field {
	return []field{
		{key: "ignition", value: group{&p.Ignition},
			doc: "The line that says whether the vehicle is on. While it is off, nothing is collected. Without such a line, the gateway is on."},
		{key: "drain", value: duration(&p.Drain, 0, time.Hour),
			doc: "How long a stop waits for the sinks to get what is stored. What they don't get waits for the next start."},
		{key: "off", value: texts{&p.Off, text}, absent: "wait for the ignition", example: "[systemctl, poweroff]",
			doc: "A command and its arguments, run when the ignition is off and everything is stored."},
	}
}

func (g *Ignition) fields() []field {
	return append(g.Line.fields(),
		field{key: "hold", value: duration(&g.Hold, 0, time.Hour),
			doc: "How long it must be off to count: cranking the engine may cut it."})
}

func (d *Dedup) fields() []field {
	return []field{
		{key: "unchanged", value: boolean(&d.Unchanged),
			doc: "Count a repeated payload instead of decoding it again. The summaries are the same, to the bit."},
		{key: "mirrors", value: listOf(&d.Mirrors, newMirror, Mirror{Buses: []string{"can0", "can1"}, Within: 10 * time.Millisecond}),
			doc: "Groups of buses that carry the same frames: of copies, the first counts."},
		{key: "overlap", value: boolean(&d.Overlap),
			doc: "Drop the frames that several logs share: same bus, arbitration ID, payload and time."},
		{key: "exception", value: group{&d.Exception},
			doc: "Report by exception: leave out a summary that is equal to the last one sent."},
	}
}

func (m *Mirror) fields() []field {
	return []field{
		{key: "buses", value: texts{&m.Buses, text}, required: true,
			doc: "Two or more names of buses."},
		{key: "within", value: duration(&m.Within, 0, time.Minute),
			doc: "How far apart in time the copies of a frame may be."},
	}
}

func (e *Exception) fields() []field {
	return []field{
		{key: "enabled", value: boolean(&e.Enabled),
			doc: "Whether to do so."},
		{key: "refresh", value: duration(&e.Refresh, time.Second, 24*time.Hour),
			doc: "How often a full set is sent all the same, so that a reader who comes late can rebuild every window."},
	}
}

func (s *Spool) fields() []field {
	return []field{
		{key: "dir", value: path(&s.Dir),
			doc: "The folder; it is made if need be."},
		{key: "sync", value: syncInterval(&s.Sync),
			doc: "How long a record may wait until it is safe from a power cut: no time at all (always), or until the system sees fit (never)."},
		{key: "max_size", value: size(&s.MaxSize, 1<<20, 1<<50),
			doc: "The most that the folder may hold. The oldest records of the lowest priority make room for new ones, and are counted. At least four chapters."},
		{key: "thin", value: durations{&s.Thin, time.Second, 24 * time.Hour},
			doc: "The widths, such as [10s, 1m], to which old windows that no sink has been sent are merged before anything is deleted for max_size: first to the first one, then on. None is never."},
		{key: "chapter_size", value: size(&s.ChapterSize, 64<<10, 1<<30),
			doc: "The unit in which the disk is given back. Where much is written at once it is up to four times as much, at most 2 MiB, unless a quota or thinning needs the finer grain."},
		{key: "compression", value: enum(&s.Compression, CompressionZstd, CompressionNone),
			doc: "How records are kept: compressed they take about half as much, and wear the flash half as much. A replay without a configuration does not compress."},
		{key: "memory", value: size(&s.Memory, 64<<10, 1<<30),
			doc: "How much may wait in memory while the disk is full, read-only or broken. What comes beyond that is dropped and counted."},
		{key: "ballast", value: size(&s.Ballast, 0, 1<<30),
			doc: "The size of a file that is deleted when a full disk refuses to note what was delivered, and made again when there is room; 0B is none. File systems that write in place, as ext4 does, hardly need it."},
		{key: "quarantine_size", value: size(&s.Quarantine, 64<<10, 1<<40),
			doc: "How much is kept of what was found damaged, for whoever wants to look at it. The oldest of it is deleted first."},
	}
}

func (m *Metrics) fields() []field {
	return []field{
		{key: "listen", value: listenAddress(&m.Listen), absent: "off", example: "127.0.0.1:9464",
			doc: "The address to serve them at over HTTP: /metrics for Prometheus, /api/status as JSON."},
	}
}

func (l *Log) fields() []field {
	return []field{
		{key: "level", value: enum(&l.Level, slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError),
			doc: "The least severe messages to log."},
		{key: "format", value: enum(&l.Format, LogText, LogJSON),
			doc: "key=value pairs, or JSON objects; one line each."},
	}
}
