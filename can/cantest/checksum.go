package cantest

// crc8 is the CRC-8 of SAE J1850 (polynomial 0x1D, initial value and final
// exclusive or 0xFF) over the payload without the byte at skip.
func crc8(data *[8]byte, length, skip uint8) uint8 {
	crc := uint8(0xFF)
	for i, b := range data[:length] {
		if uint8(i) != skip {
			crc = crc8Table[crc^b]
		}
	}
	return ^crc
}

var crc8Table = makeCRC8Table()

func makeCRC8Table() (table [256]uint8) {
	for value := range table {
		crc := uint8(value)
		for range 8 {
			if crc&0x80 != 0 {
				crc = crc<<1 ^ 0x1D
			} else {
				crc <<= 1
			}
		}
		table[value] = crc
	}
	return table
}
