package volatiledisk

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
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
func (d *Disk) Serve(conn io.ReadWriter) error {
	q := &queue{}
	q.changed = sync.NewCond(&q.mu)
	go func() { q.end(receive(conn, q)) }()
	random := newRandom(d.opts.Seed)
	for {
		r, err := q.take(random.IntN)
		if err != nil {
			return err
		}
		if r == nil {
			return nil
		}
		if _, err := conn.Write(d.serve(r)); err != nil {
			return fmt.Errorf("volatiledisk: answering: %w", err)
		}
	}
}

// receive puts requests into a queue until the client is gone.
func receive(from io.Reader, q *queue) error {
	buffered := bufio.NewReaderSize(from, 64<<10)
	var header [requestBytes]byte
	for {
		if _, err := io.ReadFull(buffered, header[:]); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("volatiledisk: %w", err)
		}
		if magic := binary.BigEndian.Uint32(header[:]); magic != requestMagic {
			return fmt.Errorf("volatiledisk: a request begins with %#x", magic)
		}
		r := &request{
			forced:  binary.BigEndian.Uint16(header[4:])&flagFUA != 0,
			command: binary.BigEndian.Uint16(header[6:]),
			cookie:  binary.BigEndian.Uint64(header[8:]),
			offset:  binary.BigEndian.Uint64(header[16:]),
			length:  binary.BigEndian.Uint32(header[24:]),
		}
		switch r.command {
		case commandDisconnect:
			return nil
		case commandRead, commandWrite:
			if r.length > maxRequest {
				return fmt.Errorf("volatiledisk: a request is for %d bytes", r.length)
			}
		}
		if r.command == commandWrite {
			r.data = make([]byte, r.length)
			if _, err := io.ReadFull(buffered, r.data); err != nil {
				return fmt.Errorf("volatiledisk: %w", err)
			}
		}
		q.put(r)
	}
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

// queue holds the requests that wait. It has one that puts and one that takes.
type queue struct {
	mu       sync.Mutex
	changed  *sync.Cond
	requests []*request
	ended    bool
	err      error
}

func (q *queue) put(r *request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.requests = append(q.requests, r)
	q.changed.Signal()
}

// end says that nothing more comes, and why.
func (q *queue) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended, q.err = true, err
	q.changed.Signal()
}

// take waits for a request and takes one, choosing among n of them. None says
// that nothing more comes.
func (q *queue) take(choose func(n int) int) (*request, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.requests) == 0 && !q.ended {
		q.changed.Wait()
	}
	if len(q.requests) == 0 {
		return nil, q.err
	}
	i, last := choose(len(q.requests)), len(q.requests)-1
	r := q.requests[i]
	q.requests[i] = q.requests[last]
	q.requests = q.requests[:last]
	return r, nil
}
