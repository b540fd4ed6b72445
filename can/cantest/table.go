package cantest

// The functions of this file make the tables of the models one line a signal.

func intel(name string, start, bits uint8) Signal {
	return Signal{Name: name, Start: start, Bits: bits, Factor: 1, Group: NoGroup}
}

func motorola(name string, start, bits uint8) Signal {
	s := intel(name, start, bits)
	s.Motorola = true
	return s
}

// bit is a flag: off or on.
func bit(name string, start uint8, source quantity) Signal {
	return intel(name, start, 1).from(source)
}

// counter and checksum are the protection of a message against loss and damage
// on its way through the control units.
func counter(start uint8) Signal {
	s := intel("AliveCounter", start, 4)
	s.Role = Counter
	return s
}

func checksum(start uint8) Signal {
	s := intel("Checksum", start, 8)
	s.Role = Checksum
	s.Comment = "CRC-8 SAE J1850 over the other bytes"
	return s
}

func selector(name string, start, bits uint8) Signal {
	s := intel(name, start, bits)
	s.Role = Selector
	return s
}

func (s Signal) signed() Signal {
	s.Signed = true
	return s
}

func (s Signal) physical(factor, offset float64, unit string) Signal {
	s.Factor, s.Offset, s.Unit = factor, offset, unit
	return s
}

func (s Signal) names(t *ValueTable) Signal {
	s.Table = t
	return s
}

func (s Signal) group(n int) Signal {
	s.Group = n
	return s
}

func (s Signal) note(text string) Signal {
	s.Comment = text
	return s
}

// from lets the signal follow a quantity of the vehicle.
func (s Signal) from(q quantity) Signal {
	s.source = q
	return s
}

// walks lets the signal walk between two physical values.
func (s Signal) walks(low, high, step float64) Signal {
	s.walk = walk{fixed(low), fixed(high), fixed(step)}
	return s
}

// picks lets the signal take the values of a table at random.
func (s Signal) picks(t *ValueTable) Signal {
	return s.names(t).walks(0, float64(len(t.Names)-1), 1)
}
