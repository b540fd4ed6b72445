package http

import (
	"bytes"
	"compress/gzip"

	"github.com/klauspost/compress/zstd"
)

const noCompression = "none"

// compressor compresses bodies, one after the other.
type compressor interface {
	// compress appends the compressed body to dst.
	compress(dst, body []byte) []byte
}

// newCompressor is nil where the name is none of a compression.
func newCompressor(name string) compressor {
	switch name {
	case "gzip":
		return new(gzipCompressor)
	case "zstd":
		return new(zstdCompressor)
	}
	return nil
}

// gzipCompressor keeps its tables (some 800 KiB) from body to body.
type gzipCompressor struct{ w *gzip.Writer }

func (c *gzipCompressor) compress(dst, body []byte) []byte {
	out := bytes.NewBuffer(dst)
	if c.w == nil {
		c.w = gzip.NewWriter(out)
	} else {
		c.w.Reset(out)
	}
	c.w.Write(body) // into memory: that cannot fail
	c.w.Close()
	return out.Bytes()
}

type zstdCompressor struct{ e *zstd.Encoder }

func (c *zstdCompressor) compress(dst, body []byte) []byte {
	if c.e == nil {
		// A window of 1 MiB covers a body; servers need not have room for more.
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20), zstd.WithLowerEncoderMem(true))
		if err != nil {
			panic("BUG: options of the zstd encoder: " + err.Error())
		}
		c.e = e
	}
	return c.e.EncodeAll(body, dst)
}
