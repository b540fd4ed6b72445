package main

import (
	"math"
	"strconv"
)

const nanosecondsPerSecond = 1_000_000_000

// appendSeconds writes nanoseconds as seconds: exactly, without trailing zeros.
func appendSeconds(dst []byte, nanoseconds int64) []byte {
	dst, seconds, fraction := splitSeconds(dst, nanoseconds)
	dst = strconv.AppendUint(dst, seconds, 10)
	if fraction == 0 {
		return dst
	}
	dst = appendPadded(append(dst, '.'), fraction, 9)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	return dst
}

// appendStamp writes nanoseconds as candump writes its time stamps: seconds of
// 10 digits with 6 decimals, or 9 where 6 are not enough.
func appendStamp(dst []byte, nanoseconds int64) []byte {
	dst, seconds, fraction := splitSeconds(dst, nanoseconds)
	dst = append(appendPadded(dst, seconds, 10), '.')
	if fraction%1000 == 0 {
		return appendPadded(dst, fraction/1000, 6)
	}
	return appendPadded(dst, fraction, 9)
}

// splitSeconds writes the sign and gives the magnitude.
func splitSeconds(dst []byte, nanoseconds int64) (signed []byte, seconds, fraction uint64) {
	n := uint64(nanoseconds)
	if nanoseconds < 0 {
		dst, n = append(dst, '-'), -n
	}
	return dst, n / nanosecondsPerSecond, n % nanosecondsPerSecond
}

// appendPadded writes a number with zeros before it. It has no more digits than
// asked for, and those are at most 10.
func appendPadded(dst []byte, n uint64, digits int) []byte {
	var text [10]byte
	for i := digits - 1; i >= 0; i-- {
		text[i] = '0' + byte(n%10)
		n /= 10
	}
	return append(dst, text[:digits]...)
}

// finite says that JSON has a number for x.
func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// appendNumber writes the shortest decimal that reads back as x, with an
// exponent where ECMAScript's Number.toString has one. If x is finite, it is a
// JSON number.
func appendNumber(dst []byte, x float64) []byte {
	const exact = 1 << 53
	if n := int64(x); n > -exact && n < exact && float64(n) == x {
		return strconv.AppendInt(dst, n, 10)
	}
	if magnitude := math.Abs(x); magnitude >= 1e-6 && magnitude < 1e21 {
		return strconv.AppendFloat(dst, x, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, x, 'e', -1, 64)
}

// appendReadable writes x for people, with up to 7 significant digits.
func appendReadable(dst []byte, x float64) []byte {
	return strconv.AppendFloat(dst, x, 'g', 7, 64)
}

const upperHex = "0123456789ABCDEF"

// appendID writes an arbitration ID as candump does, or the class of an error
// frame with the flag that marks it (CAN_ERR_FLAG of linux/can.h).
func appendID(dst []byte, id uint32, extended, errorFrame bool) []byte {
	shift := 8
	if extended || errorFrame {
		shift = 28
	}
	if errorFrame {
		const errorFlag = 1 << 29
		id |= errorFlag
	}
	for ; shift >= 0; shift -= 4 {
		dst = append(dst, upperHex[id>>shift&15])
	}
	return dst
}
