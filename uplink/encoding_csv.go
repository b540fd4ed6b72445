package uplink

import (
	"math"
	"strconv"
	"strings"
)

// CSVHeader is the first row of a file of rows that AppendCSV writes.
const CSVHeader = "window,bus,id,message,signal,unit,count,min,max,avg,sum,first,last"

// AppendCSV appends the record as a row (RFC 4180) without its line's end. A
// correction is a row like any other: the rows of a window add up. Of a series
// without samples the numbers behind the count are empty.
func AppendCSV(dst []byte, r *Record) []byte {
	dst = appendSeconds(dst, r.Start)
	dst = appendCSVText(append(dst, ','), r.Group.Bus)
	dst = r.AppendID(append(dst, ','))
	dst = appendCSVText(append(dst, ','), r.Group.Name)
	dst = appendCSVText(append(dst, ','), r.Series.Name)
	dst = appendCSVText(append(dst, ','), r.Series.Unit)
	dst = strconv.AppendUint(append(dst, ','), r.Summary.Count, 10)
	if r.Summary.Count == 0 {
		return append(dst, ",,,,,,"...)
	}
	v := r.Value()
	for _, x := range [...]float64{v.Min, v.Max, v.Avg(r.Summary.Count), v.Sum, v.First, v.Last} {
		dst = appendCSVNumber(append(dst, ','), x)
	}
	return dst
}

// appendCSVNumber writes the shortest decimal that reads back as x, with an
// exponent where Python's repr has one.
func appendCSVNumber(dst []byte, x float64) []byte {
	if n := int64(x); n > -1e15 && n < 1e15 && float64(n) == x {
		return strconv.AppendInt(dst, n, 10)
	}
	magnitude := math.Abs(x)
	switch {
	case math.IsNaN(x):
		return append(dst, "nan"...)
	case math.IsInf(x, 1):
		return append(dst, "inf"...)
	case math.IsInf(x, -1):
		return append(dst, "-inf"...)
	case magnitude >= 1e-4 && magnitude < 1e16:
		return strconv.AppendFloat(dst, x, 'f', -1, 64)
	}
	return strconv.AppendFloat(dst, x, 'e', -1, 64)
}

func appendCSVText(dst []byte, s string) []byte {
	s = validUTF8(s)
	if !strings.ContainsAny(s, "\",\r\n") {
		return append(dst, s...)
	}
	dst = append(dst, '"')
	for i := range len(s) {
		if s[i] == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, s[i])
	}
	return append(dst, '"')
}
