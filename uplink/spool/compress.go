package spool

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// Compression says how entries are stored. Spools with different ones, and
// entries in one spool, can be mixed.
type Compression int

const (
	None Compression = iota
	// Zstd stores an entry compressed, on its own, where that makes it smaller.
	Zstd
)

// A compressed entry is a frame of version 2 and kind 3, whose payload is the
// length of the entry, uvarint, and a Zstandard frame (RFC 8878) of it.
const (
	compressedVersion = 2
	kindCompressed    = 3

	// compressionWindow bounds the memory of who compresses and who reads.
	compressionWindow = 128 << 10
)

// newEncoder returns an encoder that works in the caller's goroutine.
func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(compressionWindow), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return e
}

// decoders are reused among cursors: each has a few hundred KiB.
var decoders = sync.Pool{New: func() any {
	d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(MaxEntry))
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return d
}}

// compressor compresses one entry after the other. It is for one goroutine.
type compressor struct {
	encoder *zstd.Encoder
	buffer  []byte
}

// compress returns the payload of a compressed entry, or nil if that would not
// be smaller. The result is valid until the next call.
func (c *compressor) compress(payload []byte) []byte {
	if len(payload) < 32 {
		return nil
	}
	if c.encoder == nil {
		c.encoder = newEncoder()
	}
	b := binary.AppendUvarint(c.buffer[:0], uint64(len(payload)))
	b = c.encoder.EncodeAll(payload, b)
	if c.buffer = b; cap(b) > maxIdleBuffer {
		c.buffer = nil
	}
	if len(b) >= len(payload) {
		return nil
	}
	return b
}

// appendPayload appends what an entry holds to dst. An error says that a
// compressed one is not what was written, whatever its checksum says.
func (rec *record) appendPayload(dst []byte) ([]byte, error) {
	if !rec.compressed {
		return append(dst, rec.payload...), nil
	}
	length, n := binary.Uvarint(rec.payload)
	if n <= 0 || length > MaxEntry {
		return dst, fmt.Errorf("a compressed entry without a length: %w", errDamaged)
	}
	var header zstd.Header
	if err := header.Decode(rec.payload[n:]); err != nil || !header.HasFCS || header.FrameContentSize != length {
		return dst, fmt.Errorf("a compressed entry without a Zstandard frame of its length: %w", errDamaged)
	}
	d := decoders.Get().(*zstd.Decoder)
	defer decoders.Put(d)
	got, err := d.DecodeAll(rec.payload[n:], dst)
	if err != nil {
		return dst, fmt.Errorf("a compressed entry: %w: %w", err, errDamaged)
	}
	if uint64(len(got)-len(dst)) != length {
		return dst, fmt.Errorf("a compressed entry of %d bytes instead of %d: %w", len(got)-len(dst), length, errDamaged)
	}
	return got, nil
}
