package gnss

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// fields are what the commas of a sentence divide; an empty one is unknown.
type fields [][]byte

var errShort = errors.New("it has too few fields")

func (f fields) text(i int) string {
	if i >= len(f) {
		return ""
	}
	return string(f[i])
}

// number reads a decimal number; NaN if it is empty.
func (f fields) number(i int) (float64, error) {
	text := f.text(i)
	if text == "" {
		return math.NaN(), nil
	}
	for _, c := range text {
		if (c < '0' || c > '9') && c != '.' && c != '-' && c != '+' {
			return 0, fmt.Errorf("field %d, %.20q, is no number", i, text)
		}
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.Abs(v) > 1e9 {
		return 0, fmt.Errorf("field %d, %.20q, is no number", i, text)
	}
	return v, nil
}

// count reads a small number without a fraction; -1 if it is empty.
func (f fields) count(i int) (int, error) {
	text := f.text(i)
	if text == "" {
		return -1, nil
	}
	n, err := strconv.ParseUint(text, 10, 10)
	if err != nil {
		return 0, fmt.Errorf("field %d, %.20q, is no count", i, text)
	}
	return int(n), nil
}

// angle reads degrees and minutes, 4807.038, and the hemisphere behind it.
func (f fields) angle(i int, positive, negative string, limit float64) (float64, error) {
	v, err := f.number(i)
	if err != nil || math.IsNaN(v) {
		return v, err
	}
	degrees := math.Trunc(v / 100)
	minutes := v - 100*degrees
	angle := degrees + minutes/60
	if v < 0 || minutes >= 60 || angle > limit {
		return 0, fmt.Errorf("field %d, %.20q, is no angle", i, f.text(i))
	}
	switch f.text(i + 1) {
	case positive:
		return angle, nil
	case negative:
		return -angle, nil
	}
	return 0, fmt.Errorf("field %d, %.20q, is neither %s nor %s", i+1, f.text(i+1), positive, negative)
}

// timeOfDay reads hhmmss.sss; -1 if it is empty.
func (f fields) timeOfDay(i int) (time.Duration, error) {
	text := f.text(i)
	if text == "" {
		return -1, nil
	}
	v, err := f.number(i)
	if err != nil || len(text) < 6 || v < 0 {
		return 0, fmt.Errorf("field %d, %.20q, is no time of day", i, text)
	}
	hours, minutes := math.Trunc(v/10000), math.Mod(math.Trunc(v/100), 100)
	seconds := math.Mod(v, 100)
	if hours > 23 || minutes > 59 || seconds >= 61 { // 60 in a leap second
		return 0, fmt.Errorf("field %d, %.20q, is no time of day", i, text)
	}
	// Receivers give milliseconds at most: what lies beyond is the error of a float64.
	ms := math.Round(1000*seconds) + 60000*minutes + 3600000*hours
	return time.Duration(ms) * time.Millisecond, nil
}

// date reads ddmmyy; zero if it is empty. The years are 1980 to 2079.
func (f fields) date(i int) (time.Time, error) {
	text := f.text(i)
	if text == "" {
		return time.Time{}, nil
	}
	// The time package takes two digits of 69 to 99 as years of the last century.
	t, err := time.Parse("020106", text)
	if err != nil {
		return time.Time{}, fmt.Errorf("field %d, %.20q, is no date", i, text)
	}
	if t.Year() < 1980 {
		t = t.AddDate(100, 0, 0)
	}
	return t, nil
}
