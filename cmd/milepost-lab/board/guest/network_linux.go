package main

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"

	"milepost/cmd/milepost-lab/board/control"
)

const ethernet = "eth0"

// Network gives the guest its address and the way to the host.
func (g *Guest) Network(_ control.None, _ *control.None) error {
	for _, name := range []string{"lo", ethernet} {
		if err := setUp(name, true); err != nil {
			return err
		}
	}
	link, err := net.InterfaceByName(ethernet)
	if err != nil {
		return err
	}
	ip := net.ParseIP(control.Address).To4()
	body := append([]byte{unix.AF_INET, 24, 0, 0}, uint32Bytes(uint32(link.Index))...) // struct ifaddrmsg
	body = append(body, attribute(unix.IFA_LOCAL, ip...)...)
	body = append(body, attribute(unix.IFA_ADDRESS, ip...)...)
	if err := request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, body); err != nil {
		return fmt.Errorf("%s: the address %v: %w", ethernet, ip, err)
	}
	host := net.ParseIP(control.Host).To4()
	// struct rtmsg
	body = []byte{unix.AF_INET, 0, 0, 0, unix.RT_TABLE_MAIN, unix.RTPROT_BOOT, unix.RT_SCOPE_UNIVERSE, unix.RTN_UNICAST, 0, 0, 0, 0}
	body = append(body, attribute(unix.RTA_GATEWAY, host...)...)
	body = append(body, attribute(unix.RTA_OIF, uint32Bytes(uint32(link.Index))...)...)
	if err := request(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, body); err != nil {
		return fmt.Errorf("%s: the route: %w", ethernet, err)
	}
	return nil
}
