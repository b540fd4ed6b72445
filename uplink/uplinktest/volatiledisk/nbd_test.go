package volatiledisk

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
)

// client speaks NBD to a disk.
type client struct {
	t    testing.TB
	conn net.Conn
	end  chan error // of Serve
}

func dial(t testing.TB, d *Disk) *client {
	here, there := net.Pipe()
	c := &client{t, here, make(chan error, 1)}
	go func() { c.end <- d.Serve(there); there.Close() }()
	t.Cleanup(func() { here.Close() })
	return c
}

// header is a request without its data.
func header(command, flags uint16, cookie, offset uint64, length uint32) []byte {
	b := binary.BigEndian.AppendUint32(nil, requestMagic)
	b = binary.BigEndian.AppendUint16(b, flags)
	b = binary.BigEndian.AppendUint16(b, command)
	b = binary.BigEndian.AppendUint64(b, cookie)
	b = binary.BigEndian.AppendUint64(b, offset)
	return binary.BigEndian.AppendUint32(b, length)
}

func (c *client) send(b ...[]byte) {
	c.t.Helper()
	if _, err := c.conn.Write(bytes.Join(b, nil)); err != nil {
		c.t.Fatal(err)
	}
}

// reply reads an answer; reads says how much data each cookie has asked for.
func (c *client) reply(reads map[uint64]uint32) (cookie uint64, code uint32, data []byte) {
	c.t.Helper()
	var b [replyBytes]byte
	if _, err := io.ReadFull(c.conn, b[:]); err != nil {
		c.t.Fatal(err)
	}
	if magic := binary.BigEndian.Uint32(b[:]); magic != replyMagic {
		c.t.Fatalf("a reply begins with %#x", magic)
	}
	code, cookie = binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint64(b[8:])
	if code == 0 {
		data = make([]byte, reads[cookie])
		if _, err := io.ReadFull(c.conn, data); err != nil {
			c.t.Fatal(err)
		}
	}
	return cookie, code, data
}

// do sends one request and returns the answer.
func (c *client) do(command, flags uint16, offset uint64, length uint32, data []byte) (code uint32, read []byte) {
	c.t.Helper()
	c.send(header(command, flags, 42, offset, length), data)
	reads := map[uint64]uint32{}
	if command == commandRead {
		reads[42] = length
	}
	cookie, code, read := c.reply(reads)
	if cookie != 42 {
		c.t.Fatalf("the cookie came back as %d", cookie)
	}
	return code, read
}

func TestNBD(t *testing.T) {
	d := newDisk(t, 8, Options{})
	c := dial(t, d)
	if code, _ := c.do(commandWrite, 0, SectorSize, 2*SectorSize, sectorsOf("ab")); code != 0 {
		t.Fatalf("write: %d", code)
	}
	if code, read := c.do(commandRead, 0, 0, 4*SectorSize, nil); code != 0 || !bytes.Equal(read, sectorsOf(".ab.")) {
		t.Fatalf("read: %d, %d bytes", code, len(read))
	}
	if s := d.Stats(); s.CachedBlocks != 2 {
		t.Fatalf("%+v", s)
	}
	if code, _ := c.do(commandFlush, 0, 0, 0, nil); code != 0 || d.Stats().CachedBlocks != 0 {
		t.Fatalf("flush: %d, %+v", code, d.Stats())
	}
	if code, _ := c.do(commandWrite, flagFUA, 0, SectorSize, sectorsOf("f")); code != 0 || d.Stats().CachedBlocks != 0 || d.Stats().Forced != 1 {
		t.Fatalf("forced write: %d, %+v", code, d.Stats())
	}
	for _, wrong := range []struct {
		command uint16
		offset  uint64
		length  uint32
	}{
		{commandRead, 8 * SectorSize, SectorSize}, {commandRead, 1, SectorSize}, {commandRead, 0, 1},
		{commandRead, 1 << 63, SectorSize}, {commandRead, 1<<64 - SectorSize, SectorSize}, {commandWrite, 1 << 63, 0}, {9, 0, 0},
	} {
		if code, _ := c.do(wrong.command, 0, wrong.offset, wrong.length, nil); code != errInvalid {
			t.Errorf("%+v: %d", wrong, code)
		}
	}
	d.Cut(1)
	for _, command := range []uint16{commandRead, commandFlush} {
		if code, _ := c.do(command, 0, 0, 0, nil); code != errIO {
			t.Errorf("command %d after the cut: %d", command, code)
		}
	}
	c.send(header(commandDisconnect, 0, 0, 0, 0))
	if err := <-c.end; err != nil {
		t.Error(err)
	}
}

// TestNBDOrder sends many requests at once: each is answered once, in an order
// that is not theirs, and a flush covers what was answered before it only.
func TestNBDOrder(t *testing.T) {
	overtaken := 0
	for seed := range uint64(20) {
		d := newDisk(t, 64, Options{Seed: seed})
		const writes = 40
		var sent, replies bytes.Buffer
		for i := range uint64(writes) {
			sent.Write(header(commandWrite, 0, i, i*SectorSize, SectorSize))
			sent.Write(sectorsOf("w"))
		}
		sent.Write(header(commandFlush, 0, writes, 0, 0))
		if err := d.Serve(struct {
			io.Reader
			io.Writer
		}{&sent, &replies}); err != nil {
			t.Fatal(err)
		}
		answered := map[uint64]bool{}
		before := 0 // writes answered before the flush
		for b := replies.Bytes(); len(b) > 0; b = b[replyBytes:] {
			code, cookie := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint64(b[8:])
			if code != 0 || answered[cookie] {
				t.Fatalf("request %d: %d, answered before: %v", cookie, code, answered[cookie])
			}
			answered[cookie] = true
			if cookie == writes {
				before = len(answered) - 1
			}
		}
		if len(answered) != writes+1 {
			t.Errorf("%d answers to %d requests", len(answered), writes+1)
		}
		if cached := d.Stats().CachedBlocks; cached != writes-before {
			t.Errorf("seed %d: %d writes were answered before the flush, %d of %d are still in the cache", seed, before, cached, writes)
		}
		if before < writes {
			overtaken++
		}
	}
	if overtaken < 10 {
		t.Errorf("only %d of 20 flushes have overtaken a write", overtaken)
	}
}

func TestNBDNonsense(t *testing.T) {
	for name, c := range map[string]struct {
		bytes []byte
		want  string
	}{
		"magic":  {append([]byte{1, 2, 3, 4}, make([]byte, 24)...), "begins with 0x1020304"},
		"length": {header(commandWrite, 0, 0, 0, 1<<31), "for 2147483648 bytes"},
		"torn":   {header(commandWrite, 0, 0, 0, SectorSize)[:20], "unexpected EOF"},
		"short":  {header(commandWrite, 0, 0, 0, SectorSize), "EOF"},
	} {
		conn := dial(t, newDisk(t, 4, Options{}))
		conn.send(c.bytes)
		conn.conn.Close()
		if err := <-conn.end; err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzServe: nothing that a client sends brings the disk down, and nothing
// reaches sectors that are not there.
func FuzzServe(f *testing.F) {
	f.Add(bytes.Join([][]byte{header(commandWrite, 0, 1, 0, SectorSize), sectorsOf("a"), header(commandFlush, 0, 2, 0, 0), header(commandRead, 0, 3, 0, 512)}, nil))
	f.Add(header(commandRead, 0xffff, 1, 1<<63, 1<<20))
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) >= requestBytes && binary.BigEndian.Uint32(sent[24:])%maxRequest > 1<<20 {
			t.Skip("much memory, no news")
		}
		d := newDisk(t, 4, Options{})
		var replies bytes.Buffer
		d.Serve(struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(sent), &replies})
		if s := d.Stats(); s.CachedBlocks > 4 || s.Forced > s.Writes {
			t.Errorf("%+v", s)
		}
		letters := make([]byte, 4*SectorSize)
		if err := d.Read(letters, 0); err != nil {
			t.Error(err)
		}
	})
}
