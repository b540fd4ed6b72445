package gnss

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// nmeaLine adds $ and checksum.
func nmeaLine(body string) string {
	var sum byte
	for i := range len(body) {
		sum ^= body[i]
	}
	return fmt.Sprintf("$%s*%02X", body, sum)
}

// TestParseSentence: sentences of receivers, as their manuals have them.
func TestParseSentence(t *testing.T) {
	const none = -1000
	for _, c := range []struct {
		line                              string
		validity                          validity
		lat, lon, alt, speed, track, hdop float64
		satellites, dimensions            int
		at                                string // date and time of day
	}{
		{"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47", valid, 48.1173, 11 + 31.0/60, 545.4, none, none, 0.9, 8, 0, "123519.000"},
		{"$GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A", valid, 48.1173, 11 + 31.0/60, none, 11.5235556, 84.4, none, -1, 0, "1994-03-23 123519.000"},
		{nmeaLine("GNRMC,081836.75,V,,,,,,,211126,,,N"), invalid, none, none, none, none, none, none, -1, 0, "2026-11-21 081836.750"},
		{nmeaLine("GNRMC,235959.999,A,3751.65,S,14507.36,W,000.0,360.0,211126,,,S"), invalid, -37.8608333, -145.1226667, none, 0, 360, none, -1, 0, "2026-11-21 235959.999"},
		{nmeaLine("GNGNS,014035.00,4332.69262,S,17235.48549,E,RR,13,0.9,25.63,11.24,,"), valid, -43.544877, 172.5914248, 25.63, none, none, 0.9, 13, 0, "014035.000"},
		{nmeaLine("GNGNS,014035.00,4332.69262,S,17235.48549,E,NE,03,2.0,,,,"), unsaid, -43.544877, 172.5914248, none, none, none, 2, 3, 0, "014035.000"},
		{nmeaLine("GNGNS,014035.00,,,,,NN,00,99.99,,,,"), invalid, none, none, none, none, none, 99.99, 0, 0, "014035.000"},
		{nmeaLine("GPGGA,123519,4807.038,N,01131.000,E,8,08,0.9,545.4,M,46.9,M,,"), invalid, 48.1173, 11 + 31.0/60, 545.4, none, none, 0.9, 8, 0, "123519.000"},
		{nmeaLine("GPGGA,123519,4807.038,N,01131.000,E,6,08,0.9,545.4,M,46.9,M,,"), unsaid, 48.1173, 11 + 31.0/60, 545.4, none, none, 0.9, 8, 0, "123519.000"},
		{"$GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1*39", unsaid, none, none, none, none, none, 1.3, -1, 3, ""},
		{"$GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48", unsaid, none, none, none, 2.8294444, 54.7, none, -1, 0, ""},
		{nmeaLine("GPGSV,3,1,11,03,03,111,00,04,15,270,00"), unsaid, none, none, none, none, none, none, -1, 0, ""},
		{nmeaLine("PUBX,00,garbage"), unsaid, none, none, none, none, none, none, -1, 0, ""},
		{"a tail*00" + nmeaLine("GPVTG,054.7,T,034.4,M,005.5,N,010.2,K"), unsaid, none, none, none, 2.8294444, 54.7, none, -1, 0, ""},
	} {
		s, err := parseSentence([]byte(c.line))
		if err != nil {
			t.Errorf("%s: %v", c.line, err)
			continue
		}
		for _, v := range []struct {
			what      string
			got, want float64
		}{{"latitude", s.latitude, c.lat}, {"longitude", s.longitude, c.lon}, {"altitude", s.altitude, c.alt}, {"speed", s.speed, c.speed}, {"track", s.track, c.track}, {"hdop", s.hdop, c.hdop}} {
			if v.want == none != math.IsNaN(v.got) || v.want != none && math.Abs(v.got-v.want) > 1e-6 {
				t.Errorf("%s: %s %v, want %v", c.line, v.what, v.got, v.want)
			}
		}
		at := ""
		if !s.date.IsZero() {
			at = s.date.Format("2006-01-02 ")
		}
		if s.timeOfDay >= 0 {
			at += time.Time{}.Add(s.timeOfDay).Format("150405.000")
		}
		if s.validity != c.validity || s.satellites != c.satellites || s.dimensions != c.dimensions || at != c.at {
			t.Errorf("%s: validity %d, satellites %d, dimensions %d, at %s", c.line, s.validity, s.satellites, s.dimensions, at)
		}
	}
}

func TestNoSentence(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{"", "no $"},
		{"$GPRMC,123519,A", "no checksum"},
		{"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*46", "the checksum is 46, and should be 47"},
		{"$GPGGA,123519*4", "should be"},
		{"$GPGGA*", "the checksum is"},
		{nmeaLine("GPGGA,123519"), "GGA: it has too few fields"},
		{nmeaLine("GPGGA,12:35:19,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"), "no time of day"},
		{nmeaLine("GPGGA,246000,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"), "no time of day"},
		{nmeaLine("GPGGA,123519,4867.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"), "no angle"},
		{nmeaLine("GPGGA,123519,9007.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"), "no angle"},
		{nmeaLine("GPGGA,123519,4807.038,X,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"), "neither N nor S"},
		{nmeaLine("GPGGA,123519,4807.038,N,01131.000,E,1,-8,0.9,545.4,M,46.9,M,,"), "no count"},
		{nmeaLine("GPGGA,123519,4807.038,N,01131.000,E,1,08,NaN,545.4,M,46.9,M,,"), "no number"},
		{nmeaLine("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,310226,003.1,W"), "no date"},
		{nmeaLine("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,1,003.1,W"), "no date"},
	} {
		if s, err := parseSentence([]byte(c.line)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %+v, %v, want %q", c.line, s, err, c.want)
		}
	}
}

// FuzzParseSentence: whatever a line has, the numbers of a sentence are finite or
// unknown, and positions are on the earth.
func FuzzParseSentence(f *testing.F) {
	for _, body := range []string{
		"GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,",
		"GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W",
		"GNGNS,014035.00,4332.69262,S,17235.48549,E,RR,13,0.9,25.63,11.24,,",
		"GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1",
		"GPVTG,054.7,T,034.4,M,005.5,N,010.2,K",
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		parseSentence([]byte(body))
		s, err := parseSentence([]byte(nmeaLine(body)))
		if err != nil {
			return
		}
		for _, v := range []float64{s.latitude, s.longitude, s.altitude, s.speed, s.track, s.hdop} {
			if math.IsInf(v, 0) {
				t.Errorf("%q: %+v", body, s)
			}
		}
		if math.Abs(s.latitude) > 90 || math.Abs(s.longitude) > 180 || s.timeOfDay > 24*time.Hour+time.Second {
			t.Errorf("%q: %+v", body, s)
		}
	})
}
