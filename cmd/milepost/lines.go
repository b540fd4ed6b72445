package main

import "io"

// lineWriter collects lines to write many of them at once.
type lineWriter struct {
	w   io.Writer
	buf []byte
	err error
}

// linesAtOnce is how many bytes are collected.
const linesAtOnce = 64 << 10

// full writes the lines if there are enough of them. After an error there is no
// point in making more.
func (l *lineWriter) full() error {
	if len(l.buf) < linesAtOnce {
		return l.err
	}
	return l.flush()
}

// flush writes the lines.
func (l *lineWriter) flush() error {
	if l.err == nil && len(l.buf) > 0 {
		_, l.err = l.w.Write(l.buf)
	}
	l.buf = l.buf[:0]
	return l.err
}

// flushingReader flushes before every Read, which may wait: whoever watches a
// live bus sees each frame at once, and a file is still written in large pieces.
type flushingReader struct {
	r     io.Reader
	lines *lineWriter
}

func (f *flushingReader) Read(p []byte) (int, error) {
	if err := f.lines.flush(); err != nil {
		return 0, err
	}
	return f.r.Read(p)
}
