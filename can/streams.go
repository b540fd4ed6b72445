package can

// StreamKey identifies a stream: all data frames of one arbitration ID on one
// bus.
type StreamKey struct {
	Bus      uint16
	ID       uint32
	Extended bool
}

// Streams numbers StreamKeys densely, for Sources to fill in Frame.Stream. The
// zero value is ready for use. It is not safe for concurrent use.
type Streams struct {
	keys []StreamKey
	// standard[bus][id] is the stream number plus one, 0 where there is none.
	standard [][]uint32
	extended map[StreamKey]uint32
}

// Number returns the number of the stream, a new one at the first sight of it.
func (s *Streams) Number(bus uint16, id uint32, extended bool) uint32 {
	if !extended && id <= MaxStandardID {
		for int(bus) >= len(s.standard) {
			s.standard = append(s.standard, nil)
		}
		if s.standard[bus] == nil {
			s.standard[bus] = make([]uint32, MaxStandardID+1)
		}
		entry := &s.standard[bus][id]
		if *entry == 0 {
			*entry = s.add(StreamKey{bus, id, false}) + 1
		}
		return *entry - 1
	}
	key := StreamKey{bus, id, extended}
	if n, ok := s.extended[key]; ok {
		return n
	}
	if s.extended == nil {
		s.extended = make(map[StreamKey]uint32)
	}
	n := s.add(key)
	s.extended[key] = n
	return n
}

func (s *Streams) add(key StreamKey) uint32 {
	s.keys = append(s.keys, key)
	return uint32(len(s.keys) - 1)
}

// Len is the number of streams so far.
func (s *Streams) Len() int { return len(s.keys) }

// Key returns what stream n stands for. It panics if there is no stream n.
func (s *Streams) Key(n uint32) StreamKey { return s.keys[n] }
