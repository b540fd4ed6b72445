// Package file writes records to a file or to standard output.
package file

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"milepost/uplink"
)

// Options configure a Sink.
type Options struct {
	// Encoding of the records. CSV begins with its header row.
	Encoding uplink.Encoding
	// Unsynced makes Send return when the operating system has the records,
	// without waiting for the disk.
	Unsynced bool
}

// Sink appends records to a file. It implements uplink.Sink.
//
// A file holds whole records only: what a failed write leaves of a record is cut
// off before the next one is written.
type Sink struct {
	path     string // "" for a writer
	o        Options
	w        io.Writer
	file     *os.File // nil while there is none, and for a writer
	regular  bool     // file is one, and can be cut
	size     int64    // of the good bytes
	torn     bool     // what follows them may not be good
	midLine  bool     // they do not end a line, though they should
	headed   bool     // the header is written or not called for
	resumeAt int64    // where the first opening cuts the file; Append: nowhere
	buffer   []byte

	wrap func(io.Writer) io.Writer // round the file, in tests
}

// Append as the resumeAt of Open keeps all that the file holds.
const Append int64 = -1

// Open opens or creates the file at path. Of what it holds, the first resumeAt
// bytes are kept: 0 starts it anew, the Size noted at an acknowledgement goes on
// from there without doubles, and Append keeps all. Open fails if the file is
// shorter.
//
// After a failed write Send opens the file again, so that a medium that was
// full or was pulled out can come back. Devices and pipes are written to, never
// cut.
func Open(path string, resumeAt int64, o Options) (*Sink, error) {
	s := &Sink{path: path, o: o, resumeAt: resumeAt}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// New makes a Sink that writes to w, such as standard output, and never closes
// it.
func New(w io.Writer, o Options) *Sink {
	return &Sink{w: w, o: o, headed: o.Encoding != uplink.CSV}
}

// Size is the number of bytes that the file holds after the last Send that
// succeeded: of a resumed file all, of a writer what went to it.
func (s *Sink) Size() int64 { return s.size }

func (s *Sink) open() error {
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return fmt.Errorf("file sink: %w", err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return fmt.Errorf("file sink: %w", err)
	}
	s.regular = info.Mode().IsRegular()
	if s.regular {
		if s.resumeAt == Append {
			s.resumeAt = info.Size()
		}
		if info.Size() < s.resumeAt {
			f.Close()
			return fmt.Errorf("file sink: %s has %d bytes, fewer than the %d that were acknowledged: it was changed or replaced; start it anew under another name", s.path, info.Size(), s.resumeAt)
		}
		s.size = s.resumeAt
	}
	s.file, s.w = f, f
	if s.wrap != nil {
		s.w = s.wrap(f)
	}
	s.headed = s.o.Encoding != uplink.CSV || s.size > 0
	s.torn = s.regular && info.Size() > s.size
	s.midLine = s.text() && s.regular && s.size > 0 && !endsLine(s.path, s.size)
	if s.regular && info.Size() == 0 && !s.o.Unsynced {
		syncDirectory(filepath.Dir(s.path)) // best effort: not every file system can
	}
	return nil
}

// text reports whether records are lines.
func (s *Sink) text() bool { return s.o.Encoding == uplink.JSON || s.o.Encoding == uplink.CSV }

// endsLine reports whether the file's byte before size ends a line: what is
// appended to may have been cut off in a record.
func endsLine(path string, size int64) bool {
	f, err := os.Open(path)
	if err != nil {
		return true
	}
	defer f.Close()
	var last [1]byte
	_, err = f.ReadAt(last[:], size-1)
	return err != nil || last[0] == '\n'
}

// syncDirectory makes a file that was created in it durable.
func syncDirectory(path string) {
	if d, err := os.Open(path); err == nil {
		d.Sync()
		d.Close()
	}
}

// Send implements uplink.Sink.
func (s *Sink) Send(ctx context.Context, records []uplink.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(records) == 0 {
		return nil
	}
	if s.w == nil {
		if err := s.open(); err != nil {
			return err
		}
	}
	if err := s.mend(); err != nil {
		return s.failed(err)
	}
	s.buffer = s.buffer[:0]
	if s.midLine {
		s.buffer = append(s.buffer, '\n')
	}
	if !s.headed {
		s.buffer = append(append(s.buffer, uplink.CSVHeader...), '\n')
	}
	s.buffer = s.o.Encoding.Append(s.buffer, records)
	n, err := s.w.Write(s.buffer)
	if err == nil && s.regular && !s.o.Unsynced {
		err = s.file.Sync()
	}
	if err != nil {
		if s.regular {
			s.torn = true
		} else if n > 0 {
			// It cannot be taken back, but the next line can be a whole one.
			s.headed = true
			if s.midLine = s.text() && s.buffer[n-1] != '\n'; !s.text() {
				err = fmt.Errorf("%w: a part of a message is written and cannot be taken back: %w", uplink.ErrGone, err)
			}
		}
		return s.failed(err)
	}
	s.midLine, s.headed = false, true
	s.size += int64(n)
	return nil
}

// mend cuts off what a failed write left, and goes to the end.
func (s *Sink) mend() error {
	if !s.regular {
		return nil
	}
	if s.torn {
		if err := s.file.Truncate(s.size); err != nil {
			return err
		}
		s.torn = false
	}
	_, err := s.file.Seek(s.size, io.SeekStart)
	return err
}

// failed makes the error of a failed Send. The file is closed: an error of
// fsync is told only once, by the file that met it.
func (s *Sink) failed(err error) error {
	name := s.path
	if name == "" {
		name = "standard output"
		if f, ok := s.w.(*os.File); ok {
			name = f.Name()
		}
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, io.ErrClosedPipe) {
		err = fmt.Errorf("%w: its reader has ended: %w", uplink.ErrGone, err)
	}
	if s.regular {
		s.mend() // at best now, else when it is opened again
		s.file.Close()
		s.file, s.w, s.resumeAt = nil, nil, s.size
	}
	return fmt.Errorf("file sink: write %s after %d bytes: %w", name, s.size, err)
}

// Close closes the file. One that got no records has its header all the same.
func (s *Sink) Close() error {
	var err error
	if s.w != nil && !s.headed && s.size == 0 && !s.midLine {
		_, err = io.WriteString(s.w, uplink.CSVHeader+"\n")
	}
	if s.file != nil {
		err = errors.Join(err, s.file.Close())
	}
	s.file, s.w = nil, nil
	if err != nil {
		return fmt.Errorf("file sink: %w", err)
	}
	return nil
}
