package gnss

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"milepost/sensors"
)

var _ sensors.Sensor = (*Receiver)(nil)

// emitted is what a receiver handed over at once, by channel.
type emitted struct {
	at     int64
	values map[string]float64
}

// recorder keeps what a receiver hands over.
type recorder struct {
	mu      sync.Mutex
	reports []emitted
	fixes   []Fix
}

func (rec *recorder) emit(readings []sensors.Reading) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	e := emitted{readings[0].Time, map[string]float64{}}
	for _, r := range readings {
		e.values[channels[r.Channel].Name] = math.Round(r.Value*1e6) / 1e6
		if r.Time != e.at {
			panic("two times in one report")
		}
	}
	rec.reports = append(rec.reports, e)
}

func (rec *recorder) fix(f Fix) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	rec.fixes = append(rec.fixes, f)
}

// last is the last report, and how many there were.
func (rec *recorder) last() (emitted, int) {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	if len(rec.reports) == 0 {
		return emitted{}, 0
	}
	return rec.reports[len(rec.reports)-1], len(rec.reports)
}

func receiver(t *testing.T, o Options) (*Receiver, *recorder) {
	t.Helper()
	rec := &recorder{}
	if o.Time == nil {
		o.Time = rec.fix
	}
	r, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	r.emit = rec.emit
	return r, rec
}

// run runs a receiver until the test ends, or stop is called.
func run(t *testing.T, r *Receiver, rec *recorder) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx, rec.emit) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func waitFor(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited 20 s for %s", what)
		}
	}
}

// TestReports: which sentences belong together, and what is read of them.
func TestReports(t *testing.T) {
	const (
		gga   = "GNGGA,123519.00,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"
		rmc   = "GNRMC,123519.00,A,4807.038,N,01131.000,E,010.0,084.4,211126,,,A"
		next  = "GNRMC,123520.00,A,4807.040,N,01131.000,E,010.0,084.4,211126,,,A"
		gsa2  = "GNGSA,A,2,04,05,,09,12,,,24,,,,,2.5,1.3,2.1"
		gsa3  = "GNGSA,A,3,04,05,,09,12,,,24,,,,,2.5,0.9,2.1"
		gsa1  = "GNGSA,A,1,,,,,,,,,,,,,99.9,99.9,99.9"
		vtg   = "GNVTG,054.7,T,034.4,M,010.0,N,010.2,K,A"
		void  = "GNRMC,123519.00,V,,,,,,,211126,,,N"
		no    = "GNGGA,123519.00,,,,,0,03,,,M,,M,,"
		empty = "GNRMC,,V,,,,,,,,,,N"
		dead  = "GNGGA,123519.00,4807.038,N,01131.000,E,6,00,0.9,545.4,M,46.9,M,,"
		gsv   = "GPGSV,3,1,11,03,03,111,00,04,15,270,00"
	)
	full := map[string]float64{"latitude": 48.1173, "longitude": 11.516667, "altitude": 545.4, "speed": 5.144444, "track": 84.4, "satellites": 8, "fix": 3, "hdop": 0.9}
	but := func(of map[string]float64, change ...any) map[string]float64 {
		m := maps.Clone(of)
		for i := 0; i < len(change); i += 2 {
			if change[i+1] == nil {
				delete(m, change[i].(string))
			} else {
				m[change[i].(string)] = change[i+1].(float64)
			}
		}
		return m
	}
	rmcAlone := map[string]float64{"latitude": 48.1173, "longitude": 11.516667, "speed": 5.144444, "track": 84.4, "fix": 2}
	for _, c := range []struct {
		what  string
		lines []string // "" is a pause
		want  []map[string]float64
		fixes int
	}{
		{"all of one moment", []string{rmc, gga, gsa3, gsv, ""}, []map[string]float64{full}, 1},
		{"in another order", []string{gga, gsa3, rmc, ""}, []map[string]float64{full}, 1},
		{"the next moment ends it", []string{gga, gsa3, rmc, next}, []map[string]float64{full}, 1},
		{"both", []string{gga, rmc, "", next, ""}, []map[string]float64{full, but(rmcAlone, "latitude", 48.117333)}, 2},
		{"GSA for each system", []string{gga, rmc, gsa1, gsa3, ""}, []map[string]float64{full}, 1},
		{"two dimensions", []string{gga, rmc, gsa2, ""}, []map[string]float64{but(full, "fix", 2.0, "altitude", nil, "hdop", 1.3)}, 1},
		{"without a date", []string{gga, vtg, ""}, []map[string]float64{but(full, "track", 54.7)}, 0},
		{"RMC alone", []string{rmc, ""}, []map[string]float64{rmcAlone}, 1},
		{"no fix", []string{void, no, gsa1, ""}, []map[string]float64{{"satellites": 3, "fix": 0}}, 0},
		{"no fix, no time", []string{empty, "", empty, ""}, []map[string]float64{{"fix": 0}, {"fix": 0}}, 0},
		{"they disagree", []string{gga, void, ""}, []map[string]float64{{"satellites": 8, "fix": 0}}, 0},
		{"GSA says no", []string{gga, rmc, gsa1, ""}, []map[string]float64{{"satellites": 8, "fix": 0}}, 0},
		{"dead reckoning that is good", []string{dead, rmc, ""}, []map[string]float64{but(full, "satellites", 0.0)}, 1},
		{"dead reckoning that nobody vouches for", []string{dead, ""}, []map[string]float64{{"satellites": 0, "fix": 0}}, 0},
		{"no position sentence", []string{gsa3, gsv, vtg, ""}, nil, 0},
	} {
		r, rec := receiver(t, Options{Port: "/dev/null"})
		n := &nmea{receiver: r}
		for i, line := range c.lines {
			if line == "" {
				n.pause()
			} else if err := n.line([]byte(nmeaLine(line)), arrival{wall: int64(1000 + i), boot: int64(i)}); err != nil {
				t.Errorf("%s: %v", c.what, err)
			}
		}
		var got []map[string]float64
		for _, e := range rec.reports {
			got = append(got, e.values)
		}
		if !slices.EqualFunc(got, c.want, maps.Equal) || len(rec.fixes) != c.fixes {
			t.Errorf("%s: %v and %d times, want %v and %d", c.what, got, len(rec.fixes), c.want, c.fixes)
		}
		// All carry the arrival of the first byte of the first sentence.
		if len(rec.reports) > 0 && rec.reports[0].at != 1000 {
			t.Errorf("%s: the time is %d", c.what, rec.reports[0].at)
		}
		if len(rec.fixes) > 0 {
			want := Fix{UTC: time.Date(2026, 11, 21, 12, 35, 19, 0, time.UTC).UnixNano(), Wall: 1000, Boot: 0, Error: time.Second, Dimensions: int(c.want[0]["fix"])}
			if rec.fixes[0] != want {
				t.Errorf("%s: time %+v, want %+v", c.what, rec.fixes[0], want)
			}
		}
		if st := r.Status(); st.Err != nil {
			t.Errorf("%s: %v", c.what, st.Err)
		}
	}
}

// TestRollover: a date that is 1024 weeks off is refused, and the position is not.
func TestRollover(t *testing.T) {
	for _, c := range []struct {
		date string
		o    Options
		ok   bool
	}{
		{"211126", Options{}, true},
		{"070407", Options{}, false}, // 1024 weeks before 2026-11-21
		{"311225", Options{}, false},
		{"010126", Options{}, true},
		{"160845", Options{}, true},
		{"180845", Options{}, false},
		{"211126", Options{NotBefore: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}, false},
		{"211126", Options{NotAfter: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)}, false},
	} {
		c.o.Port = "/dev/null"
		r, rec := receiver(t, c.o)
		n := &nmea{receiver: r}
		if err := n.line([]byte(nmeaLine("GNRMC,123519.00,A,4807.038,N,01131.000,E,010.0,084.4,"+c.date+",,,A")), now()); err != nil {
			t.Fatal(err)
		}
		n.pause()
		err := r.Status().Err
		if (len(rec.fixes) == 1) != c.ok || (err == nil) != c.ok || err != nil && !strings.Contains(err.Error(), "week number") || len(rec.reports) != 1 {
			t.Errorf("%s with %+v: %d times, %d reports, %v", c.date, c.o, len(rec.fixes), len(rec.reports), err)
		}
	}
}

// TestGPSDReports: what gpsd's reports give.
func TestGPSDReports(t *testing.T) {
	tpv := func(more string) string {
		return `{"class":"TPV","device":"/dev/ttyACM0","mode":3,"time":"2026-11-21T12:35:19.500Z","ept":0.005,"lat":48.1173,"lon":11.5166,"altHAE":592.3,"altMSL":545.4,"track":84.4,"speed":5.144` + more + `}`
	}
	full := map[string]float64{"latitude": 48.1173, "longitude": 11.5166, "altitude": 545.4, "speed": 5.144, "track": 84.4, "fix": 3}
	utc := time.Date(2026, 11, 21, 12, 35, 19, 5e8, time.UTC).UnixNano()
	for _, c := range []struct {
		line string
		want map[string]float64
		fix  Fix
		err  string
	}{
		{tpv(""), full, Fix{utc, 7, 9, 1005 * time.Millisecond, false, 3}, ""},
		{tpv(`,"leapseconds":18,"status":2`), full, Fix{utc, 7, 9, 1005 * time.Millisecond, true, 3}, ""},
		{tpv(`,"status":8`), map[string]float64{"fix": 0}, Fix{}, ""},
		{tpv(`,"lat":91`), map[string]float64{"fix": 0}, Fix{}, ""},
		{`{"class":"TPV","mode":2,"lat":-1,"lon":-2,"alt":5}`, map[string]float64{"latitude": -1, "longitude": -2, "fix": 2}, Fix{}, ""},
		{`{"class":"TPV","mode":3,"lat":-1,"lon":-2,"alt":5}`, map[string]float64{"latitude": -1, "longitude": -2, "altitude": 5, "fix": 3}, Fix{}, ""},
		{`{"class":"TPV","mode":1,"time":"2026-11-21T12:35:19.500Z"}`, map[string]float64{"fix": 0}, Fix{}, ""},
		{`{"class":"TPV","mode":3}`, map[string]float64{"fix": 0}, Fix{}, ""},
		{`{"class":"SKY","hdop":1.2,"nSat":12,"uSat":9,"satellites":[{"PRN":1,"used":true}]}`, map[string]float64{"satellites": 9, "hdop": 1.2}, Fix{}, ""},
		{`{"class":"SKY","satellites":[{"PRN":1,"used":true},{"PRN":2,"used":false},{"PRN":3,"used":true}]}`, map[string]float64{"satellites": 2}, Fix{}, ""},
		{`{"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}`, nil, Fix{}, ""},
		{`{"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/ttyACM0"}]}`, nil, Fix{}, ""},
		{`{"class":"AIS","speed":"fast","mode":"x"}`, nil, Fix{}, ""},
		{`{"class":"TPV","mode":"three"}`, nil, Fix{}, "TPV"},
		{`{"class":"TPV","mo`, nil, Fix{}, "JSON"},
		{`{}`, nil, Fix{}, "no class"},
	} {
		r, rec := receiver(t, Options{})
		err := (&gpsd{receiver: r}).line([]byte(c.line), arrival{7, 9})
		e, n := rec.last()
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) || !maps.Equal(e.values, c.want) || n > 0 && e.at != 7 {
			t.Errorf("%s: %v, want %v: %v", c.line, e, c.want, err)
		}
		if want := c.fix != (Fix{}); want != (len(rec.fixes) == 1) || want && rec.fixes[0] != c.fix {
			t.Errorf("%s: times %+v, want %+v", c.line, rec.fixes, c.fix)
		}
		if err := r.Status().Err; err != nil {
			t.Errorf("%s: %v", c.line, err)
		}
	}
	for line, want := range map[string]string{
		`{"class":"VERSION","proto_major":2}`:                      "3 is needed",
		`{"class":"ERROR","message":"Unrecognized request 'foo'"}`: "Unrecognized request",
	} {
		r, _ := receiver(t, Options{})
		if err := (&gpsd{receiver: r}).line([]byte(line), arrival{}); err != nil || r.Status().Err == nil || !strings.Contains(r.Status().Err.Error(), want) {
			t.Errorf("%s: %v, %v", line, err, r.Status().Err)
		}
	}
}

// TestSplitter: lines come in pieces, and each carries the time of its first byte.
func TestSplitter(t *testing.T) {
	var got []string
	take := func(line []byte, at arrival) { got = append(got, fmt.Sprintf("%d:%.10s", at.wall, line)) }
	var s splitter
	for i, piece := range []string{"on", "e\r\ntw", "o\n\r\n\nthree\nfour", "", "\n", strings.Repeat("x", maxLine), "y", "z\n", "five\n"} {
		s.feed([]byte(piece), arrival{wall: int64(i)}, take)
	}
	if want := []string{"0:one", "1:two", "2:three", "2:four", "5:", "8:five"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestWrongOptions(t *testing.T) {
	for _, c := range []struct {
		o    Options
		want string
	}{
		{Options{Port: "/dev/ttyS0", GPSD: "localhost:2947"}, "not both"},
		{Options{Port: "/dev/ttyS0", Receiver: "/dev/ttyACM0"}, "not both"},
		{Options{Port: "/dev/ttyS0", Baud: 1234}, "cannot have 1234 baud; there are [4800"},
		{Options{Baud: 9600}, "belongs to a serial port"},
		{Options{GPSD: "localhost"}, "it is like localhost:2947"},
		{Options{Silence: time.Millisecond}, "too short"},
		{Options{NotBefore: time.Unix(9, 0), NotAfter: time.Unix(8, 0)}, "no date is after"},
	} {
		if _, err := New(c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}

// TestGPSDLife: a server that is not there, hangs, sends pieces, garbage and a line
// without an end, stops and comes back.
func TestGPSDLife(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	r, rec := receiver(t, Options{GPSD: address, Receiver: `/dev/"x`, Silence: time.Second})
	stop := run(t, r, rec)
	waitFor(t, "a refused connection", func() bool { return r.Status().Err != nil })

	if listener, err = net.Listen("tcp", address); err != nil {
		t.Skip("another program has taken the port: ", err)
	}
	defer listener.Close()
	accept := func() net.Conn {
		t.Helper()
		conn, err := listener.Accept()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		fmt.Fprint(conn, `{"class":"VERSION","proto_major":3}`+"\r\n")
		request, err := bufio.NewReader(conn).ReadString(';')
		if want := `?WATCH={"enable":true,"json":true,"device":"/dev/\"x"};`; err != nil || request != want {
			t.Errorf("asked %q, %v; want %q", request, err, want)
		}
		return conn
	}
	const tpv = `{"class":"TPV","mode":3,"time":"2026-11-21T12:35:19.500Z","lat":48.5,"lon":11.5}`
	conn := accept()
	fmt.Fprint(conn, tpv[:20])
	fmt.Fprint(conn, tpv[20:]+"\r\n{\"class\":\n"+tpv+"\n")
	waitFor(t, "two reports", func() bool { _, n := rec.last(); return n == 2 })
	if st := r.Status(); st.Err != nil || st.Failures < 2 || st.Readings == 0 {
		t.Errorf("status %+v", st)
	}
	// It hangs: the connection is given up, and opened anew.
	waitFor(t, "silence", func() bool { err := r.Status().Err; return err != nil && strings.Contains(err.Error(), "says nothing") })
	conn = accept()
	fmt.Fprint(conn, tpv+"\n"+tpv[:30])
	waitFor(t, "a third report", func() bool { _, n := rec.last(); return n == 3 })
	conn.Close()
	waitFor(t, "its end", func() bool { return r.Status().Err != nil })
	conn = accept()
	fmt.Fprint(conn, tpv+"\n")
	waitFor(t, "a fourth report", func() bool { _, n := rec.last(); return n == 4 && r.Status().Err == nil })
	stop()
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the end: %d bytes, %v", n, err)
	}
	if len(rec.fixes) != 4 || rec.fixes[0].Wall == 0 {
		t.Errorf("times: %+v", rec.fixes)
	}
}

// FuzzNMEA: whatever comes from a port, in whatever pieces, values are finite and
// positions on the earth, and with them there is a fix.
func FuzzNMEA(f *testing.F) {
	f.Add([]byte("GNGGA,123519.00,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,\nGNGSA,A,3,04,05,,09,12,,,24,,,,,2.5,0.9,2.1\nGNRMC,123519.00,A,4807.038,N,01131.000,E,010.0,084.4,211126,,,A\n"), uint8(7), true)
	f.Add([]byte("$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"), uint8(64), false)
	f.Fuzz(func(t *testing.T, stream []byte, piece uint8, sums bool) {
		if sums { // else hardly a line has the right one
			var lines []string
			for line := range strings.Lines(string(stream)) {
				lines = append(lines, nmeaLine(strings.TrimRight(line, "\r\n")))
			}
			stream = []byte(strings.Join(lines, "\n") + "\n")
		}
		r, err := New(Options{Port: "/dev/null", Time: func(Fix) {}})
		if err != nil {
			t.Fatal(err)
		}
		r.emit = func(readings []sensors.Reading) {
			var has [hdop + 1]bool
			for _, v := range readings {
				has[v.Channel] = true
				if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) || v.Channel == latitude && math.Abs(v.Value) > 90 || v.Channel == fix && v.Value != 0 && !has[longitude] {
					t.Errorf("%q: %+v", stream, readings)
				}
			}
			if !has[fix] {
				t.Errorf("%q: no fix among %+v", stream, readings)
			}
		}
		n := &nmea{receiver: r}
		var s splitter
		for chunk := range slices.Chunk(stream, 1+int(piece)) {
			s.feed(chunk, arrival{}, func(line []byte, at arrival) { n.line(line, at) })
		}
		n.pause()
	})
}

// FuzzGPSD: whatever gpsd sends, values are finite and positions on the earth.
func FuzzGPSD(f *testing.F) {
	f.Add([]byte(`{"class":"TPV","mode":3,"time":"2026-11-21T12:35:19.500Z","ept":0.005,"lat":48.1173,"lon":11.5166,"altMSL":545.4,"track":84.4,"speed":5.1}`))
	f.Add([]byte(`{"class":"SKY","hdop":1.2,"uSat":9,"satellites":[{"used":true}]}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := New(Options{Time: func(Fix) {}})
		if err != nil {
			t.Fatal(err)
		}
		r.emit = func(readings []sensors.Reading) {
			for _, v := range readings {
				if math.IsNaN(v.Value) || math.IsInf(v.Value, 0) || v.Channel == latitude && math.Abs(v.Value) > 90 {
					t.Errorf("%s: %+v", line, v)
				}
			}
		}
		(&gpsd{receiver: r}).line(line, arrival{})
	})
}
