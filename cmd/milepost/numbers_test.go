package main

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
)

func TestAppendNumber(t *testing.T) {
	for _, x := range []float64{
		0, 1, -1, 0.1, 1e15, 1 << 53, -(1 << 53), 1<<53 - 1, 1e20, 1e21, 1e-6, 1e-7, 5e-324,
		math.MaxFloat64, -math.MaxFloat64, 18446744073709551615, -9223372036854775808, 8191.875,
	} {
		text := appendNumber(nil, x)
		if got, err := strconv.ParseFloat(string(text), 64); err != nil || got != x || !json.Valid(text) {
			t.Errorf("%v: wrote %s", x, text)
		}
	}
}

func TestAppendSeconds(t *testing.T) {
	for ns, want := range map[int64][2]string{
		0:                   {"0", "0000000000.000000"},
		1:                   {"0.000000001", "0000000000.000000001"},
		1500000000:          {"1.5", "0000000001.500000"},
		-1500000000:         {"-1.5", "-0000000001.500000"},
		1533201287000013000: {"1533201287.000013", "1533201287.000013"},
		math.MaxInt64:       {"9223372036.854775807", "9223372036.854775807"},
		math.MinInt64:       {"-9223372036.854775808", "-9223372036.854775808"},
	} {
		got := [2]string{string(appendSeconds(nil, ns)), string(appendStamp(nil, ns))}
		if got != want {
			t.Errorf("%d: got %q, want %q", ns, got, want)
		}
	}
}
