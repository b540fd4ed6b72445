package canlog

import (
	"encoding/binary"

	"milepost/can"
)

// stream is what is known of a (bus, ID, extended) triple: how the log writes
// it, so that it need not be parsed again.
type stream struct {
	// key0 and key1 are the text between the time stamp and the #, padded with
	// zero bytes: one spelling of the bus and the ID. Both are 0 if it is longer
	// or unknown.
	key0, key1 uint64
	number     uint32
	id         uint32
	bus        uint16
	flags      can.Flags // Extended or not
	// usual is the length in bytes of the payload that the last line had, of those
	// that were not as long as most lines.
	usual uint8
}

// maxKey is the longest text of bus and ID that a stream is recognised by.
const maxKey = 16

// noStream is the index of the stream that is none. No text has its key1: what
// precedes a # has at most seven bytes there.
const noStream = 0

// streamTable finds streams by their text or number.
type streamTable struct {
	numbers can.Streams
	// streams are by number plus one; the first one is none.
	streams []stream
	// slots is a hash table with open addressing: indexes of streams by key0 and
	// key1, noStream if empty; shift reduces a hash to an index.
	slots []uint32
	shift uint8
	keys  int
	// known has copies of streams where a shorter hash finds them at once, if no
	// other one has taken their place.
	known *[1 << (64 - knownShift)]stream
}

const knownShift = 64 - 9

func (t *streamTable) init() {
	t.streams = []stream{{key1: ^uint64(0)}}
	t.known = new([1 << (64 - knownShift)]stream)
	for i := range t.known {
		t.known[i] = t.streams[noStream]
	}
	t.resize(10)
}

func (t *streamTable) resize(bits uint8) {
	t.slots = make([]uint32, 1<<bits)
	t.shift = 64 - bits
	for i := range t.streams {
		if e := &t.streams[i]; e.key0 != 0 {
			t.insert(uint32(i), e)
		}
	}
}

// mixKey makes one word of a key: key0 where key1 is 0.
func mixKey(key0, key1 uint64) uint64 { return key0 ^ key1*0x9E3779B97F4A7C15 }

// hashKey spreads a mixed key over the high bits.
func hashKey(mixed uint64) uint64 { return mixed * 0xD6E8FEB86659FD93 }

func (t *streamTable) insert(index uint32, e *stream) {
	slot := hashKey(mixKey(e.key0, e.key1)) >> t.shift
	for t.slots[slot] != noStream {
		slot = (slot + 1) & uint64(len(t.slots)-1)
	}
	t.slots[slot] = index
}

// find finds the stream of a text; nil if it is not known.
func (t *streamTable) find(key0, key1 uint64) *stream {
	slot := hashKey(mixKey(key0, key1)) >> t.shift
	for {
		index := t.slots[slot&uint64(len(t.slots)-1)]
		if index == noStream {
			return nil
		}
		if e := &t.streams[index]; e.key0 == key0 && e.key1 == key1 {
			return e
		}
		slot++
	}
}

// recall puts the stream of a text among the known ones, if it has been seen
// before.
func (t *streamTable) recall(key0, key1 uint64) bool {
	e := t.find(key0, key1)
	if e != nil {
		t.known[hashKey(mixKey(key0, key1))>>knownShift] = *e
	}
	return e != nil
}

// follow numbers the stream of a data frame. key is how the log writes bus and
// ID, if that is known.
func (t *streamTable) follow(f *can.Frame, key []byte) {
	extended := f.Flags & can.Extended
	number := t.numbers.Number(f.Bus, f.ID, extended != 0)
	f.Stream = number
	index := number + 1
	if int(index) == len(t.streams) {
		t.streams = append(t.streams, stream{number: number, id: f.ID, bus: f.Bus, flags: extended})
	}
	if e := &t.streams[index]; e.key0 == 0 && len(key) > 0 && len(key) <= maxKey {
		t.learn(index, key)
	}
}

// learn makes a stream be found by a text.
func (t *streamTable) learn(index uint32, key []byte) {
	if t.keys++; t.keys*4 > len(t.slots) {
		t.resize(64 - t.shift + 1)
	}
	var text [maxKey]byte
	copy(text[:], key)
	e := &t.streams[index]
	e.key0 = binary.LittleEndian.Uint64(text[:8])
	e.key1 = binary.LittleEndian.Uint64(text[8:])
	t.insert(index, e)
}
