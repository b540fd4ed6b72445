package socketcan

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func (s *Socket) setFilters(filters []Filter) error {
	if filters == nil {
		filters = []Filter{{}} // what a socket has at first: any frame but error frames
	}
	var err error
	controlErr := s.conn.Control(func(fd uintptr) { err = setFilters(int(fd), filters) })
	if controlErr != nil { // it is closed, and so another will be opened
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return nil
}

func setFilters(fd int, filters []Filter) error {
	raw := make([]unix.CanFilter, len(filters))
	for i, f := range filters {
		raw[i] = unix.CanFilter{Id: f.ID, Mask: f.Mask}
	}
	if err := unix.SetsockoptCanRawFilter(fd, unix.SOL_CAN_RAW, unix.CAN_RAW_FILTER, raw); err != nil {
		return fmt.Errorf("setting %d filters (the kernel takes %d): %w", len(filters), maxFilters, err)
	}
	return nil
}
