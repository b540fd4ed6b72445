package file

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"milepost/uplink"
	"milepost/uplink/uplinktest"
)

// disk is a file's medium that can be full.
type disk struct {
	broken bool
	fuse   int64 // bytes until it is; 0: never
}

func (d *disk) wrap(w io.Writer) io.Writer { return &faulty{d, w} }

type faulty struct {
	disk *disk
	w    io.Writer
}

func (f *faulty) Write(p []byte) (int, error) {
	d := f.disk
	if d.broken {
		return 0, syscall.ENOSPC
	}
	if d.fuse > 0 && int64(len(p)) >= d.fuse {
		d.broken = true
		n, _ := f.w.Write(p[:d.fuse])
		return n, syscall.ENOSPC
	}
	if d.fuse > 0 {
		d.fuse -= int64(len(p))
	}
	return f.w.Write(p)
}

func TestContract(t *testing.T) {
	for _, encoding := range []uplink.Encoding{uplink.JSON, uplink.Protobuf} {
		t.Run(encoding.String(), func(t *testing.T) {
			uplinktest.TestSink(t, func(t *testing.T) uplinktest.Harness {
				path := filepath.Join(t.TempDir(), "out")
				sink, err := Open(path, 0, Options{Encoding: encoding, Unsynced: true})
				if err != nil {
					t.Fatal(err)
				}
				d := new(disk)
				sink.wrap = d.wrap
				sink.w = d.wrap(sink.file)
				return uplinktest.Harness{
					Sink:       sink,
					Address:    path,
					Received:   func() []uplink.Record { return read(t, path, encoding) },
					Break:      func() { d.broken = true },
					BreakAfter: func(n int64) { d.fuse = max(n, 1) },
					Heal:       func() { *d = disk{} },
					Goroutines: []string{"milepost/uplink/file.("},
				}
			})
		})
	}
}

func read(t *testing.T, path string, encoding uplink.Encoding) (records []uplink.Record) {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if encoding == uplink.Protobuf {
		if records, err = uplink.DecodeRecords(content, nil); err != nil {
			t.Fatal(err)
		}
		return records
	}
	for line := range bytes.Lines(content) {
		r, err := uplink.DecodeJSON(line)
		if err != nil || line[len(line)-1] != '\n' {
			t.Fatalf("line %q: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

func TestCSVHasOneHeader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.csv")
	want := uplink.CSVHeader + "\n"
	for i := range uint64(3) {
		sink, err := Open(path, Append, Options{Encoding: uplink.CSV})
		if err != nil {
			t.Fatal(err)
		}
		for j := range uint64(2) {
			records := uplinktest.Records(i*4+j*2+1, 2)
			if err := sink.Send(t.Context(), records); err != nil {
				t.Fatal(err)
			}
			want += string(uplink.CSV.Append(nil, records))
		}
		if sink.Size() != int64(len(want)) {
			t.Errorf("Size is %d, want %d", sink.Size(), len(want))
		}
		if err := sink.Close(); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("the file is\n%swant\n%s", got, want)
	}
}

// TestResume is a replay that was interrupted between writing and
// acknowledging: what it writes anew is not there twice.
func TestResume(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.json")
	sink, err := Open(path, 0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), uplinktest.Records(1, 10)); err != nil {
		t.Fatal(err)
	}
	acknowledged := sink.Size()
	if err := sink.Send(t.Context(), uplinktest.Records(11, 10)); err != nil {
		t.Fatal(err)
	}
	sink.Close() // and the second acknowledgement is lost

	if sink, err = Open(path, acknowledged, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := sink.Send(t.Context(), uplinktest.Records(11, 20)); err != nil {
		t.Fatal(err)
	}
	sink.Close()
	if got, want := len(read(t, path, uplink.JSON)), 30; got != want {
		t.Errorf("%d records, want %d", got, want)
	}

	if _, err := Open(path, 1<<20, Options{}); err == nil || !strings.Contains(err.Error(), "changed or replaced") {
		t.Errorf("Open beyond the end: %v", err)
	}
}

func TestAppendAfterTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out.json")
	if err := os.WriteFile(path, []byte(`{"device":"van-1`), 0o644); err != nil {
		t.Fatal(err)
	}
	sink, err := Open(path, Append, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	if err := sink.Send(t.Context(), uplinktest.Records(1, 2)); err != nil {
		t.Fatal(err)
	}
	content, _ := os.ReadFile(path)
	if lines := strings.Count(string(content), "\n"); lines != 3 {
		t.Errorf("%d lines, want the torn one and two:\n%s", lines, content)
	}
}

// TestWriter has a writer that takes a part and fails once.
func TestWriter(t *testing.T) {
	var out bytes.Buffer
	d := &disk{fuse: 700}
	sink := New(d.wrap(&out), Options{})
	err := sink.Send(t.Context(), uplinktest.Records(1, 5))
	if err == nil || !strings.Contains(err.Error(), "standard output") {
		t.Fatalf("Send: %v", err)
	}
	*d = disk{}
	if err := sink.Send(t.Context(), uplinktest.Records(1, 5)); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for line := range bytes.Lines(out.Bytes()) {
		if _, err := uplink.DecodeJSON(line); err == nil {
			whole++
		}
	}
	if whole < 5 {
		t.Errorf("%d whole lines after a torn one, want all 5:\n%s", whole, out.Bytes())
	}
}

func TestPipeWithoutReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	r.Close()
	sink := New(w, Options{Encoding: uplink.CSV})
	if err := sink.Send(t.Context(), uplinktest.Records(1, 1)); !errors.Is(err, uplink.ErrGone) {
		t.Errorf("Send: %v, want %v", err, uplink.ErrGone)
	}
}

func TestFullDevice(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("there is no /dev/full here")
	}
	sink, err := Open("/dev/full", Append, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	for range 2 {
		if err := sink.Send(t.Context(), uplinktest.Records(1, 1)); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(fmt.Sprint(err), "/dev/full") {
			t.Errorf("Send: %v, want %v", err, syscall.ENOSPC)
		}
	}
}
