package dbc

import (
	"encoding/binary"
	"slices"
)

// fill decodes a field into the buffer: of all n payloads if rows is nil, of
// those rows otherwise, all long enough.
func (s *Scratch) fill(buffer *[]int64, f *field, rows []int32, n int) []int64 {
	values := slices.Grow((*buffer)[:0], n)[:n]
	*buffer = values
	if n == 0 {
		return values
	}
	stride := s.in.Stride
	x, at, wide := f.extraction(stride)
	data := s.in.Data[at:]
	switch {
	case wide:
		s.fillWide(values, f, rows)
		return values
	case rows != nil:
		x.gather(values, data, stride, rows)
	case stride == 8:
		x.words(values, data)
	default:
		x.strided(values, data, stride)
	}
	if f.kind != Integer {
		for i, bits := range values {
			values[i] = widen(f.kind, uint64(bits))
		}
	}
	return values
}

// fillWide decodes a field that straddles 9 bytes.
func (s *Scratch) fillWide(values []int64, f *field, rows []int32) {
	for i := range values {
		row := i
		if rows != nil {
			row = int(rows[i])
		}
		data := s.in.Data[row*s.in.Stride+int(f.first):]
		values[i] = f.convert(f.bits((*[9]byte)(data)))
	}
}

// extraction gets a field out of words: it shifts it down, masks it, and extends
// its sign. That takes one shift by a variable count; two (up and back) would be
// shorter, but on amd64 such shifts are the slowest part. Its methods are the
// innermost loops of a replay; each has four copies of its body, so that nothing
// is decided within.
type extraction struct {
	mask uint64
	// sign is the sign bit of a signed field, otherwise 0.
	sign      uint64
	shift     uint8
	bigEndian bool
}

// extraction says how to get the field out of payloads with the stride: the word
// begins with byte at of each. A wide field does not lie in one word.
func (f *field) extraction(stride int) (x extraction, at int, wide bool) {
	// The word must lie within the payload; so for classical frames it is the
	// whole payload.
	at = min(int(f.first), stride-8)
	shift := f.bit + uint8(8*(int(f.first)-at))
	if shift > f.right {
		return x, 0, true
	}
	if f.bigEndian {
		shift = f.right - shift
	}
	x = extraction{mask: ^uint64(0) >> f.right, shift: shift, bigEndian: f.bigEndian}
	if f.signed {
		x.sign = 1 << (63 - f.right)
	}
	return x, at, false
}

// words decodes payloads of 8 bytes.
func (x *extraction) words(values []int64, data []byte) {
	// The &63 tells the compiler that the shift does not reach 64.
	shift, mask, sign := x.shift&63, x.mask, x.sign
	data = data[:8*len(values)]
	switch {
	case x.bigEndian && sign != 0:
		for len(values) >= 4 && len(data) >= 32 {
			v, d := (*[4]int64)(values), (*[32]byte)(data)
			v[0] = int64((binary.BigEndian.Uint64(d[0:8])>>shift&mask ^ sign) - sign)
			v[1] = int64((binary.BigEndian.Uint64(d[8:16])>>shift&mask ^ sign) - sign)
			v[2] = int64((binary.BigEndian.Uint64(d[16:24])>>shift&mask ^ sign) - sign)
			v[3] = int64((binary.BigEndian.Uint64(d[24:32])>>shift&mask ^ sign) - sign)
			values, data = values[4:], data[32:]
		}
	case x.bigEndian:
		for len(values) >= 4 && len(data) >= 32 {
			v, d := (*[4]int64)(values), (*[32]byte)(data)
			v[0] = int64(binary.BigEndian.Uint64(d[0:8]) >> shift & mask)
			v[1] = int64(binary.BigEndian.Uint64(d[8:16]) >> shift & mask)
			v[2] = int64(binary.BigEndian.Uint64(d[16:24]) >> shift & mask)
			v[3] = int64(binary.BigEndian.Uint64(d[24:32]) >> shift & mask)
			values, data = values[4:], data[32:]
		}
	case sign != 0:
		for len(values) >= 4 && len(data) >= 32 {
			v, d := (*[4]int64)(values), (*[32]byte)(data)
			v[0] = int64((binary.LittleEndian.Uint64(d[0:8])>>shift&mask ^ sign) - sign)
			v[1] = int64((binary.LittleEndian.Uint64(d[8:16])>>shift&mask ^ sign) - sign)
			v[2] = int64((binary.LittleEndian.Uint64(d[16:24])>>shift&mask ^ sign) - sign)
			v[3] = int64((binary.LittleEndian.Uint64(d[24:32])>>shift&mask ^ sign) - sign)
			values, data = values[4:], data[32:]
		}
	default:
		for len(values) >= 4 && len(data) >= 32 {
			v, d := (*[4]int64)(values), (*[32]byte)(data)
			v[0] = int64(binary.LittleEndian.Uint64(d[0:8]) >> shift & mask)
			v[1] = int64(binary.LittleEndian.Uint64(d[8:16]) >> shift & mask)
			v[2] = int64(binary.LittleEndian.Uint64(d[16:24]) >> shift & mask)
			v[3] = int64(binary.LittleEndian.Uint64(d[24:32]) >> shift & mask)
			values, data = values[4:], data[32:]
		}
	}
	if len(values) > 0 {
		x.strided(values, data, 8)
	}
}

// strided decodes payloads of any size; data begins at the first one's word.
func (x *extraction) strided(values []int64, data []byte, stride int) {
	shift, mask, sign := x.shift&63, x.mask, x.sign
	at := 0
	switch {
	case x.bigEndian && sign != 0:
		for i := range values {
			values[i] = int64((binary.BigEndian.Uint64(data[at:])>>shift&mask ^ sign) - sign)
			at += stride
		}
	case x.bigEndian:
		for i := range values {
			values[i] = int64(binary.BigEndian.Uint64(data[at:]) >> shift & mask)
			at += stride
		}
	case sign != 0:
		for i := range values {
			values[i] = int64((binary.LittleEndian.Uint64(data[at:])>>shift&mask ^ sign) - sign)
			at += stride
		}
	default:
		for i := range values {
			values[i] = int64(binary.LittleEndian.Uint64(data[at:]) >> shift & mask)
			at += stride
		}
	}
}

// gather decodes some of the payloads.
func (x *extraction) gather(values []int64, data []byte, stride int, rows []int32) {
	shift, mask, sign := x.shift&63, x.mask, x.sign
	values = values[:len(rows)]
	switch {
	case x.bigEndian && sign != 0:
		for i, row := range rows {
			values[i] = int64((binary.BigEndian.Uint64(data[int(row)*stride:])>>shift&mask ^ sign) - sign)
		}
	case x.bigEndian:
		for i, row := range rows {
			values[i] = int64(binary.BigEndian.Uint64(data[int(row)*stride:]) >> shift & mask)
		}
	case sign != 0:
		for i, row := range rows {
			values[i] = int64((binary.LittleEndian.Uint64(data[int(row)*stride:])>>shift&mask ^ sign) - sign)
		}
	default:
		for i, row := range rows {
			values[i] = int64(binary.LittleEndian.Uint64(data[int(row)*stride:]) >> shift & mask)
		}
	}
}
