package volatiledisk

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The handshake of NBD, as github.com/NetworkBlockDevice/nbd, doc/proto.md,
// sections "Handshake phase" and "Option types", has it: fixed newstyle.
//
//	server   "NBDMAGIC", "IHAVEOPT", flags u16
//	client   flags u32
//	client   "IHAVEOPT", option u32, length u32, data             as often as it likes
//	server   0x3e889045565a9 u64, option u32, reply u32, length u32, data
const (
	handshakeMagic   = "NBDMAGICIHAVEOPT"
	optionMagic      = "IHAVEOPT"
	optionReplyMagic = 0x3e889045565a9

	flagFixedNewstyle = 1 << 0
	flagNoZeroes      = 1 << 1

	optionExportName = 1
	optionAbort      = 2
	optionInfo       = 6
	optionGo         = 7

	replyAck         = 1
	replyInfo        = 3
	replyUnsupported = 1<<31 | 1

	infoExport    = 0
	infoBlockSize = 3

	// maxOption bounds what a client may say with an option.
	maxOption = 64 << 10
)

var errAborted = errors.New("the client has ended it")

// Negotiate does the handshake with a client that expects one, such as QEMU: any
// name is this disk. Serve follows.
func (d *Disk) Negotiate(conn io.ReadWriter) error {
	if err := d.negotiate(conn); err != nil {
		return fmt.Errorf("volatiledisk: the handshake: %w", err)
	}
	return nil
}

func (d *Disk) negotiate(conn io.ReadWriter) error {
	greeting := binary.BigEndian.AppendUint16([]byte(handshakeMagic), flagFixedNewstyle|flagNoZeroes)
	if _, err := conn.Write(greeting); err != nil {
		return err
	}
	var flags [4]byte
	if _, err := io.ReadFull(conn, flags[:]); err != nil {
		return err
	}
	noZeroes := binary.BigEndian.Uint32(flags[:])&flagNoZeroes != 0
	for {
		option, err := readOption(conn)
		if err != nil {
			return err
		}
		var answer []byte
		switch option {
		case optionExportName: // answered without a header
			answer = d.export(nil)
			if !noZeroes {
				answer = append(answer, make([]byte, 124)...)
			}
		case optionInfo, optionGo:
			block := binary.BigEndian.AppendUint16(nil, infoBlockSize)
			for _, size := range []uint32{SectorSize, uint32(d.opts.BlockSize), maxRequest} { // least, best, most
				block = binary.BigEndian.AppendUint32(block, size)
			}
			answer = appendOptionReply(answer, option, replyInfo, d.export(binary.BigEndian.AppendUint16(nil, infoExport)))
			answer = appendOptionReply(answer, option, replyInfo, block)
			answer = appendOptionReply(answer, option, replyAck, nil)
		case optionAbort:
			answer = appendOptionReply(answer, option, replyAck, nil)
		default:
			answer = appendOptionReply(answer, option, replyUnsupported, nil)
		}
		if _, err := conn.Write(answer); err != nil {
			return err
		}
		switch option {
		case optionExportName, optionGo:
			return nil
		case optionAbort:
			return errAborted
		}
	}
}

// export describes the disk: its size in bytes and what it can do.
func (d *Disk) export(b []byte) []byte {
	return binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint64(b, uint64(d.size)), TransmissionFlags)
}

// readOption reads an option; its data say nothing that matters here.
func readOption(conn io.Reader) (option uint32, err error) {
	var header [16]byte
	if _, err := io.ReadFull(conn, header[:]); err != nil {
		return 0, err
	}
	if magic := string(header[:8]); magic != optionMagic {
		return 0, fmt.Errorf("an option begins with %q", magic)
	}
	length := binary.BigEndian.Uint32(header[12:])
	if length > maxOption {
		return 0, fmt.Errorf("an option has %d bytes", length)
	}
	_, err = io.CopyN(io.Discard, conn, int64(length))
	return binary.BigEndian.Uint32(header[8:]), err
}

func appendOptionReply(b []byte, option, reply uint32, data []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, optionReplyMagic)
	for _, n := range []uint32{option, reply, uint32(len(data))} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return append(b, data...)
}
