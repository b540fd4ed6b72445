package can_test

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"

	"milepost/can"
)

func TestFormatID(t *testing.T) {
	for _, test := range []struct {
		id       uint32
		extended bool
		want     string
	}{
		{0, false, "000"}, {0x7F, false, "07F"}, {can.MaxStandardID, false, "7FF"},
		{0, true, "00000000"}, {0x7FF, true, "000007FF"}, {can.MaxExtendedID, true, "1FFFFFFF"},
	} {
		if got := can.FormatID(test.id, test.extended); got != test.want {
			t.Errorf("FormatID(%X, %v) = %s, want %s", test.id, test.extended, got, test.want)
		}
	}
}

func TestLenOfDLC(t *testing.T) {
	fd := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 20, 24, 32, 48, 64}
	for dlc := range 256 {
		if got, want := can.LenOfDLC(uint8(dlc), true), fd[dlc%16]; got != want {
			t.Errorf("FD code %d: %d bytes, want %d", dlc, got, want)
		}
		if got, want := can.LenOfDLC(uint8(dlc), false), min(dlc%16, 8); got != want {
			t.Errorf("classical code %d: %d bytes, want %d", dlc, got, want)
		}
	}
}

func TestPayload(t *testing.T) {
	f := can.Frame{Len: 3, Data: [can.MaxDataLen]byte{1, 2, 3, 4}}
	if got := f.Payload(); !bytes.Equal(got, []byte{1, 2, 3}) {
		t.Errorf("payload %v", got)
	}
	f.Len = 255
	if got := len(f.Payload()); got != can.MaxDataLen {
		t.Errorf("a length that cannot be gives %d bytes", got)
	}
	f.Flags = can.Remote | can.Extended
	if f.Payload() != nil {
		t.Error("a remote frame has data")
	}
	if !f.Is(can.Remote|can.Extended) || f.Is(can.Remote|can.FD) || !f.Is(0) {
		t.Error("Is does not ask for all flags")
	}
}

// TestStreams compares with a map: dense numbers, in the order of first sight,
// each for one bus, ID and kind of ID.
func TestStreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s can.Streams
		model := map[can.StreamKey]uint32{}
		for range rapid.IntRange(1, 200).Draw(t, "frames") {
			key := can.StreamKey{
				Bus:      rapid.OneOf(rapid.Uint16Range(0, 3), rapid.Uint16Range(0, 300)).Draw(t, "bus"),
				ID:       rapid.OneOf(rapid.Uint32Range(0, 4), rapid.SampledFrom([]uint32{can.MaxStandardID, can.MaxStandardID + 1, can.MaxExtendedID, 1<<32 - 1})).Draw(t, "id"),
				Extended: rapid.Bool().Draw(t, "extended"),
			}
			want, known := model[key]
			if !known {
				want = uint32(len(model))
				model[key] = want
			}
			if got := s.Number(key.Bus, key.ID, key.Extended); got != want {
				t.Fatalf("%+v is stream %d, want %d", key, got, want)
			}
			if s.Key(want) != key || s.Len() != len(model) {
				t.Fatalf("stream %d is %+v of %d, want %+v of %d", want, s.Key(want), s.Len(), key, len(model))
			}
		}
	})
}

func TestStreamsAllocateOnce(t *testing.T) {
	var s can.Streams
	for id := range uint32(10) {
		s.Number(1, id, false)
		s.Number(1, id, true)
	}
	if n := testing.AllocsPerRun(100, func() { s.Number(1, 3, false); s.Number(1, 3, true) }); n != 0 {
		t.Errorf("%v allocations for known streams", n)
	}
}
