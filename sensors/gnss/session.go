package gnss

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// arrival is when something came, by two clocks, in nanoseconds.
type arrival struct{ wall, boot int64 }

func now() arrival { return arrival{time.Now().UnixNano(), bootTime()} }

const (
	// maxLine is more than any line has: NMEA's are 82 bytes, those of gpsd with all
	// satellites some kilobytes.
	maxLine = 64 << 10
	// reportGap is how long the line is silent when a report has ended. A receiver sends
	// the sentences of a report in one go.
	reportGap = 100 * time.Millisecond
)

// session reads one connection until it breaks, or falls silent.
func (r *Receiver) session(ctx context.Context) error {
	conn, lines, err := r.open(ctx)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer func() {
		if stop() {
			conn.Close()
		}
	}()
	in := splitter{}
	buf := make([]byte, 4096)
	heard, lastReport, reports := 0, time.Now(), r.Status().Readings
	for {
		deadline := lastReport.Add(r.options.Silence)
		if lines.pending() {
			deadline = time.Now().Add(reportGap)
		}
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
		n, err := conn.Read(buf)
		at := now()
		heard += n
		in.feed(buf[:n], at, func(line []byte, at arrival) {
			if err := lines.line(line, at); err != nil {
				// One line in many is garbled: that is counted, and no state.
				r.state.Partly(0, 1, r.Status().Err)
			}
		})
		timeout := errors.Is(err, os.ErrDeadlineExceeded)
		if timeout && lines.pending() {
			lines.pause()
		}
		if total := r.Status().Readings; total != reports {
			heard, lastReport, reports = 0, time.Now(), total
		}
		switch {
		case timeout || err == nil:
		case err == io.EOF:
			return errors.New("the connection has ended: was it unplugged, or gpsd stopped?")
		default:
			return err
		}
		if time.Since(lastReport) >= r.options.Silence {
			return silence(r.options, heard)
		}
	}
}

// silence says what may be wrong when there was no report.
func silence(o Options, heard int) error {
	switch {
	case o.Port == "":
		return fmt.Errorf("gpsd at %s says nothing of a receiver for %v: does it have one, and is that plugged in? See cgps", o.GPSD, o.Silence)
	case heard == 0:
		return fmt.Errorf("%s is silent for %v: is the receiver plugged in, and is another program reading the port?", o.Port, o.Silence)
	}
	return fmt.Errorf("%s gave %d bytes in %v, and no position sentence (RMC, GGA, GNS) with a right checksum: does it have %d baud?", o.Port, heard, o.Silence, o.Baud)
}

// splitter makes lines of what arrives in pieces.
type splitter struct {
	buf     []byte
	first   arrival // of the first byte in buf
	tooLong bool    // the rest of the line is left out
}

// feed takes a piece, and calls line for each line that it ends, without its end.
func (s *splitter) feed(piece []byte, at arrival, line func([]byte, arrival)) {
	for len(piece) > 0 {
		if len(s.buf) == 0 && !s.tooLong {
			s.first = at
		}
		end := bytes.IndexByte(piece, '\n')
		part := piece
		if end >= 0 {
			part = piece[:end]
		}
		if len(s.buf)+len(part) > maxLine {
			s.buf, s.tooLong = s.buf[:0], true
		}
		if !s.tooLong {
			s.buf = append(s.buf, part...)
		}
		if end < 0 {
			return
		}
		if text := bytes.TrimRight(s.buf, "\r"); len(text) > 0 || s.tooLong {
			line(text, s.first) // a line that is too long is an empty one, which is none
		}
		s.buf, s.tooLong = s.buf[:0], false
		piece = piece[end+1:]
	}
}
