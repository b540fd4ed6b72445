package canlog

import (
	"bytes"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// countingReader knows how much has been read from it.
type countingReader struct {
	r io.Reader
	n atomic.Int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// readHead fills buf behind its first n bytes until enough says so, buf is full,
// or r ends: a live pipe must not be waited for longer than needed. It returns
// how many bytes there are then.
func readHead(r io.Reader, buf []byte, n int, enough func(head []byte) bool) (int, error) {
	for idle := 0; n < len(buf) && !enough(buf[:n]); {
		m, err := r.Read(buf[n:])
		n += m
		if err != nil {
			return n, err
		}
		if m > 0 {
			idle = 0
		} else if idle++; idle == maxEmptyReads {
			return n, io.ErrNoProgress
		}
	}
	return n, nil
}

// readSome reads what there is.
func readSome(r io.Reader, buf []byte) (int, error) {
	return readHead(r, buf, 0, func(head []byte) bool { return len(head) > 0 })
}

// maxEmptyReads is how many Reads in a row may give neither data nor an error.
const maxEmptyReads = 100

// maxZstdWindow is the most memory that a zstd log may ask for: that of
// zstd --long, and the limit of the zstd command itself.
const maxZstdWindow = 128 << 20

// longestMagic is the length of the longest magic number of compressed data.
const longestMagic = 4

// decompressor recognises compressed data by its magic number; nil if it is
// not. The readers that it makes have no goroutines and need not be closed:
// closing them beside a Read would be a race.
func decompressor(head []byte) func(io.Reader) (io.Reader, error) {
	switch {
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return func(r io.Reader) (io.Reader, error) {
			z, err := gzip.NewReader(r)
			if err != nil {
				return nil, fmt.Errorf("gzip: %w", err)
			}
			return z, nil
		}
	case bytes.HasPrefix(head, []byte("\x28\xb5\x2f\xfd")):
		return func(r io.Reader) (io.Reader, error) {
			z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1),
				zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxZstdWindow))
			if err != nil {
				return nil, fmt.Errorf("zstd: %w", err)
			}
			return z, nil
		}
	}
	return nil
}
