package canlog

import (
	"encoding/binary"

	"milepost/can"
)

// stream is what is known of a (bus, ID, extended) triple: how the log writes
// it, so that it need not be parsed again, and its last payload.
type stream struct {
	// key0 and key1 are the text between the time stamp and the #, padded with
	// zero bytes: one spelling of the bus and the ID. Both are 0 if it is longer
	// or unknown.
	key0, key1 uint64
	// data are the 8 bytes of the last payload, padded with zeros.
	data   uint64
	number uint32
	id     uint32
	bus    uint16
	flags  can.Flags // Extended or not
	// len is the length of the last payload: of more than 8 bytes, it is in
	// streamTable.long; unknownLen says that there is none to compare with.
	len uint8
}

// maxKey is the longest text of bus and ID that a stream is recognised by.
const maxKey = 16

// noStream is the index of the stream that is none. Its len is unknownLen and
// its keys are 0, so that a text of nothing but zero bytes finds a stream that
// has no payload to compare with.
const noStream = 0

// unknownLen is longer than any payload.
const unknownLen = 255

// streamTable finds streams by their text or number.
type streamTable struct {
	numbers can.Streams
	// streams are by number plus one; the first one is none.
	streams []stream
	// long has the last payload of streams that have had more than 8 bytes.
	long map[uint32]*[can.MaxDataLen]byte
	// slots is a hash table with open addressing: indexes of streams by key0 and
	// key1, noStream if empty; shift reduces a hash to an index.
	slots []uint32
	shift uint8
	keys  int
}

func (t *streamTable) init() {
	t.streams = []stream{{len: unknownLen}}
	t.long = make(map[uint32]*[can.MaxDataLen]byte)
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

// hashKey spreads over the high bits.
func hashKey(key0, key1 uint64) uint64 {
	return (key0 ^ key1*0x9E3779B97F4A7C15) * 0xD6E8FEB86659FD93
}

func (t *streamTable) insert(index uint32, e *stream) {
	slot := hashKey(e.key0, e.key1) >> t.shift
	for t.slots[slot] != noStream {
		slot = (slot + 1) & uint64(len(t.slots)-1)
	}
	t.slots[slot] = index
}

// follow numbers the stream of a data frame, sets the Repeat hint, and
// remembers the payload. key is how the log writes bus and ID, if that is
// known.
func (t *streamTable) follow(f *can.Frame, key []byte) {
	extended := f.Flags & can.Extended
	number := t.numbers.Number(f.Bus, f.ID, extended != 0)
	f.Stream = number
	index := number + 1
	if int(index) == len(t.streams) {
		t.streams = append(t.streams, stream{number: number, id: f.ID, bus: f.Bus, flags: extended, len: unknownLen})
	}
	e := &t.streams[index]
	if e.key0 == 0 && len(key) > 0 && len(key) <= maxKey {
		t.learn(index, key)
	}
	if f.Len > 8 {
		t.followLong(e, f)
		return
	}
	data := binary.LittleEndian.Uint64(f.Data[:8])
	if e.len == f.Len && e.data == data {
		f.Flags |= can.Repeat
		return
	}
	e.len, e.data = f.Len, data
}

func (t *streamTable) followLong(e *stream, f *can.Frame) {
	last := t.long[f.Stream]
	if last == nil {
		last = new([can.MaxDataLen]byte)
		t.long[f.Stream] = last
	} else if e.len == f.Len && [can.MaxDataLen]byte(last[:]) == padded(f) {
		f.Flags |= can.Repeat
	}
	e.len, *last = f.Len, padded(f)
}

// padded gives the data with zeros behind them.
func padded(f *can.Frame) (data [can.MaxDataLen]byte) {
	copy(data[:], f.Data[:f.Len])
	return data
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

// forget forgets the payloads, so that the next frame of each stream is no
// Repeat.
func (t *streamTable) forget() {
	for i := range t.streams {
		t.streams[i].len = unknownLen
	}
	clear(t.long)
}
