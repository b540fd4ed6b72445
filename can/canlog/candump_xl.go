package canlog

import "bytes"

// maxXLData is the largest number of data bytes in a CAN XL frame.
const maxXLData = 2048

// xlLog recognises a CAN XL frame of the log-file form. id is VVPPP: virtual
// CAN network and priority; data is FF:SS:AAAAAAAA#DATA: flags, SDU type,
// acceptance field, data.
func (s *scanner) xlLog(id, data []byte) (lineKind, string) {
	const fields = len("FF:SS:AAAAAAAA#")
	if len(data) < fields || data[2] != ':' || data[5] != ':' || data[fields-1] != '#' {
		return lineBad, "the ID has 5 digits, but no fields of CAN XL follow"
	}
	bytes := data[fields:]
	if !isHex(id) || !isHex(data[:2]) || !isHex(data[3:5]) || !isHex(data[6:fields-1]) || !isHex(bytes) {
		return lineBad, "a CAN XL frame is not hexadecimal"
	}
	if n := len(bytes); n == 0 || n%2 != 0 || n/2 > maxXLData {
		return lineBad, "the data of a CAN XL frame are not 1 to 2048 bytes"
	}
	return lineXL, ""
}

// xlConsole recognises a CAN XL frame of the console form by its four digits of
// length; rest is (VV|FF:SS:AAAAAAAA) and data that candump may have shortened.
func xlConsole(priority, rest []byte, n uint64) (lineKind, string) {
	if !isHex(priority) || len(rest) == 0 || rest[0] != '(' || bytes.IndexByte(rest, ')') < 0 {
		return lineBad, "the length has 4 digits, but no fields of CAN XL follow"
	}
	if n < 1 || n > maxXLData {
		return lineBad, "the data of a CAN XL frame are not 1 to 2048 bytes"
	}
	return lineXL, ""
}
