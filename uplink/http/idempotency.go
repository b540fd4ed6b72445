package http

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"milepost/uplink"
)

// appendIdempotencyKey writes the value of the header Idempotency-Key for a
// request with these records (one at least):
//
//	<boot of the first>-<sequence of the first>-<sequence of the last>-<count>-<hash>
//
// where the hash is the first 16 bytes, in hexadecimal, of the SHA-256 over the
// keys of all records in order: for each its device, a zero byte, its boot ID
// and its sequence as 8 bytes, the highest first.
//
// It says which records a request has, not how they are encoded: requests with
// the same key have the same records in the same order.
func appendIdempotencyKey(dst []byte, records []uplink.Record) []byte {
	hash := sha256.New()
	var key []byte
	for i := range records {
		r := &records[i]
		key = append(append(key[:0], r.Device...), 0)
		key = append(key, r.Boot[:]...)
		hash.Write(binary.BigEndian.AppendUint64(key, r.Sequence))
	}
	first, last := &records[0], &records[len(records)-1]
	dst = append(first.Boot.AppendString(dst), '-')
	dst = append(strconv.AppendUint(dst, first.Sequence, 10), '-')
	dst = append(strconv.AppendUint(dst, last.Sequence, 10), '-')
	dst = append(strconv.AppendInt(dst, int64(len(records)), 10), '-')
	return hex.AppendEncode(dst, hash.Sum(nil)[:16])
}
