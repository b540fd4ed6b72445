package loopback

import (
	"net"
	"strconv"
	"testing"
)

func TestAddresses(t *testing.T) {
	first, last := ownChoice()
	seen := make(map[string]bool)
	for range 50 {
		addresses, err := Addresses(4)
		if err != nil {
			t.Fatal(err)
		}
		for _, address := range addresses {
			if seen[address] {
				t.Errorf("%s twice", address)
			}
			seen[address] = true
			_, text, err := net.SplitHostPort(address)
			if err != nil {
				t.Fatal(err)
			}
			if port, _ := strconv.Atoi(text); first > 11000 && port >= first && port <= last {
				t.Errorf("%s is one of those that the system chooses itself", address)
			}
			l, err := net.Listen("tcp", address)
			if err != nil {
				t.Error(err)
				continue
			}
			defer l.Close()
		}
	}
}

func TestOutside(t *testing.T) {
	for _, c := range []struct{ first, last, low, high int }{
		{32768, 60999, 10000, 32768},
		{49152, 65535, 10000, 49152},
		{10000, 40000, 40001, 65536},
		{1024, 65535, 10000, 65536}, // nothing is left
		{10500, 65000, 10000, 65536},
	} {
		if low, high := outside(c.first, c.last); low != c.low || high != c.high {
			t.Errorf("beside %d to %d: %d to %d, want %d to %d", c.first, c.last, low, high, c.low, c.high)
		}
	}
}
