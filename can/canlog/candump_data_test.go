package canlog

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"milepost/can"
)

// TestRealLogs compares the frames of real logs with those that python-can
// read.
func TestRealLogs(t *testing.T) {
	for _, name := range []string{
		"candump/comma2k19_rav4.log.gz",
		"candump/kuksa_dogmode.log",
		"candump/once_1.log",
		"candump/savvycan_candump.log",
		"derived/comma2k19_6k.log",
		"derived/comma2k19_6k.log.gz",
	} {
		t.Run(filepath.Base(name), func(t *testing.T) {
			log := open(t, testData(t, filepath.Join("logs", name)), Options{})
			got := readAll(t, log)
			want := referenceFrames(t, name)
			if !slices.Equal(want, got) { // far faster than cmp
				t.Errorf("frames differ (-want +got):\n%.3000s", cmp.Diff(want, got))
			}
			checkBalance(t, log.Stats())
			if done, total := log.Progress(); done != total {
				t.Errorf("Progress at the end: %d of %d bytes", done, total)
			}
			if !log.Splittable() && name != "candump/once_1.log" {
				t.Error("not splittable")
			}
		})
	}
}

// TestPythonCanLog reads the special frames as python-can wrote them: it drops
// the class of error frames and the length of remote ones.
func TestPythonCanLog(t *testing.T) {
	log := open(t, testData(t, "logs/derived/special_dev.log"), Options{})
	want := truthFrames(t)
	for i := range want {
		if f := &want[i]; f.Flags&can.Remote != 0 {
			f.Len = 0
		}
		if f := &want[i]; f.Flags&can.Error != 0 {
			f.ID = 0x80 // CAN_ERR_BUSERROR
		}
	}
	if diff := cmp.Diff(want, readAll(t, log)); diff != "" {
		t.Errorf("frames differ (-want +got):\n%.3000s", diff)
	}
	checkBalance(t, log.Stats())
}

// TestOddLogs reads what python-can could not.
func TestOddLogs(t *testing.T) {
	for _, test := range []struct {
		name                     string
		frames, comments, noTime uint64
		first, last              named
	}{
		{
			"canboat_candump-fast-cr.txt", 23, 0, 0,
			named{352e6, "vcan0", 0x09F20101, can.Extended, 8, 0, "601a00b706670d0b"},
			named{},
		},
		{
			"canboat_candumpSample1.txt", 6026, 9, 6026,
			named{0, "can0", 0x18EEFF01, can.Extended, 8, 0, "05a0be1c00a0a0c0"},
			named{0, "can0", 0x09F80100, can.Extended, 8, 0, "047e5419243355d5"},
		},
		{
			"canboat_candumpSample3.log", 2368, 10, 0,
			named{1502984866_421964000, "slcan0", 0x09F112CC, can.Extended, 8, 0, "ff725aff7fff7ffd"},
			named{1502984883_826292000, "slcan0", 0x09F119CC, can.Extended, 8, 0, "ff765accf7f804ff"},
		},
		{
			"once_2.log", 1, 0, 1,
			named{0, "can0", 0x1337, can.Extended | can.FD, 8, 0, "0807060504030201"},
			named{0, "can0", 0x1337, can.Extended | can.FD, 8, 0, "0807060504030201"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			log := open(t, testData(t, filepath.Join("logs/candump", test.name)), Options{})
			got := readAll(t, log)
			s := log.Stats()
			checkBalance(t, s)
			if s.Frames != test.frames || s.Comments != test.comments || s.NoTime != test.noTime {
				t.Errorf("%d frames, %d comments, %d without time; want %d, %d, %d",
					s.Frames, s.Comments, s.NoTime, test.frames, test.comments, test.noTime)
			}
			if got[0] != test.first {
				t.Errorf("first frame %+v, want %+v", got[0], test.first)
			}
			if last := got[len(got)-1]; test.last.Bus != "" && last != test.last {
				t.Errorf("last frame %+v, want %+v", last, test.last)
			}
		})
	}
}

// The names of the dialect files end in the options of candump:
//
//	special_dev.candump_v2025.01+81_ta_x.txt
//
// What an option cannot say is left out of the expectation.
func expectDialect(frames []named, file string) (want []named, details uint64) {
	_, options, _ := strings.Cut(strings.TrimSuffix(filepath.Base(file), ".txt"), ".candump_")
	option := strings.Split(options, "_")[1:]
	has := func(o string) bool { return slices.Contains(option, o) }

	for _, f := range frames {
		// These files come from a bus where each error frame was an empty one of a
		// third interface.
		if f.Flags&can.Error != 0 {
			f = named{Time: f.Time, Bus: "can2", Flags: can.Error}
		}
		// Remote frames were written without length.
		if f.Flags&can.Remote != 0 {
			f.Len = 0
		}
		if !has("x") {
			f.Flags &^= can.Sent
			if !has("L") {
				f.Flags &^= can.BRS | can.ESI
			}
		}
		switch {
		case has("none"):
			f.Time = 0
		case has("td"), has("tz"):
			f.Time -= frames[0].Time
		}
		if has("e") && f.Flags&can.Error != 0 {
			details++
		}
		want = append(want, f)
	}
	return want, details
}

// TestDialects reads the same frames in all forms of two versions of candump.
func TestDialects(t *testing.T) {
	comma := referenceFrames(t, "derived/comma2k19_6k.log")[:600]
	special := truthFrames(t)
	files, err := filepath.Glob(filepath.Join(testData(t, "logs/candump/dialects"), "*_dev.candump*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	more, _ := filepath.Glob(filepath.Join(testData(t, "logs/candump/dialects"), "comma*.txt"))
	for _, file := range append(files, more...) {
		base := filepath.Base(file)
		if strings.HasPrefix(base, "exotic") {
			continue
		}
		t.Run(base, func(t *testing.T) {
			frames := comma
			if strings.HasPrefix(base, "special") {
				frames = special
			}
			want, details := expectDialect(frames, file)
			log := open(t, file, Options{})
			if diff := cmp.Diff(want, readAll(t, log)); diff != "" {
				t.Errorf("frames differ (-want +got):\n%.3000s", diff)
			}
			s := log.Stats()
			checkBalance(t, s)
			if s.Details != details || s.Comments != 0 {
				t.Errorf("%d details, %d comments; want %d, 0", s.Details, s.Comments, details)
			}
			if got, want := log.Splittable(), strings.Contains(base, "_L"); got != want {
				t.Errorf("Splittable is %t", got)
			}
		})
	}
}

// TestExotic reads raw DLCs, lengths of remote frames, and CAN XL.
func TestExotic(t *testing.T) {
	classic := func(second int64, id uint32, raw uint8, data string) named {
		return named{(1700001000+second)*1e9 + 123456000, "can0", id, 0, 8, raw, data}
	}
	remote := func(second int64, id uint32, length uint8) named {
		return named{(1700001000+second)*1e9 + 123456000, "can0", id, can.Extended | can.Remote, length, 0, ""}
	}
	frames := []named{
		classic(1, 1907, 9, "6d25cf734c49a1dd"),
		classic(2, 777, 12, "7648ab73bde20182"),
		classic(3, 1948, 15, "78e6452f2969cccd"),
		remote(4, 199902473, 0),
		remote(5, 101064292, 5),
		remote(6, 479525745, 8),
	}
	for _, options := range []string{"L", "ta", "ta_8"} {
		t.Run(options, func(t *testing.T) {
			want := slices.Clone(frames)
			if options == "ta" { // does not say the raw DLC
				for i := range want {
					want[i].RawDLC = 0
				}
			}
			log := open(t, testData(t, "logs/candump/dialects/exotic_dev.candump_v2025.01+81_"+options+".txt"), Options{})
			if diff := cmp.Diff(want, readAll(t, log)); diff != "" {
				t.Errorf("frames differ (-want +got):\n%s", diff)
			}
			s := log.Stats()
			checkBalance(t, s)
			if s.XL != 3 || s.Remote != 3 || s.Frames != 6 {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestFastPathOnRealLogs reads real logs once with and once without the fast
// path.
func TestFastPathOnRealLogs(t *testing.T) {
	for _, pattern := range []string{"candump/*.*", "candump/dialects/*.txt", "derived/*.log"} {
		files, err := filepath.Glob(filepath.Join(testData(t, "logs"), pattern))
		if err != nil || len(files) == 0 {
			t.Fatal(err, len(files))
		}
		for _, file := range files {
			if text := wholeText(t, file); text != nil {
				sameAsGeneral(t, text)
			}
		}
	}
}
