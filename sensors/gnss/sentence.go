package gnss

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// sentence is what is used of an NMEA 0183 sentence. NaN is what it does not say.
type sentence struct {
	kind string // GGA, GNS, GSA, RMC, VTG, or another, of which nothing is used
	// timeOfDay is since midnight UTC, negative if unknown; date the midnight, zero if
	// unknown.
	timeOfDay           time.Duration
	date                time.Time
	latitude, longitude float64 // °
	altitude            float64 // m above mean sea level
	speed               float64 // m/s
	track               float64 // °
	hdop                float64
	satellites          int // negative if unknown
	dimensions          int // of GSA: 1 (none), 2, 3; 0 if unknown
	validity            validity
}

// validity is what a sentence says of the position.
type validity int

const (
	unsaid validity = iota
	valid
	invalid
)

const knot = 1852.0 / 3600 // m/s

// parseSentence reads a line such as
//
//	$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47
//
// What precedes the $ is left out: it is the end of a sentence whose beginning was
// missed. A sentence without a checksum is none.
func parseSentence(line []byte) (sentence, error) {
	s := sentence{
		timeOfDay: -1, satellites: -1,
		latitude: math.NaN(), longitude: math.NaN(), altitude: math.NaN(), speed: math.NaN(), track: math.NaN(), hdop: math.NaN(),
	}
	begin := bytes.LastIndexByte(line, '$')
	if begin < 0 {
		return s, errors.New("there is no $")
	}
	line = line[begin+1:]
	end := bytes.LastIndexByte(line, '*')
	if end < 0 {
		return s, errors.New("there is no checksum")
	}
	body := line[:end]
	want, err := strconv.ParseUint(string(line[end+1:]), 16, 8)
	if err != nil {
		return s, fmt.Errorf("the checksum is %q", line[end+1:])
	}
	var sum byte
	for _, c := range body {
		sum ^= c
	}
	if sum != byte(want) {
		return s, fmt.Errorf("the checksum is %02X, and should be %02X", want, sum)
	}
	f := fields(bytes.Split(body, []byte(",")))
	address := f.text(0)
	if len(address) != 5 || address[0] == 'P' {
		return s, nil // proprietary
	}
	s.kind = address[2:]
	switch s.kind {
	case "RMC":
		err = s.rmc(f)
	case "GGA":
		err = s.gga(f)
	case "GNS":
		err = s.gns(f)
	case "GSA":
		err = s.gsa(f)
	case "VTG":
		err = s.vtg(f)
	}
	if err != nil {
		return s, fmt.Errorf("%s: %w", s.kind, err)
	}
	return s, nil
}

func (s *sentence) rmc(f fields) (err error) {
	if len(f) < 10 {
		return errShort
	}
	if s.timeOfDay, err = f.timeOfDay(1); err != nil {
		return err
	}
	if s.date, err = f.date(9); err != nil {
		return err
	}
	if err = s.position(f, 3); err != nil {
		return err
	}
	if s.speed, err = f.number(7); err != nil {
		return err
	}
	s.speed *= knot
	if s.track, err = f.number(8); err != nil {
		return err
	}
	s.validity = invalid
	if f.text(2) == "A" {
		s.validity = valid
	}
	// The mode, since NMEA 2.3: not valid, manual, simulated.
	switch f.text(12) {
	case "N", "M", "S":
		s.validity = invalid
	}
	return nil
}

// fix reads what GGA and GNS have in the same places.
func (s *sentence) fix(f fields) (err error) {
	if len(f) < 10 {
		return errShort
	}
	if s.timeOfDay, err = f.timeOfDay(1); err != nil {
		return err
	}
	if err = s.position(f, 2); err != nil {
		return err
	}
	if s.satellites, err = f.count(7); err != nil {
		return err
	}
	if s.hdop, err = f.number(8); err != nil {
		return err
	}
	s.altitude, err = f.number(9)
	return err
}

func (s *sentence) gga(f fields) (err error) {
	if err = s.fix(f); err != nil {
		return err
	}
	switch f.text(6) {
	case "1", "2", "3", "4", "5", "9":
		s.validity = valid
	case "6": // estimated (dead reckoning): whether it is good, RMC says
	default: // none, manual, simulated
		s.validity = invalid
	}
	return nil
}

func (s *sentence) gns(f fields) (err error) {
	if err = s.fix(f); err != nil {
		return err
	}
	// A letter for each system: GPS, GLONASS, Galileo and so on.
	s.validity = invalid
	for _, mode := range f.text(6) {
		switch mode {
		case 'A', 'D', 'P', 'R', 'F':
			s.validity = valid
			return nil
		case 'E':
			s.validity = unsaid
		}
	}
	return nil
}

func (s *sentence) gsa(f fields) (err error) {
	if len(f) < 17 {
		return errShort
	}
	if s.dimensions, err = f.count(2); err != nil {
		return err
	}
	if s.dimensions < 1 || s.dimensions > 3 {
		s.dimensions = 0
	}
	s.hdop, err = f.number(16)
	return err
}

func (s *sentence) vtg(f fields) (err error) {
	if len(f) < 9 {
		return errShort
	}
	if s.track, err = f.number(1); err != nil {
		return err
	}
	s.speed, err = f.number(5)
	s.speed *= knot
	return err
}

// position reads four fields: latitude, N or S, longitude, E or W.
func (s *sentence) position(f fields, first int) (err error) {
	if s.latitude, err = f.angle(first, "N", "S", 90); err != nil {
		return err
	}
	s.longitude, err = f.angle(first+2, "E", "W", 180)
	return err
}
