package gnss

import (
	"math"
)

// nmea makes reports of NMEA sentences. A receiver says all about one moment in
// several of them, in an order of its own: those with the same time of day belong
// together, with those between that have no time. A report ends when another time
// begins, or when the line is silent for a while.
type nmea struct {
	receiver *Receiver
	begun    bool
	at       arrival // of the first byte of the report
	timed    bool    // s.timeOfDay is of a sentence, known or not
	s        sentence
	denied   bool // a sentence said that there is no fix
	affirmed bool // a sentence said that there is one
}

func (n *nmea) line(text []byte, at arrival) error {
	s, err := parseSentence(text)
	if err != nil {
		return err
	}
	switch s.kind {
	case "RMC", "GGA", "GNS":
		if n.timed && n.s.timeOfDay != s.timeOfDay {
			n.pause()
		}
	case "GSA", "VTG":
	default:
		return nil
	}
	if !n.begun {
		*n = nmea{receiver: n.receiver, begun: true, at: at, s: sentence{
			timeOfDay: -1, satellites: -1,
			latitude: math.NaN(), longitude: math.NaN(), altitude: math.NaN(), speed: math.NaN(), track: math.NaN(), hdop: math.NaN(),
		}}
	}
	n.merge(s)
	return nil
}

// merge adds what a sentence says.
func (n *nmea) merge(s sentence) {
	switch s.kind {
	case "RMC", "GGA", "GNS":
		n.timed = true
		n.s.timeOfDay = s.timeOfDay
	}
	if !s.date.IsZero() {
		n.s.date = s.date
	}
	for _, pair := range []struct{ to, from *float64 }{
		{&n.s.latitude, &s.latitude}, {&n.s.longitude, &s.longitude}, {&n.s.altitude, &s.altitude},
		{&n.s.speed, &s.speed}, {&n.s.track, &s.track}, {&n.s.hdop, &s.hdop},
	} {
		if !math.IsNaN(*pair.from) {
			*pair.to = *pair.from
		}
	}
	n.s.satellites = max(n.s.satellites, s.satellites)
	n.s.dimensions = max(n.s.dimensions, s.dimensions) // there is a GSA for each system
	n.denied = n.denied || s.validity == invalid
	n.affirmed = n.affirmed || s.validity == valid
}

func (n *nmea) pending() bool { return n.begun }

// pause ends the report.
func (n *nmea) pause() {
	if !n.begun {
		return
	}
	n.begun = false
	if !n.timed {
		return // GSA or VTG alone: the rest was garbled
	}
	n.timed = false
	n.receiver.send(n.report())
}

// report adds the readings of the report.
func (n *nmea) report() error {
	r, s := n.receiver, &n.s
	if s.satellites >= 0 {
		r.add(n.at, satellites, float64(s.satellites))
	}
	if n.denied || !n.affirmed || s.dimensions == 1 || math.IsNaN(s.latitude) || math.IsNaN(s.longitude) {
		r.add(n.at, fix, 0)
		return nil
	}
	dimensions := s.dimensions
	if dimensions == 0 { // no GSA
		dimensions = 2
		if !math.IsNaN(s.altitude) {
			dimensions = 3
		}
	}
	r.add(n.at, latitude, s.latitude)
	r.add(n.at, longitude, s.longitude)
	if dimensions == 3 && !math.IsNaN(s.altitude) {
		r.add(n.at, altitude, s.altitude)
	}
	for _, v := range []struct {
		channel int
		value   float64
	}{{speed, s.speed}, {track, s.track}, {hdop, s.hdop}} {
		if !math.IsNaN(v.value) {
			r.add(n.at, v.channel, v.value)
		}
	}
	r.add(n.at, fix, float64(dimensions))
	if s.date.IsZero() || s.timeOfDay < 0 {
		return nil // without RMC there is no date
	}
	return r.time(Fix{
		UTC: s.date.Add(s.timeOfDay).UnixNano(), Wall: n.at.wall, Boot: n.at.boot,
		Error: latency, Dimensions: dimensions,
	})
}
