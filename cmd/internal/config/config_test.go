package config

import (
	"cmp"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"milepost/uplink"
	"milepost/uplink/spool"
)

// environment has the variables of the map only.
func environment(variables map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

func TestParse(t *testing.T) {
	got, err := Parse("conf/m.yaml", []byte(`
device: ${NAME}
window: 500ms
lateness: 0
match: j1939
dbc:
- a.dbc
- /abs/b.dbc
buses:
- {name: can0, dbc: [c.dbc]}
- {name: can1, interface: slcan0, bitrate: 125000, sample_point: 0.8, transmit: true}
dedup:
  unchanged: false
  mirrors:
  - {buses: [can0, can1], within: 2ms}
  exception: {enabled: false}
priorities:
- {bus: can0, message: "Brake*", priority: high}
- {signal: "[A-F]?or"}
spool:
  sync: always
  max_size: 64 MiB
sinks:
- name: cloud
  type: mqtt
  url: mqtts://broker.example
  encoding: protobuf
  username: "7"
  password: ${SECRET}
  tls: {ca: ca.pem}
  in_flight: ${WINDOW}
  start: newest
  give_up: 24h
- name: lake
  type: kafka
  url: kafka://k1,k2:9093
  tls:
- name: screen
  type: file
  path: "-"
  format: csv
metrics: {listen: ":9464"}
log: {level: warn, format: json}
`), environment(map[string]string{"NAME": "truck-7", "SECRET": "${WINDOW}", "WINDOW": "10"}))
	if err != nil {
		t.Fatal(err)
	}
	want := Default()
	want.Device, want.Window, want.Lateness, want.Match = "truck-7", 500*time.Millisecond, 0, MatchJ1939
	want.DBC = []string{"conf/a.dbc", "/abs/b.dbc"}
	can0, can1 := newBus(), newBus()
	can0.Name, can0.Interface, can0.DBC = "can0", "can0", []string{"conf/c.dbc"}
	can1.Name, can1.Interface, can1.Bitrate, can1.SamplePoint, can1.Transmit = "can1", "slcan0", 125_000, 0.8, true
	want.Buses = []Bus{can0, can1}
	want.Dedup.Unchanged, want.Dedup.Exception.Enabled = false, false
	want.Dedup.Mirrors = []Mirror{{[]string{"can0", "can1"}, 2 * time.Millisecond}}
	want.Priorities = []PriorityRule{{Bus: "can0", Message: "Brake*", Priority: PriorityHigh}, {Signal: "[A-F]?or", Priority: PriorityNormal}}
	want.Spool.Sync, want.Spool.MaxSize = spool.SyncAlways, 64<<20
	mqtt, kafka, file := NewSink(), NewSink(), NewSink()
	mqtt.Name, mqtt.Type, mqtt.URL = "cloud", SinkMQTT, URL{Scheme: "mqtts", Addresses: []string{"broker.example:8883"}}
	mqtt.Encoding, mqtt.Username, mqtt.Password = uplink.Protobuf, "7", NewSecret("${WINDOW}")
	mqtt.TLS, mqtt.InFlight, mqtt.Start, mqtt.GiveUp = &TLS{CA: "conf/ca.pem"}, 10, StartNewest, 24*time.Hour
	mqtt.Topic, mqtt.ClientID, mqtt.TransactionalID = "milepost/{device}/records", "milepost-truck-7-cloud", "milepost-truck-7-cloud"
	kafka.Name, kafka.Type, kafka.URL, kafka.TLS = "lake", SinkKafka, URL{Scheme: "kafka", Addresses: []string{"k1:9092", "k2:9093"}}, &TLS{}
	kafka.Topic, kafka.ClientID, kafka.TransactionalID = "milepost", "milepost-truck-7-lake", "milepost-truck-7-lake"
	file.Name, file.Type, file.Path, file.Format = "screen", SinkFile, "-", FormatCSV
	want.Sinks = []Sink{mqtt, kafka, file}
	want.Metrics.Listen, want.Log = ":9464", Log{Level: 4, Format: LogJSON}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseNothing(t *testing.T) {
	for _, file := range []string{"", "# nothing\n", "---\n", "~\n", "dedup:\npriorities:\nspool:\nsinks:\n"} {
		got, err := Parse("m.yaml", []byte(file), environment(nil))
		if err != nil {
			t.Errorf("%q: %v", file, err)
		} else if diff := gocmp.Diff(Default(), got); diff != "" {
			t.Errorf("%q: -want +got:\n%s", file, diff)
		}
	}
}

func TestParseErrors(t *testing.T) {
	const (
		mqttSink  = "sinks:\n- name: a\n  type: mqtt\n  url: mqtt://h\n"
		kafkaSink = "sinks:\n- name: a\n  type: kafka\n  url: kafka://h\n"
		httpSink  = "sinks:\n- name: a\n  type: http\n  url: http://h\n"
	)
	for _, c := range []struct{ file, want string }{
		// Keys.
		{"devise: a", `1:1: unknown key "devise"; did you mean "device"?`},
		{"Clock-Step: 1s", `1:1: unknown key "Clock-Step"; did you mean "clock_step"?`},
		{"max_size: 1GiB", `1:1: unknown key "max_size"; it belongs to spool`},
		{"insecure_skip_verify: true", `1:1: unknown key "insecure_skip_verify"; it belongs to sinks.tls or sinks.registry.tls`},
		{"log:\n  colour: true", `2:3: unknown key "colour"; use level or format`},
		{"device: a\ndevice: b", `2:1: device is there twice; the first is in line 1`},
		{"? [a]\n: b", `1:3: want a key, not a list`},
		{"<<: {device: a}", `1:1: merge keys are not supported: write the values out`},
		{"- device", `1:1: the configuration: want a section of keys and values, not a list`},
		{"log: info", `1:6: log: want a section of keys and values, not a text`},
		// Types.
		{"device: 7", `1:9: device: want a name of at most 64 letters, digits, '.', '_' and '-', not a number; in quotes it is a text`},
		{"device:", `1:8: device: want a name of at most 64 letters, digits, '.', '_' and '-', not nothing`},
		{"device: a/b", `1:9: device: want a name of at most 64 letters, digits, '.', '_' and '-', not "a/b"`},
		{"dbc: a.dbc", `1:6: dbc: want a list, each item a path, not a text`},
		{"dbc: [a.dbc, 1]", `1:14: dbc: want a path, not a number; in quotes it is a text`},
		{"dbc: [&a a.dbc, *a]", `1:17: dbc: want a path, not an alias: write the value out`},
		{"log: {level: !x info}", `1:14: level: want debug, info, warn or error, not a value with a tag of its own`},
		{"dedup: {overlap: \"true\"}", `1:18: overlap: want true or false, not a text`},
		{"dedup: {overlap: no}", `1:18: overlap: want true or false, not a text`},
		{mqttSink + "  in_flight: 0", `5:14: in_flight: want a whole number from 1 to 65535, not "0"`},
		{mqttSink + "  in_flight: 1.5", `5:14: in_flight: want a whole number from 1 to 65535, not a number`},
		// Durations, sizes, choices.
		{"window: 1", `1:9: window: want a duration from 10ms to 1h, such as 500ms or 1m30s, not "1"`},
		{"window: 1 s", `1:9: window: want a duration from 10ms to 1h, such as 500ms or 1m30s, not "1 s"`},
		{"window: 5ms", `1:9: window: want a duration from 10ms to 1h, such as 500ms or 1m30s, not "5ms"`},
		{"window: 7s", `1:9: window: an hour is not a whole number of windows of 7s; try 6.25s`},
		{"lateness: -1s", `1:11: lateness: want a duration from 0s to 1h, such as 500ms or 1m30s, not "-1s"`},
		{"lateness: 10s", `1:11: clock_step (10s) must be more than lateness (10s): a smaller jump back is only late`},
		{"clock_step: 500ms", `1:13: clock_step (500ms) must be more than lateness (1s): a smaller jump back is only late`},
		{"spool: {max_size: 1024}", `1:19: max_size: want a size from 1MiB to 1048576GiB, such as 64KiB or 10MB, not "1024"`},
		{"spool: {max_size: 1MiB}", `1:19: max_size (1MiB) is less than four times chapter_size (512KiB)`},
		{"spool: {sync: often}", `1:15: sync: want always, never or a duration from 1ms to 1h, not "often"`},
		{"match: exakt", `1:8: match: want auto, exact or j1939, not "exakt"`},
		{"metrics: {listen: 9464}", `1:19: listen: want host:port, such as 127.0.0.1:9464, or "", not a number; in quotes it is a text`},
		{"metrics: {listen: localhost}", `1:19: listen: want host:port, such as 127.0.0.1:9464, or "", not "localhost"`},
		// References to the environment.
		{"device: ${HOST}", `1:9: device: the environment variable HOST is not set`},
		{"device: ${HOST", `1:9: device: ${ begins the name of an environment variable, as in ${NAME}; write $${ for the characters themselves`},
		{"device: ${SET}", `1:9: device: want a name of at most 64 letters, digits, '.', '_' and '-', not "${SET}"`},
		// Buses and mirrors.
		{"buses:\n- dbc: [a.dbc]", `2:3: name is missing here: a text`},
		{"buses: [{name: a}, {name: a}]", `1:27: there is a bus "a" already, in line 1`},
		{"buses: [{name: can0}, {name: can1}]\ndedup: {mirrors: [{buses: [can0, cam1]}]}", `2:34: unknown bus "cam1"; did you mean "can1"?`},
		{"dedup: {mirrors: [{buses: [x]}]}", "1:27: buses: a mirror is of 2 to 32 buses, not of 1\nm.yaml:1:28: unknown bus \"x\"; list it under buses"},
		{"buses: [{name: a}]\ndedup: {mirrors: [{buses: [a, a]}]}", `2:31: the bus "a" is in a mirror already`},
		// Priorities.
		{"priorities: [{priority: high}]", `1:14: this matches every signal: give a bus, a message or a signal`},
		{"priorities:\n- signal: \"Brake[\"\n  priority: urgent", "2:11: signal: want a name or a pattern such as Brake*, not \"Brake[\"\nm.yaml:3:13: priority: want low, normal or high, not \"urgent\""},
		{"priorities:\n- {bus: \"\", signal: \"a\\n*\"}", "2:9: bus: want a name or a pattern such as Brake*, not \"\"\nm.yaml:2:21: signal: want a name or a pattern such as Brake*, not \"a\\n*\""},
		{"priorities:\n- {name: can0}", "2:3: this matches every signal: give a bus, a message or a signal\nm.yaml:2:4: unknown key \"name\"; it belongs to buses, sensors, sensors.inputs or sinks"},
		// Sinks.
		{"sinks:\n- name: a", `2:3: type is missing here: file, mqtt, kafka or http`},
		{"sinks:\n- name: a\n  type: amqp", `3:9: type: want file, mqtt, kafka or http, not "amqp"`},
		{"sinks:\n- name: a\n  type: file", `2:3: path is missing here: a sink of type file needs it`},
		{"sinks:\n- {name: a, type: file, path: x}\n- {name: a, type: file, path: y}", `3:10: there is a sink "a" already, in line 2`},
		{"sinks:\n- {name: a, type: file, path: \"-\"}\n- {name: b, type: file, path: \"-\"}", `3:31: path: another sink has standard output already`},
		{mqttSink + "  path: x", `5:3: path is for sinks of type file, not mqtt`},
		{"sinks:\n- name: a\n  type: file\n  path: x\n  url: mqtt://h", `5:3: url is for sinks of type mqtt, kafka or http, not file`},
		{"sinks:\n- name: a\n  type: mqtt\n  url: kafka://h", `4:8: url: a sink of type mqtt has no URL with kafka://`},
		{"sinks:\n- name: a\n  type: mqtt\n  url: http://h", `4:8: url: a sink of type mqtt has no URL with http://`},
		{"sinks:\n- name: a\n  type: mqtt\n  url: mqtt://h/topic", "4:8: url: want " + urlForm + `, not "mqtt://h/topic"`},
		{httpSink + "  compression: lz4", `5:16: compression: over HTTP there is gzip, zstd or none, not lz4`},
		{httpSink + "  headers: [\"X: a\", \"Fleet\"]", `5:21: headers: want a header such as "X-Fleet: north", not "Fleet"`},
		{httpSink + "  topic: a-{bus}", `5:10: topic: unknown placeholder {bus; use {device}`},
		{httpSink + "  token: a\n  token_file: b", `6:3: token_file: there is a token already; remove one of them`},
		{httpSink + "  tls:", `5:3: tls: a URL with http:// is without TLS; write https://`},
		{httpSink + "  delivery: exactly-once", `5:3: delivery is for sinks of type kafka, not http`},
		{kafkaSink + "  registry: {url: \"http://r\"}", `5:13: registry: only encoding protobuf has a schema to register`},
		{kafkaSink + "  encoding: protobuf\n  registry: {url: \"mqtt://r\"}", `6:19: url: a schema registry has a URL with http:// or https://`},
		{mqttSink + "  latest: {topic: a}", `5:19: topic: without {signal} all signals would have one topic`},
		{mqttSink + "  presence: a/{bus}", `5:13: presence: unknown placeholder {bus; use {device}`},
		{mqttSink + "  budget: {time_zone: Mars/Crater}", `5:23: time_zone: want UTC, Local or a time zone such as Europe/Berlin, not "Mars/Crater"`},
		{mqttSink + "  budget: {steps: [{priority: high}]}", `5:20: percent is missing here: a whole number from 0 to 1000`},
		{"sinks:\n- name: a\n  type: mqtt\n  url: mqtt://me:hunter2@h", `4:8: url: credentials do not belong into a URL, which is shown: use the keys username and password`},
		{mqttSink + "  tls: {cert: a}", "5:3: tls: a URL with mqtt:// is without TLS; write mqtts://\nm.yaml:5:8: tls: cert and key belong together; one of them is missing"},
		{mqttSink + "  password: a\n  password_file: b", `6:3: password_file: there is a password already; remove one of them`},
		{mqttSink + "  password: 123456", `5:13: password: want a text, not a number; in quotes it is a text`},
		{mqttSink + "  topic: a/{devise}", `5:10: topic: unknown placeholder {devise; use {device}, {bus}, {message}, {signal} or {id}`},
		{mqttSink + "  topic: a/#", `5:10: topic: there can be no '#' in the topic of a message`},
		{mqttSink + "  backoff: {min: 1m}", `5:18: min (1m) is more than max (30s)`},
		// What is not even YAML.
		{"device: [", `1:10: not YAML: while parsing a flow node: did not find expected node content`},
		{"device: 'a", `1:11: not YAML: while scanning a quoted scalar: found unexpected end of stream`},
		{"a: b: c", `1:5: not YAML: mapping values are not allowed in this context`},
		{"dbc: [${DIR}/a.dbc]", `1:8: not YAML: while parsing a flow sequence: did not find expected ',' or ']'`},
		{"device: a\n# \xff", `2:3: "\xff" cannot be in a configuration, which is UTF-8 text`},
		{"device: a\rb", `1:10: "\r" cannot be in a configuration, which is UTF-8 text`},
		{"device: a\n---\ndevice: b", `2:1: a configuration is one document: remove the line --- and what follows`},
	} {
		_, err := Parse("m.yaml", []byte(c.file), environment(map[string]string{"SET": "hunter 2"}))
		var problems Errors
		if !errors.As(err, &problems) {
			t.Errorf("%q:\n got %v\nwant %s", c.file, err, c.want)
		} else if got, want := problems.Error(), "m.yaml:"+c.want; got != want {
			t.Errorf("%q:\n got %s\nwant %s", c.file, got, want)
		}
	}
}

func TestParseReportsEverythingInOrder(t *testing.T) {
	_, err := Parse("conf/m.yaml", []byte(`windows: 1s
sinks:
- name: a
  type: kafka
  url: kafka://h
  topic: a/b
  max_payload: 1
log: {level: loud}
match: exakt
`), environment(nil))
	const want = `conf/m.yaml:1:1: unknown key "windows"; did you mean "window"?
conf/m.yaml:6:10: topic: a Kafka topic has only letters, digits, '.', '_' and '-'
conf/m.yaml:7:16: max_payload: want a size from 1KiB to 268435455B, such as 64KiB or 10MB, not "1"
conf/m.yaml:8:14: level: want debug, info, warn or error, not "loud"
conf/m.yaml:9:8: match: want auto, exact or j1939, not "exakt"`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

func TestParseBoundsTheProblems(t *testing.T) {
	_, err := Parse("m.yaml", []byte(strings.Repeat("x: 1\n", 150)), environment(nil))
	var problems Errors
	if !errors.As(err, &problems) || len(problems) != maxProblems+1 {
		t.Fatalf("%d problems", len(problems))
	}
	if got, want := problems[maxProblems].String(), "m.yaml:101:1: and so on: 50 more problems from here"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestEnvironmentIsNotExpandedTwice(t *testing.T) {
	c, err := Parse("m.yaml", []byte(`sinks: [{name: a, type: mqtt, url: mqtt://h, username: "$${A} ${A} $A $$", topic: "x"}]`),
		environment(map[string]string{"A": "${B}"}))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Sinks[0].Username, "${A} ${B} $A $$"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLoadMissingFile(t *testing.T) {
	_, err := Load("no such/milepost.yaml")
	const want = "no such/milepost.yaml: no such file; write one with `milepost check --default > 'no such/milepost.yaml'`"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestReadPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter 2\r\nnot this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := Sink{Name: "a", PasswordFile: file}
	if got, err := s.ReadPassword(); err != nil || got.Reveal() != "hunter 2" {
		t.Errorf("got %q, %v", got.Reveal(), err)
	}
	s.PasswordFile += ".gone"
	if _, err := s.ReadPassword(); err == nil || !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "password_file of sink a") {
		t.Errorf("a missing file: %v", err)
	}
	s = Sink{Password: NewSecret("x")}
	if got, err := s.ReadPassword(); err != nil || got.Reveal() != "x" {
		t.Errorf("without a file: got %q, %v", got.Reveal(), err)
	}
}

func TestHostDevice(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		want string
	}{
		{name: "gateway-1.example", want: "gateway-1.example"},
		{name: "Müller's Pi", want: "M-ller-s-Pi"},
		{name: strings.Repeat("a", 100), want: strings.Repeat("a", maxName)},
		{want: "milepost"},
		{name: "x", err: os.ErrPermission, want: "milepost"},
	} {
		if got := hostDevice(func() (string, error) { return c.name, c.err }); got != c.want {
			t.Errorf("%q: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Size{
		"0B": 0, "1B": 1, "1000B": 1000, "3KB": 3000, "64KiB": 65536, "10 MB": 1e7, "256MiB": 256 << 20, "1GB": 1e9, "8GiB": 8 << 30,
		"8589934591GiB": 8589934591 << 30,
	} {
		got, err := ParseSize(text)
		if err != nil || got != want {
			t.Errorf("%s: got %d, %v, want %d", text, int64(got), err, int64(want))
		}
		if again, err := ParseSize(got.String()); err != nil || again != got {
			t.Errorf("%s: its text %s is read as %d, %v", text, got, int64(again), err)
		}
	}
	for _, text := range []string{"", "1", "B", "1K", "1kb", "1.5GiB", "-1B", "1  B", "1GiBs", "8589934592GiB", "99999999999999999999B"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestParseURL(t *testing.T) {
	for text, want := range map[string]string{
		"mqtt://h": "mqtt://h:1883", "mqtts://h:1/": "mqtts://h:1", "kafka://a,b:1": "kafka://a:9092,b:1", "mqtt://[::1]": "mqtt://[::1]:1883",
		"wss://h/mqtt": "wss://h:443/mqtt", "https://h": "https://h:443", "http://h:8082/a/{device}/": "http://h:8082/a/{device}",
	} {
		if got, err := parseURL(text); err != nil || got.String() != want {
			t.Errorf("%s: got %v, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "h", "h:1883", "mqtt:h", "mqtt://", "mqtt://h:", "mqtt://h:0", "mqtt://h:65536", "mqtt://h:x", "mqtt://a,b",
		"kafka://a,", "mqtt://h/topic", "mqtt://h?x", "mqtt://::1", "mqtt://u:p@h", "mqtt://a b", "http://a,b", "http://h/a?b", "https://h/a#b", "ws://h/a b"} {
		if got, err := parseURL(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}

func TestParseURLOfCommandLine(t *testing.T) {
	for _, c := range []struct{ text, url, topic, err string }{
		{text: "kafka://a,b:1/drives", url: "kafka://a:9092,b:1", topic: "drives"},
		{text: "mqtt://h/a/{device}", url: "mqtt://h:1883", topic: "a/{device}"},
		{text: "mqtt://h", url: "mqtt://h:1883"},
		{text: "http://h/x", url: "http://h:80/x"},
		{text: "amqp://h/x", err: "want " + urlForm},
		{text: "mqtt://u:a/b@h", err: "credentials do not belong into a URL, which is shown: use the keys username and password"},
	} {
		u, topic, err := ParseURL(c.text)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%s: %v, want %s", c.text, err, c.err)
			}
			continue
		}
		if err != nil || u.String() != c.url || topic != c.topic {
			t.Errorf("%s: got %v, %q, %v", c.text, u, topic, err)
		}
	}
}

func TestNearest(t *testing.T) {
	names := []string{"device", "window", "match", "dbc", "in_flight"}
	for word, want := range map[string]string{
		"devise": "device", "DEVICE": "device", "divice": "device", "windwo": "window", "dcb": "dbc", "in-flight": "in_flight", "inflight": "in_flight",
		"": "", "x": "", "mqtt": "", "abc": "dbc", "wide": "",
	} {
		if got := nearest(word, names); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestWindowNear(t *testing.T) {
	for w, want := range map[time.Duration]time.Duration{
		7 * time.Second: 6250 * time.Millisecond, 61 * time.Second: time.Minute, 40 * time.Minute: 30 * time.Minute, 11 * time.Millisecond: 10 * time.Millisecond,
		time.Hour: time.Hour, 10*time.Millisecond + 1: 10 * time.Millisecond,
	} {
		if got := windowNear(w); got != want {
			t.Errorf("%v: got %v, want %v", w, got, want)
		}
	}
}

// FuzzParse: no input panics, and every problem has a place in the file.
func FuzzParse(f *testing.F) {
	f.Add(DefaultFile())
	for _, seed := range []string{
		"", "a", "device: [", "device: 'a", "dbc: [a, *a]", "a: &a [*a]", "dbc: &a [*a]", "<<: *x", "- - -\n", "? {}\n", "device: ${A}${B", "\ufeffdevice: a\nb: [",
		"sinks: [{name: a, type: kafka, url: kafka://a}, {}, 1]", "%YAML 3.0\n---\n", "a\r\nb: c\r", "dedup: {mirrors: [{buses: [a]}, {}]}", "window: 1ns\nlateness: 9h",
		"device: |\n  a\n b", "\u2028- [", "---\n---\n", "spool: {max_size: 99999999999GiB}", "!!map {}\n...\nx", "device: a\n--- [",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("m.yaml", data, environment(map[string]string{"A": "a"}))
		if err == nil {
			if c == nil || c.Device == "" {
				t.Fatalf("neither error nor a whole configuration: %+v", c)
			}
			return
		}
		var problems Errors
		if !errors.As(err, &problems) || len(problems) == 0 {
			t.Fatalf("an error of type %T: %v", err, err)
		}
		lines := strings.Split(string(data), "\n")
		for _, p := range problems {
			if p.Message == "" || p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 {
				t.Errorf("%v: there is no such place in a file of %d lines", p, len(lines))
			}
		}
		if !slices.IsSortedFunc(problems, func(a, b Problem) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) }) {
			t.Errorf("not in order:\n%v", err)
		}
	})
}
