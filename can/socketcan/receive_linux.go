package socketcan

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many frames one system call takes at most.
const batchSize = 64

// controlSize has room for a time stamp of three times (SO_TIMESTAMPING) and the
// count of dropped frames, with their headers.
const controlSize = 128

// batch is the memory that recvmmsg(2) fills, used over and over.
type batch struct {
	want, got int
	err       unix.Errno

	headers [batchSize]mmsghdr
	vectors [batchSize]unix.Iovec
	frames  [batchSize][fdSize]byte
	control [batchSize][controlSize]byte
}

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	size   uint32
}

func (b *batch) init() {
	for i := range b.headers {
		b.vectors[i].Base = &b.frames[i][0]
		b.vectors[i].SetLen(fdSize)
		h := &b.headers[i].header
		h.Iov = &b.vectors[i]
		h.SetIovlen(1)
		h.Control = &b.control[i][0]
		h.SetControllen(controlSize)
	}
}

// receive takes up to want frames without waiting. It reports false if there were
// none.
func (b *batch) receive(fd int) bool {
	for i := range b.got {
		b.headers[i].header.SetControllen(controlSize) // the kernel wrote what it used
	}
	b.got, b.err = 0, 0
	for {
		// x/sys has no recvmmsg.
		n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[0])), uintptr(b.want), unix.MSG_DONTWAIT, 0, 0)
		switch errno {
		case 0:
			b.got = int(n)
			return true
		case unix.EINTR:
		default:
			b.err = errno
			return errno != unix.EAGAIN
		}
	}
}

// message is what frame i of the batch came with.
func (b *batch) message(i int) (data *[fdSize]byte, size int, c control) {
	h := &b.headers[i]
	c = parseControl(b.control[i][:min(int(h.header.Controllen), controlSize)])
	// MSG_DONTROUTE marks what this host sent (can.rst, 4.1.7).
	c.local = h.header.Flags&unix.MSG_DONTROUTE != 0
	size = int(h.size)
	if h.header.Flags&unix.MSG_TRUNC != 0 {
		size = 0
	}
	return &b.frames[i], size, c
}

// memoryInfo asks what a socket's receive queue takes, in bytes, and how many
// frames the kernel had to drop because there was no room in it: SO_MEMINFO (Linux
// 4.12, linux/sock_diag.h).
func memoryInfo(fd int) (queued, dropped uint32, ok bool) {
	const receiveQueue, drops = 0, 8 // SK_MEMINFO_RMEM_ALLOC, SK_MEMINFO_DROPS
	var info [drops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	// x/sys has no getsockopt for arrays.
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	return info[receiveQueue], info[drops], errno == 0 && uintptr(size) >= unsafe.Sizeof(info)
}
