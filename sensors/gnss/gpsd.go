package gnss

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"
)

// gpsd makes reports of what gpsd says: a JSON object a line (gpsd_json(5)).
type gpsd struct {
	receiver *Receiver
}

// openGPSD connects, and asks for reports.
func (r *Receiver) openGPSD(ctx context.Context) (connection, lineReader, error) {
	dialer := net.Dialer{Timeout: r.options.Silence}
	conn, err := dialer.DialContext(ctx, "tcp", r.options.GPSD)
	if err != nil {
		return nil, nil, fmt.Errorf("gpsd: %w", err)
	}
	watch := struct {
		Enable bool   `json:"enable"`
		JSON   bool   `json:"json"`
		Device string `json:"device,omitempty"`
	}{true, true, r.options.Receiver}
	text, err := json.Marshal(watch)
	if err == nil {
		err = conn.SetWriteDeadline(time.Now().Add(r.options.Silence))
	}
	if err == nil {
		_, err = fmt.Fprintf(conn, "?WATCH=%s;\r\n", text)
	}
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("gpsd: %w", err)
	}
	return conn, &gpsd{receiver: r}, nil
}

// report is what is used of the classes TPV, SKY, VERSION and ERROR. What a pointer
// is to may be missing.
type report struct {
	// TPV
	Mode                 int
	Status               int
	Time                 string
	Ept                  *float64 // s
	LeapSeconds          int
	Lat, Lon, Alt        *float64
	AltMSL, Speed, Track *float64

	// SKY
	USat       *int
	HDOP       *float64
	Satellites []struct{ Used bool }

	// VERSION, ERROR
	ProtoMajor int `json:"proto_major"`
	Message    string
}

// simulated is TPV's status of a simulator's positions.
const simulated = 8

func (g *gpsd) line(text []byte, at arrival) error {
	var class struct{ Class string }
	if err := json.Unmarshal(text, &class); err != nil {
		return err
	}
	var p report
	switch class.Class {
	case "TPV", "SKY", "VERSION", "ERROR":
		// The fields of other classes may have the same names, and other types.
		if err := json.Unmarshal(text, &p); err != nil {
			return fmt.Errorf("%s: %w", class.Class, err)
		}
	case "":
		return errors.New("it has no class")
	}
	switch class.Class {
	case "TPV":
		g.receiver.send(g.position(&p, at))
	case "SKY":
		g.sky(&p, at)
		g.receiver.send(nil)
	case "VERSION":
		if p.ProtoMajor != 0 && p.ProtoMajor < 3 {
			g.receiver.state.Failed(1, fmt.Errorf("GNSS receiver: gpsd speaks version %d of its protocol; 3 is needed", p.ProtoMajor))
		}
	case "ERROR":
		g.receiver.state.Failed(1, fmt.Errorf("GNSS receiver: gpsd says: %s", p.Message))
	}
	return nil
}

func (g *gpsd) pending() bool { return false }
func (g *gpsd) pause()        {}

// position adds what a TPV says.
func (g *gpsd) position(p *report, at arrival) error {
	r := g.receiver
	if p.Mode < 2 || p.Mode > 3 || p.Status == simulated || !inRange(p.Lat, 90) || !inRange(p.Lon, 180) {
		r.add(at, fix, 0)
		return nil
	}
	r.add(at, latitude, *p.Lat)
	r.add(at, longitude, *p.Lon)
	if p.AltMSL == nil {
		p.AltMSL = p.Alt // before gpsd 3.20
	}
	if p.AltMSL != nil && p.Mode == 3 {
		r.add(at, altitude, *p.AltMSL)
	}
	if p.Speed != nil {
		r.add(at, speed, *p.Speed)
	}
	if p.Track != nil {
		r.add(at, track, *p.Track)
	}
	r.add(at, fix, float64(p.Mode))

	utc, err := time.Parse(time.RFC3339, p.Time)
	if err != nil {
		return nil // a position without a time
	}
	f := Fix{UTC: utc.UnixNano(), Wall: at.wall, Boot: at.boot, Error: latency, LeapKnown: p.LeapSeconds > 0, Dimensions: p.Mode}
	if p.Ept != nil && *p.Ept > 0 && *p.Ept < 1e6 {
		f.Error += time.Duration(*p.Ept * 1e9)
	}
	return r.time(f)
}

func inRange(degrees *float64, limit float64) bool {
	return degrees != nil && *degrees >= -limit && *degrees <= limit
}

// sky adds what a SKY says.
func (g *gpsd) sky(p *report, at arrival) {
	used := 0
	for _, s := range p.Satellites {
		if s.Used {
			used++
		}
	}
	if p.USat != nil {
		used = *p.USat
	}
	if (p.USat != nil || p.Satellites != nil) && used >= 0 {
		g.receiver.add(at, satellites, float64(used))
	}
	if p.HDOP != nil {
		g.receiver.add(at, hdop, *p.HDOP)
	}
}
