package volatiledisk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The transmission phase of NBD, as github.com/NetworkBlockDevice/nbd,
// doc/proto.md, section "Transmission phase", has it. Numbers are big-endian.
//
//	request  0x25609513 u32, flags u16, type u16, cookie u64, offset u64, length u32, a write's data
//	reply    0x67446698 u32, error u32, cookie u64, a read's data
const (
	requestMagic = 0x25609513
	replyMagic   = 0x67446698
	requestBytes = 28
	replyBytes   = 16

	commandRead       = 0
	commandWrite      = 1
	commandDisconnect = 2
	commandFlush      = 3

	flagFUA = 1 << 0

	errIO      = 5
	errInvalid = 22

	// maxRequest bounds what a client may ask for at once.
	maxRequest = 4 << 20 // Linux sends 1280 KiB at most unless told otherwise
)

// TransmissionFlags are what the disk can do: it has flags, FLUSH and FUA.
const TransmissionFlags = 1<<0 | 1<<2 | 1<<3

type request struct {
	command uint16
	forced  bool
	cookie  uint64
	offset  uint64
	length  uint32
	data    []byte
}

// Serve serves the disk on a connection that is past NBD's handshake, until the
// client disconnects or the connection ends. Requests that wait at the same time
// are served in random order, as NBD allows: a flush then covers only the writes
// that were answered before it.
//
// One goroutine does it all, as each request costs a test time: a thread that
// only ever blocks in its own calls is what a kernel wakes the quickest.
func (d *Disk) Serve(conn io.ReadWriter) error {
	in := bufio.NewReaderSize(conn, 64<<10)
	random := newRandom(d.opts.Seed)
	var waiting []*request
	var end error
	for {
		for end == nil && (len(waiting) == 0 || in.Buffered() >= requestBytes) {
			var r *request
			if r, end = readRequest(in); end == nil {
				waiting = append(waiting, r)
			}
		}
		if len(waiting) == 0 {
			if end == io.EOF {
				return nil
			}
			return fmt.Errorf("volatiledisk: %w", end)
		}
		i, last := random.IntN(len(waiting)), len(waiting)-1
		if _, err := conn.Write(d.serve(waiting[i])); err != nil {
			return fmt.Errorf("volatiledisk: answering: %w", err)
		}
		waiting[i] = waiting[last]
		waiting = waiting[:last]
	}
}

// readRequest reads a request. The error io.EOF says that the client is gone.
func readRequest(in *bufio.Reader) (*request, error) {
	var header [requestBytes]byte
	if _, err := io.ReadFull(in, header[:]); err != nil {
		return nil, err
	}
	if magic := binary.BigEndian.Uint32(header[:]); magic != requestMagic {
		return nil, fmt.Errorf("a request begins with %#x", magic)
	}
	r := &request{
		forced:  binary.BigEndian.Uint16(header[4:])&flagFUA != 0,
		command: binary.BigEndian.Uint16(header[6:]),
		cookie:  binary.BigEndian.Uint64(header[8:]),
		offset:  binary.BigEndian.Uint64(header[16:]),
		length:  binary.BigEndian.Uint32(header[24:]),
	}
	switch {
	case r.command == commandDisconnect:
		return nil, io.EOF
	case r.command <= commandWrite && r.length > maxRequest:
		return nil, fmt.Errorf("a request is for %d bytes", r.length)
	case r.command == commandWrite:
		r.data = make([]byte, r.length)
		if _, err := io.ReadFull(in, r.data); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return r, nil
}

// serve does what a request wants and returns the answer.
func (d *Disk) serve(r *request) []byte {
	reply := make([]byte, replyBytes)
	var err error
	switch {
	case r.offset > uint64(d.size) || int64(r.length) > d.size:
		err = fmt.Errorf("volatiledisk: %d bytes at offset %d are beyond a disk of %d bytes", r.length, r.offset, d.size)
	case r.command == commandRead:
		reply = append(reply, make([]byte, r.length)...)
		err = d.Read(reply[replyBytes:], int64(r.offset))
	case r.command == commandWrite:
		err = d.write(r.data, int64(r.offset), r.forced)
	case r.command == commandFlush:
		err = d.Flush()
	default:
		err = fmt.Errorf("volatiledisk: command %d is not known", r.command)
	}
	code := uint32(0)
	switch {
	case errors.Is(err, ErrCut):
		code = errIO
	case err != nil:
		code = errInvalid
	}
	if code != 0 {
		reply = reply[:replyBytes]
	}
	binary.BigEndian.PutUint32(reply, replyMagic)
	binary.BigEndian.PutUint32(reply[4:], code)
	binary.BigEndian.PutUint64(reply[8:], r.cookie)
	return reply
}
