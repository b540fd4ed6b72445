package slcan

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"milepost/can"
)

func frame(id uint32, flags can.Flags, data ...byte) can.Frame {
	f := can.Frame{ID: id, Flags: flags, Len: uint8(len(data)), Stream: can.NoStream}
	copy(f.Data[:], data)
	return f
}

func remote(id uint32, flags can.Flags, length uint8) can.Frame {
	return can.Frame{ID: id, Flags: flags | can.Remote, Len: length, Stream: can.NoStream}
}

var lines = []struct {
	text  string
	frame can.Frame
}{
	{"t1238DEADBEEF00112233", frame(0x123, 0, 0xde, 0xad, 0xbe, 0xef, 0, 0x11, 0x22, 0x33)},
	{"t0000", frame(0, 0)},
	{"t7FF1FF", frame(can.MaxStandardID, 0, 0xff)},
	{"T18FF12342AABB", frame(0x18ff1234, can.Extended, 0xaa, 0xbb)},
	{"T1FFFFFFF0", frame(can.MaxExtendedID, can.Extended)},
	{"r3212", remote(0x321, 0, 2)},
	{"R000003218", remote(0x321, can.Extended, 8)},
}

func TestFrames(t *testing.T) {
	for _, line := range lines {
		text, err := appendFrame(nil, &line.frame)
		if err != nil || string(text) != line.text+"\r" {
			t.Errorf("written as %q, want %q: %v", text, line.text, err)
		}
		if f, err := parseFrame([]byte(line.text)); err != nil || f != line.frame {
			t.Errorf("%s: read as %+v: %v", line.text, f, err)
		}
	}
	for _, text := range []string{"", "t", "t123", "t1239", "t1231", "t12311", "t12310G", "t8000", "t12320011AA", "x1230", "T200000000", "r12321122", "tXYZ0"} {
		if f, err := parseFrame([]byte(text)); err == nil {
			t.Errorf("%q: read as %+v", text, f)
		}
	}
	for _, f := range []can.Frame{{Len: 9}, {Flags: can.FD}, {Flags: can.Error}} {
		if text, err := appendFrame(nil, &f); err == nil {
			t.Errorf("%+v: written as %q", f, text)
		}
	}
}

// TestAdapter plays the kernel's part.
func TestAdapter(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	kernel, line := net.Pipe()
	a := New(line)
	ended := make(chan error, 1)
	go func() { ended <- a.Run() }()
	say := func(text string) {
		t.Helper()
		if _, err := io.WriteString(kernel, text); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(want string) {
		t.Helper()
		got := make([]byte, len(want))
		if _, err := io.ReadFull(kernel, got); err != nil || string(got) != want {
			t.Fatalf("the kernel hears %q, want %q: %v", got, want, err)
		}
	}
	wait := func(condition func(Status) bool) {
		t.Helper()
		if err := a.Wait(ctx, condition); err != nil {
			t.Fatal(err)
		}
	}
	f := lines[0].frame
	if err := a.Send(f, f); err != nil { // nobody listens yet
		t.Fatal(err)
	}
	say("C\rS6\rO\r")
	wait(func(s Status) bool { return s.Open })
	say("t1232")
	say("0102\rnonsense\r\rS9\r")
	wait(func(s Status) bool { return s.Unknown == 2 })

	for _, do := range []struct {
		want string
		f    func() error
	}{
		{"t1238DEADBEEF00112233\rr3212\r", func() error { return a.Send(f, lines[5].frame) }},
		{"sb256000\r", func() error { return a.SetState(BusOff, 256, 0) }},
		{"sw000096\r", func() error { return a.SetState(Warning, 0, 96) }},
		{"e1a\r", func() error { return a.Report(Acknowledgement) }},
		{"e2bs\r", func() error { return a.Report(DominantBit, Stuff) }},
	} {
		done := make(chan error, 1)
		go func() { done <- do.f() }()
		hear(do.want)
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	say("C\rL\r")
	wait(func(s Status) bool { return s.ListenOnly })
	say("t1230\r") // must not be
	wait(func(s Status) bool { return s.Unknown == 3 })
	want := Status{Open: true, ListenOnly: true, Bitrate: 500000, Received: 1, Sent: 2, Dropped: 2, Unknown: 3}
	if s := a.Status(); s != want {
		t.Errorf("the status is %+v, want %+v", s, want)
	}
	if got := a.Received(); len(got) != 1 || got[0] != frame(0x123, 0, 1, 2) {
		t.Errorf("received %+v", got)
	}
	if a.SetState(Active, 1000, 0) == nil || a.SetState(Active, 0, -1) == nil || a.Report() == nil {
		t.Error("what has no place on the line was sent")
	}
	kernel.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := a.Wait(ctx, func(s Status) bool { return false }); err == nil {
		t.Error("waiting on a line that has ended is no error")
	}
}

func FuzzCommands(f *testing.F) {
	for _, line := range lines {
		f.Add([]byte("S8\rO\r" + line.text + "\r"))
	}
	f.Add([]byte("C\rL\rt\r\r"))
	f.Fuzz(func(t *testing.T, input []byte) {
		a := New(bytes.NewBuffer(bytes.Clone(input)))
		if err := a.Run(); err != nil {
			t.Fatal(err)
		}
		s := a.Status()
		if int(s.Received) != len(a.Received()) || s.Received+s.Unknown > uint64(bytes.Count(input, []byte("\r"))) {
			t.Errorf("%+v of %q", s, input)
		}
		for _, got := range a.Received() {
			text, err := appendFrame(nil, &got)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := parseFrame(text[:len(text)-1]); err != nil || again != got {
				t.Errorf("%q is read as %+v: %v", text, again, err)
			}
		}
	})
}
