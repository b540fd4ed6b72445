package socketcan

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// asker asks the kernel about interfaces. It keeps its socket, because what is
// asked each second need not open one each second, and takes another one after any
// failure: an answer that came late must not be taken for that to the next question.
// It is safe for concurrent use.
type asker struct {
	mu     sync.Mutex
	conn   *netlink.Conn
	closed atomic.Bool
}

// readLink is ReadLink.
func (a *asker) readLink(name string) (Link, error) {
	if len(name) == 0 || len(name) >= unix.IFNAMSIZ {
		return Link{}, fmt.Errorf("%q: the name of an interface has 1 to %d bytes", name, unix.IFNAMSIZ-1)
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.String(unix.IFLA_IFNAME, name)
	encoded, err := attributes.Encode()
	if err != nil {
		return Link{}, err
	}
	// Without netlink.Acknowledge: an acknowledgement would follow the answer, and be
	// read as that to the next question.
	replies, err := a.ask(netlink.Message{
		Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request},
		Data:   append(make([]byte, unix.SizeofIfInfomsg), encoded...),
	})
	if err != nil {
		return Link{}, fmt.Errorf("asking about interface %s: %w", name, shorter(err))
	}
	for _, reply := range replies {
		if reply.Header.Type == unix.RTM_NEWLINK {
			link, err := parseLink(reply.Data)
			if err != nil {
				return Link{}, fmt.Errorf("interface %s: %w", name, err)
			}
			return link, nil
		}
	}
	return Link{}, fmt.Errorf("asking about interface %s: the kernel does not answer", name)
}

// ask sends one request and returns what it is answered with.
func (a *asker) ask(request netlink.Message) (replies []netlink.Message, err error) {
	defer func() {
		if a.closed.Load() { // close did not wait for us
			a.close()
		}
	}()
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn == nil {
		if a.conn, err = dialRoute(); err != nil {
			return nil, err
		}
	}
	defer func() {
		if err != nil {
			a.hangUp()
		}
	}()
	if err := a.conn.SetDeadline(time.Now().Add(answerTime)); err != nil {
		return nil, err
	}
	if replies, err = a.conn.Execute(request); err != nil {
		return nil, err
	}
	return replies, a.conn.SetDeadline(time.Time{})
}

// close gives the socket back, without waiting for an answer that is awaited. Who
// asks after that has a socket for one question.
func (a *asker) close() {
	a.closed.Store(true)
	if a.mu.TryLock() {
		a.hangUp()
		a.mu.Unlock()
	}
}

// hangUp gives the socket back. The caller holds mu.
func (a *asker) hangUp() {
	if a.conn != nil {
		a.conn.Close()
		a.conn = nil
	}
}
