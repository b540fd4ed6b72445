package socketcan

// SetFilters puts other filters in place of those that a Bus was made with; nil
// lets all data and remote frames pass. They hold for frames that come from now on,
// and for every socket that is opened later.
func (b *Bus) SetFilters(filters []Filter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.o.Filters = filters
	if b.socket == nil {
		return nil
	}
	return b.socket.setFilters(filters)
}

// filters are those that hold now.
func (b *Bus) filters() []Filter {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.o.Filters
}
