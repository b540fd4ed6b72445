package socketcan

import (
	"math"
	"time"

	"milepost/can"
)

// sampleEvery is one in how many frames is measured: a prime, so that a bus's
// periods do not decide which.
const sampleEvery = 61

// typicalStuffing is how many stuff bits a bit of payload brings where no frame was
// seen yet.
const typicalStuffing = 0.1

// frameMix is what the frames of a bus are like, from some of them: their bits are
// counted, stuff bits and all.
type frameMix struct {
	frames, bytes, nominal, data float64
	switched                     float64 // bytes sent at the data bit rate
}

func (m *frameMix) add(f *can.Frame) {
	nominal, data := wireBits(f)
	bytes := float64(len(f.Payload()))
	m.frames++
	m.bytes += bytes
	m.nominal += float64(nominal)
	m.data += float64(data)
	if data > 0 {
		m.switched += bytes
	}
}

// fade halves the weight of what was seen so far, so that the mix follows the bus.
func (m *frameMix) fade() {
	m.frames /= 2
	m.bytes /= 2
	m.nominal /= 2
	m.data /= 2
	m.switched /= 2
}

// bits estimates the bits of some frames with some bytes of payload in all: what
// the mix says for as many frames, corrected by the bits of the bytes that they
// have more or less.
func (m *frameMix) bits(frames, bytes uint64) (nominal, data float64) {
	if m.frames == 0 { // a standard frame takes 47 bits beside its payload
		return 47*float64(frames) + 8*(1+typicalStuffing)*float64(bytes), 0
	}
	n := float64(frames) / m.frames
	more := 8 * (1 + typicalStuffing) * (float64(bytes) - n*m.bytes)
	switched := 0.0
	if m.bytes > 0 {
		switched = m.switched / m.bytes
	}
	return max(0, n*m.nominal+(1-switched)*more), max(0, n*m.data+switched*more)
}

// busLoad is the share of the time in which the bus was busy, 0 to 1 (more means
// that the bit rate is wrong); NaN if a bit rate that counts is not known.
func busLoad(nominalBits, dataBits float64, bitrate, dataBitrate uint32, in time.Duration) float64 {
	if bitrate == 0 || in <= 0 || dataBits > 0 && dataBitrate == 0 {
		return math.NaN()
	}
	seconds := nominalBits / float64(bitrate)
	if dataBits > 0 {
		seconds += dataBits / float64(dataBitrate)
	}
	return seconds / in.Seconds()
}
