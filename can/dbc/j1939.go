package dbc

import "math"

// PGN returns the parameter group number of a 29-bit identifier: the data pages
// and PF, with PS where that is a group extension and not a destination
// (SAE J1939-21, 5.1.2).
func PGN(id uint32) uint32 {
	pgn := id >> 8 & 0x3FFFF
	if pgn>>8&0xFF < 240 {
		pgn &^= 0xFF
	}
	return pgn
}

// missing is a range of raw values that say that there is no value: the
// parameter is not available, or its sensor has failed.
type missing struct {
	// first is the lowest one as a bit pattern, count how many there are; 0 for
	// none.
	first, count uint64
	// nan says that a floating-point NaN is one.
	nan bool
}

// none reports whether every raw value is a number.
func (m missing) none() bool { return m.count == 0 && !m.nan }

// has reports whether a raw value is missing. The subtraction wraps below
// first, so that one comparison does.
func (m missing) has(kind Kind, raw int64) bool {
	if kind != Integer {
		return m.nan && math.IsNaN(math.Float64frombits(uint64(raw)))
	}
	return uint64(raw)-m.first < m.count
}

// index returns the index of the first value that is missing, the number of
// values if none is.
func (m missing) index(kind Kind, values []int64) int {
	if kind == Integer {
		for i, raw := range values {
			if uint64(raw)-m.first < m.count {
				return i
			}
		}
		return len(values)
	}
	for i, raw := range values {
		if m.has(kind, raw) {
			return i
		}
	}
	return len(values)
}

// missingValues gives the raw values of a signal that stand for "error" and
// "not available".
//
// SAE J1939-71, 5.1.4, table 1 (transmitted signal ranges) reserves for
// measured values of 1, 2 and 4 bytes the upper byte 0xFE (error indicator) and
// 0xFF (not available); 3 bytes are treated alike in the digital annex. Table 2
// has for discrete values of 2 bits 2 (error) and 3 (not available). For other
// lengths the digital annex defines parameter by parameter; as a rule the two
// highest values, which is what is taken for them. The range between, 0xFB to
// 0xFD, is parameter specific or reserved: those are left as numbers.
//
// NMEA 2000 shares the identifiers (data page 1) but not the table: there only
// the highest value is "not available" and, from 4 bits on, the second highest
// "out of range"; of signed values it is the highest positive ones.
//
// A description in the value table ("not available", "reserved") changes
// nothing: it says what the value means, not that it is a number. Multiplexers
// are exempt, as their values select and do not measure, and so are signed
// J1939 values, which the standard does not know (it has offsets).
func missingValues(s *Signal, id uint32) missing {
	nmea2000 := PGN(id)&0x10000 != 0
	highest := ^uint64(0) >> (64 - s.Length)
	switch {
	case s.IsMultiplexer:
		return missing{}
	case s.Kind != Integer:
		return missing{nan: true}
	case s.Length < 2:
		return missing{}
	case nmea2000:
		if s.Signed {
			highest >>= 1
		}
		if s.Length < 4 {
			return missing{first: highest, count: 1}
		}
		return missing{first: highest - 1, count: 2}
	case s.Signed:
		return missing{}
	case s.Length%8 == 0 && s.Length <= 32:
		first := uint64(0xFE) << (s.Length - 8)
		return missing{first: first, count: highest - first + 1}
	default:
		return missing{first: highest - 1, count: 2}
	}
}
