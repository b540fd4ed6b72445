// Package loopback finds addresses for servers that tests start, kill and start
// again where they were.
package loopback

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"sync"
)

var (
	mu    sync.Mutex
	given = make(map[int]bool) // the ports that this process has got
)

// Addresses are n addresses of the loopback interface at which nobody listens.
// Their ports are none that the system chooses from by itself, so that nobody
// gets one, not even a client for its end of a connection, while its server is
// down: with those of a listener at port 0 that happens every few hundred
// restarts when packages are tested side by side.
func Addresses(n int) ([]string, error) {
	mu.Lock()
	defer mu.Unlock()
	low, high := outside(ownChoice())
	var addresses []string
	var last error
	for range 100 * n {
		if len(addresses) == n {
			return addresses, nil
		}
		port := low + rand.IntN(high-low)
		if given[port] {
			continue
		}
		address := fmt.Sprintf("127.0.0.1:%d", port)
		l, err := net.Listen("tcp", address)
		if err != nil {
			last = err
			continue
		}
		l.Close()
		given[port] = true
		addresses = append(addresses, address)
	}
	return nil, fmt.Errorf("no address on the loopback interface: of %d ports from %d to %d none is free; the last one: %w", 100*n, low, high-1, last)
}

// Address is one of Addresses.
func Address() (string, error) {
	addresses, err := Addresses(1)
	if err != nil {
		return "", err
	}
	return addresses[0], nil
}

// ownChoice is the range of ports that the system takes from by itself: as Linux
// tells it, else the usual one.
func ownChoice() (first, last int) {
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err == nil {
		_, err = fmt.Sscan(string(text), &first, &last)
	}
	if err != nil {
		return 32768, 65535
	}
	return first, last
}

// outside is the larger range beside first to last that needs no rights, low to
// below high. Where there is hardly any, it is all ports.
func outside(first, last int) (low, high int) {
	const unprivileged, end = 10000, 65536
	low, high = unprivileged, first
	if end-(last+1) > high-low {
		low, high = last+1, end
	}
	if high-low < 1000 {
		return unprivileged, end
	}
	return low, high
}
