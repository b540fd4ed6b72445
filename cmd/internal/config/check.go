package config

import (
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"milepost/uplink"
)

func (c *Config) check(d *decoder, n *yaml.Node) {
	if time.Hour%c.Window != 0 {
		d.problem(at(n, "window"), "window: an hour is not a whole number of windows of %s; try %s",
			printDuration(c.Window), printDuration(windowNear(c.Window)))
	}
	if c.ClockStep <= c.Lateness {
		where := at(n, "clock_step")
		if where == n {
			where = at(n, "lateness")
		}
		d.problem(where, "clock_step (%s) must be more than lateness (%s): a smaller jump back is only late",
			printDuration(c.ClockStep), printDuration(c.Lateness))
	}
	names := make([]string, len(c.Buses))
	for i, b := range c.Buses {
		names[i] = b.Name
	}
	d.unique(names, "bus", at(n, "buses"))
	c.checkMirrors(d, names, at(n, "dedup", "mirrors"))
	sensors := make([]string, len(c.Sensors))
	for i := range c.Sensors {
		sensors[i] = c.Sensors[i].Name
	}
	d.unique(sensors, "sensor", at(n, "sensors"))
	names = make([]string, len(c.Sinks))
	for i, s := range c.Sinks {
		names[i] = s.Name
	}
	d.unique(names, "sink", at(n, "sinks"))
	standardOutputs := 0
	for i, s := range c.Sinks {
		if s.Path != "-" {
			continue
		}
		if standardOutputs++; standardOutputs > 1 {
			d.problem(at(n, "sinks", i, "path"), "path: another sink has standard output already")
		}
	}
}

// windowNear is the longest window below w that divides an hour; w is at least
// 10 ms and at most an hour.
func windowNear(w time.Duration) time.Duration {
	for windows := (time.Hour + w - 1) / w; ; windows++ {
		if near := time.Hour / windows; time.Hour%windows == 0 && near%time.Millisecond == 0 {
			return near
		}
	}
}

// unique notes the items of a list whose names are taken.
func (d *decoder) unique(names []string, what string, list *yaml.Node) {
	first := make(map[string]int, len(names))
	for i, name := range names {
		if _, taken := first[name]; taken && name != "" {
			d.problem(at(list, i, "name"), "there is a %s %s already, in line %d", what, quoted(name), at(list, first[name], "name").Line)
			continue
		}
		first[name] = i
	}
}

// checkMirrors checks that every bus of a mirror is listed and is in one mirror
// only.
func (c *Config) checkMirrors(d *decoder, buses []string, list *yaml.Node) {
	taken := make(map[string]bool)
	for i, m := range c.Dedup.Mirrors {
		if n := at(list, i, "buses"); n.Kind == yaml.SequenceNode && (len(m.Buses) < 2 || len(m.Buses) > maxMirrorBuses) {
			d.problem(n, "buses: a mirror is of 2 to %d buses, not of %d", maxMirrorBuses, len(m.Buses))
		}
		for j, name := range m.Buses {
			n := at(list, i, "buses", j)
			switch {
			case name == "":
			case taken[name]:
				d.problem(n, "the bus %s is in a mirror already", quoted(name))
			case !slices.Contains(buses, name):
				hint := "; list it under buses"
				if near := nearest(name, buses); near != "" {
					hint = "; did you mean " + quoted(near) + "?"
				}
				d.problem(n, "unknown bus %s%s", quoted(name), hint)
			}
			taken[name] = true
		}
	}
}

// maxMirrorBuses is how many buses the gateway can compare.
const maxMirrorBuses = 32

func (s *Sink) check(d *decoder, n *yaml.Node) {
	if s.Type == "" {
		return
	}
	d.foreignKeys(s, "sinks", string(s.Type), n)
	needed := "url"
	if s.Type == SinkFile {
		needed = "path"
	}
	if key, _ := entry(n, needed); key == nil {
		d.problem(n, "%s is missing here: a sink of type %s needs it", needed, s.Type)
	}
	if s.Type != SinkFile {
		s.checkBroker(d, n)
	}
}

// foreignKeys notes the keys that belong to other types of a section.
func (d *decoder) foreignKeys(s section, what, is string, n *yaml.Node) {
	for _, f := range s.fields() {
		if key, _ := entry(n, f.key); key != nil && len(f.only) > 0 && !slices.Contains(f.only, is) {
			d.problem(key, "%s is for %s of type %s, not %s", f.key, what, alternatives(f.only), is)
		}
	}
}

// types lists types for field.only.
func types[T ~string](all ...T) (names []string) {
	for _, t := range all {
		names = append(names, string(t))
	}
	return names
}

func (s *Sink) checkBroker(d *decoder, n *yaml.Node) {
	if scheme := s.URL.Scheme; scheme != "" && sinkType(scheme) != s.Type {
		d.problem(at(n, "url"), "url: a sink of type %s has no URL with %s://", s.Type, scheme)
	}
	if key, _ := entry(n, "tls"); key != nil && slices.Contains([]string{"mqtt", "ws", "http"}, s.URL.Scheme) {
		d.problem(key, "tls: a URL with %s:// is without TLS; write %[1]ss://", s.URL.Scheme)
	}
	if key, _ := entry(n, "password_file"); key != nil && !s.Password.IsZero() {
		d.problem(key, "password_file: there is a password already; remove one of them")
	}
	if key, _ := entry(n, "token_file"); key != nil && !s.Token.IsZero() {
		d.problem(key, "token_file: there is a token already; remove one of them")
	}
	if s.Type == SinkHTTP && (s.Compression == CompressionSnappy || s.Compression == CompressionLZ4) {
		d.problem(at(n, "compression"), "compression: over HTTP there is gzip, zstd or none, not %s", s.Compression)
	}
	if s.Registry.URL.Scheme != "" && s.Encoding != uplink.Protobuf {
		d.problem(at(n, "registry"), "registry: only encoding protobuf has a schema to register")
	}
	if message := topicFault(s.Type, s.Topic); message != "" {
		d.problem(at(n, "topic"), "topic: %s", message)
	}
	if message := topicFault(SinkMQTT, s.Presence, "{device}"); message != "" {
		d.problem(at(n, "presence"), "presence: %s", message)
	}
	if message := topicFault(SinkMQTT, s.Latest.Topic); message != "" {
		d.problem(at(n, "latest", "topic"), "topic: %s", message)
	} else if s.Latest.Topic != "" && !strings.Contains(s.Latest.Topic, "{signal}") {
		d.problem(at(n, "latest", "topic"), "topic: without {signal} all signals would have one topic")
	}
}

func (r *Registry) check(d *decoder, n *yaml.Node) {
	if r.URL.Scheme != "" && sinkType(r.URL.Scheme) != SinkHTTP {
		d.problem(at(n, "url"), "url: a schema registry has a URL with http:// or https://")
	}
	if key, _ := entry(n, "password_file"); key != nil && !r.Password.IsZero() {
		d.problem(key, "password_file: there is a password already; remove one of them")
	}
}

func (t *TLS) check(d *decoder, n *yaml.Node) {
	if (t.Cert == "") != (t.Key == "") {
		d.problem(n, "tls: cert and key belong together; one of them is missing")
	}
}

func (b *Backoff) check(d *decoder, n *yaml.Node) {
	if b.Min > b.Max {
		d.problem(at(n, "min"), "min (%s) is more than max (%s)", printDuration(b.Min), printDuration(b.Max))
	}
}

func (s *Spool) check(d *decoder, n *yaml.Node) {
	if s.MaxSize/4 < s.ChapterSize {
		d.problem(at(n, "max_size"), "max_size (%v) is less than four times chapter_size (%v)", s.MaxSize, s.ChapterSize)
	}
}
