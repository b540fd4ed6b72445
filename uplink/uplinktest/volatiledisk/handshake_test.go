package volatiledisk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// option is what a client says in the handshake.
func option(kind uint32, data ...byte) []byte {
	b := binary.BigEndian.AppendUint32([]byte(optionMagic), kind)
	return append(binary.BigEndian.AppendUint32(b, uint32(len(data))), data...)
}

// optionAnswer is what it is answered.
func optionAnswer(kind, reply uint32, data ...byte) []byte {
	return appendOptionReply(nil, kind, reply, data)
}

var (
	newstyle = []byte{0, 0, 0, flagFixedNewstyle | flagNoZeroes}
	// A disk of 8192 bytes: its size, what it can do (FLUSH and FUA), its blocks.
	exported = []byte{0, 0, 0, 0, 0, 0, 0x20, 0, 0, 0x0d}
	blocks   = []byte{0, infoBlockSize, 0, 0, 2, 0, 0, 0, 0x10, 0, 0, 0x40, 0, 0}
)

func TestNegotiate(t *testing.T) {
	const structured = 8 // NBD_OPT_STRUCTURED_REPLY, which is not known here
	greeting := []byte("NBDMAGICIHAVEOPT\x00\x03")
	info := func(kind uint32) []byte {
		return bytes.Join([][]byte{
			optionAnswer(kind, replyInfo, append([]byte{0, infoExport}, exported...)...),
			optionAnswer(kind, replyInfo, blocks...),
			optionAnswer(kind, replyAck),
		}, nil)
	}
	for name, c := range map[string]struct {
		says  [][]byte // after its flags
		flags []byte
		want  [][]byte
		err   error
	}{
		"go": {
			[][]byte{option(structured), option(optionInfo, 0, 0, 0, 0, 0, 0), option(optionGo, 0, 0, 0, 0, 0, 0)}, newstyle,
			[][]byte{optionAnswer(structured, replyUnsupported), info(optionInfo), info(optionGo)}, nil,
		},
		"export name":             {[][]byte{option(optionExportName, 'd')}, newstyle, [][]byte{exported}, nil},
		"export name with zeroes": {[][]byte{option(optionExportName)}, []byte{0, 0, 0, 1}, [][]byte{exported, make([]byte, 124)}, nil},
		"abort":                   {[][]byte{option(optionAbort)}, newstyle, [][]byte{optionAnswer(optionAbort, replyAck)}, errAborted},
	} {
		t.Run(name, func(t *testing.T) {
			d, err := New(make([]byte, 2*BlockSize), Options{})
			if err != nil {
				t.Fatal(err)
			}
			here, there := net.Pipe()
			defer here.Close()
			ended := make(chan error, 1)
			go func() { ended <- d.Negotiate(there); there.Close() }()
			go here.Write(append(bytes.Clone(c.flags), bytes.Join(c.says, nil)...))
			got, err := io.ReadAll(here)
			if want := append(greeting[:len(greeting):len(greeting)], bytes.Join(c.want, nil)...); err != nil || !bytes.Equal(got, want) {
				t.Errorf("the server says\n% x, want\n% x: %v", got, want, err)
			}
			if err := <-ended; !errors.Is(err, c.err) {
				t.Errorf("the error is %v, want %v", err, c.err)
			}
		})
	}
}

// scripted is a client that says what it has prepared.
type scripted struct {
	io.Reader
	said bytes.Buffer
}

func (s *scripted) Write(b []byte) (int, error) { return s.said.Write(b) }

func FuzzNegotiate(f *testing.F) {
	f.Add(append(bytes.Clone(newstyle), option(optionGo)...))
	f.Add(append(bytes.Clone(newstyle), option(optionInfo, 1, 2, 3)...))
	f.Add(append(bytes.Clone(newstyle), option(optionExportName, 'x')...))
	f.Add(append(bytes.Clone(newstyle), "IHAVEOPT\x00\x00\x00\x07\xff\xff\xff\xff"...))
	f.Fuzz(func(t *testing.T, input []byte) {
		d, err := New(make([]byte, 2*BlockSize), Options{})
		if err != nil {
			t.Fatal(err)
		}
		client := &scripted{Reader: bytes.NewReader(input)}
		if err := d.Negotiate(client); err == nil && !bytes.Contains(client.said.Bytes(), exported) {
			t.Errorf("the client of %q was told nothing of the disk", input)
		}
	})
}
