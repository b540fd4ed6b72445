package cantest

import (
	"bytes"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"milepost/can"
)

var update = flag.Bool("update", false, "write testdata/demo/demo.dbc")

// The models are well formed: names and arbitration IDs are unique, signals lie
// within the payload and overlap only where they are in different groups.
func TestModels(t *testing.T) {
	for _, m := range []*Model{DemoModel(), WorkloadModel()} {
		type key struct {
			id       uint32
			extended bool
		}
		ids, names := make(map[key]bool), make(map[string]bool)
		for i := range m.Messages {
			message := &m.Messages[i]
			k := key{message.ID, message.Extended}
			if ids[k] || names[message.Name] {
				t.Errorf("%s: the ID or the name is taken", message.Name)
			}
			ids[k], names[message.Name] = true, true
			if limit := uint32(can.MaxStandardID); !message.Extended && message.ID > limit || message.ID > can.MaxExtendedID {
				t.Errorf("%s: no ID: %#x", message.Name, message.ID)
			}
			signals := make(map[string]bool)
			var taken [64][]int // the groups of each bit
			for j := range message.Signals {
				s := &message.Signals[j]
				if signals[s.Name] || s.Bits == 0 || s.Bits > 32 {
					t.Errorf("%s.%s: name is taken, or has %d bits", message.Name, s.Name, s.Bits)
				}
				signals[s.Name] = true
				if s.Table != nil && len(s.Table.Names) > 1<<s.Bits {
					t.Errorf("%s.%s: %d values in %d bits", message.Name, s.Name, len(s.Table.Names), s.Bits)
				}
				if got := fixed(s.Factor); got == 0 {
					t.Errorf("%s.%s: factor %v", message.Name, s.Name, s.Factor)
				}
				for _, bit := range referenceBits(s) {
					if bit >= int(message.Len)*8 {
						t.Fatalf("%s.%s: bit %d of %d bytes", message.Name, s.Name, bit, message.Len)
					}
					for _, group := range taken[bit] {
						if group == NoGroup || s.Group == NoGroup || group == s.Group {
							t.Errorf("%s.%s: bit %d is taken", message.Name, s.Name, bit)
						}
					}
					taken[bit] = append(taken[bit], s.Group)
				}
			}
		}
	}
}

func TestWorkloadCounts(t *testing.T) {
	type counts struct{ messages, signals, motorola, signed, tables, extended, multiplexed, protected int }
	var got counts
	for _, m := range WorkloadModel().Messages {
		got.messages++
		if m.Extended {
			got.extended++
		}
		for _, s := range m.Signals {
			got.signals++
			if s.Motorola {
				got.motorola++
			}
			if s.Signed {
				got.signed++
			}
			if s.Table != nil {
				got.tables++
			}
			switch s.Role {
			case Selector:
				got.multiplexed++
			case Checksum:
				got.protected++
			}
		}
	}
	if want := (counts{60, 432, 165, 95, 153, 8, 5, 12}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// The checked-in DBC is that of the model. After a change of the model:
// go test ./can/cantest -run TestDemoDBC -update
func TestDemoDBC(t *testing.T) {
	path := filepath.Join("..", "..", "testdata", "demo", "demo.dbc")
	want := DemoDBC()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not up to date: run this test with -update", path)
	}
}

// Payloads are packed by another package; this packs them bit by bit.
func TestPackAgreesWithReference(t *testing.T) {
	for _, m := range []*Model{DemoModel(), WorkloadModel()} {
		random := rand.NewPCG(5, 6)
		for i := range m.Messages {
			message := &m.Messages[i]
			values := make([]int64, quantities)
			p := planMessage(message, &values, random)
			for round := range 40 {
				// Values of all signals, in range and beyond it.
				for j := range p.signals {
					s := &p.signals[j]
					span := s.high - s.low + 3
					s.value = int32(len(values))
					values = append(values, (s.low-1+int64(random.Uint64()%uint64(span)))*s.divisor+s.offset)
				}
				want := make([]byte, 8)
				group := -2
				planned := 0
				var checksum *Signal
				for j := range message.Signals {
					s := &message.Signals[j]
					if s.Role == Checksum {
						checksum = s
						continue
					}
					plan := &p.signals[planned]
					planned++
					raw := (values[plan.value] - plan.offset) / plan.divisor
					switch s.Role {
					case Counter:
						raw = int64(round) % (1 << s.Bits)
					case Selector:
						raw = int64(round) % 4
						group = int(raw)
					}
					lo, hi := s.rawRange()
					if s.Group == NoGroup || s.Group == group {
						referencePack(want, s, uint64(min(max(raw, lo), hi)))
					}
				}
				if checksum != nil {
					referencePack(want, checksum, uint64(referenceCRC8(want[:message.Len], int(checksum.Start/8))))
				}
				got := p.pack(values)
				p.sequence++
				if !bytes.Equal(got[:], want) {
					t.Fatalf("%s, frame %d: % x, want % x", message.Name, round, got, want)
				}
			}
		}
	}
}

// referenceBits lists the bits of a signal from the least significant one.
func referenceBits(s *Signal) []int {
	bits := make([]int, s.Bits)
	at := int(s.Start)
	for i := range bits {
		if !s.Motorola {
			bits[i] = at
			at++
			continue
		}
		bits[len(bits)-1-i] = at
		if at%8 == 0 {
			at += 15 // the most significant bit of the next byte
		} else {
			at--
		}
	}
	return bits
}

func referencePack(data []byte, s *Signal, raw uint64) {
	for i, bit := range referenceBits(s) {
		data[bit/8] |= byte(raw>>i&1) << (bit % 8)
	}
}

// referenceCRC8 divides by the polynomial, bit by bit.
func referenceCRC8(data []byte, skip int) byte {
	crc := byte(0xFF)
	for i, b := range data {
		if i == skip {
			continue
		}
		for n := 7; n >= 0; n-- {
			top := crc>>7 ^ b>>n&1
			crc = crc<<1 ^ top*0x1D
		}
	}
	return ^crc
}

func TestCRC8CheckValue(t *testing.T) {
	// The check value of CRC-8/SAE-J1850 is that of the digits 1 to 9.
	if got := referenceCRC8([]byte("123456789"), -1); got != 0x4B {
		t.Errorf("%#x, want 0x4B", got)
	}
	data := [8]byte{'1', '2', '3', '4', '5', '6', '7', '8'}
	if got, want := crc8(&data, 8, 3), referenceCRC8(data[:], 3); got != want {
		t.Errorf("%#x, want %#x", got, want)
	}
}
