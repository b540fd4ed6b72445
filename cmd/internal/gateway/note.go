package gateway

import "encoding/binary"

// note is what a cursor keeps with an acknowledgement.
type note struct {
	// sequence is the highest of the records that the sink has, or refused, and
	// records how many they are.
	sequence, records uint64
	// number counts the acknowledgements of a sink over all its classes: of the
	// notes of several cursors, that with the highest number is the newest.
	number uint64
	// sink is the sink's own note, of up to maxSinkNote bytes.
	sink []byte
}

const (
	noteHead = 24
	// maxSinkNote is what a spool.MaxNote leaves.
	maxSinkNote = 40
	// countedNote marks the sequence of a note that has counts behind it. Before
	// there were classes, a note was a sequence, and the sink's own behind it.
	countedNote = 1 << 63
)

func (n *note) encode() []byte {
	b := make([]byte, 0, noteHead+len(n.sink))
	b = binary.LittleEndian.AppendUint64(b, n.sequence|countedNote)
	b = binary.LittleEndian.AppendUint64(b, n.records)
	b = binary.LittleEndian.AppendUint64(b, n.number)
	return append(b, n.sink...)
}

// parseNote takes a note apart; an empty or foreign one says nothing.
func parseNote(b []byte) (n note) {
	if len(b) < 8 {
		return n
	}
	n.sequence = binary.LittleEndian.Uint64(b)
	if n.sequence&countedNote == 0 {
		// All records were one class, delivered in order.
		n.records, n.sink = n.sequence, b[8:]
		return n
	}
	if len(b) < noteHead {
		return note{}
	}
	n.sequence &^= countedNote
	n.records = binary.LittleEndian.Uint64(b[8:])
	n.number = binary.LittleEndian.Uint64(b[16:])
	n.sink = b[noteHead:]
	return n
}
