package board

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// qtest is the protocol by which QEMU's own tests get at devices
// (docs/devel/qtest.rst of QEMU): a line a command, answered by a line with "OK"
// or "FAIL". Lines with "IRQ" come at any time. It works beside a kernel that runs.
type qtest struct {
	conn    net.Conn
	answers chan string // closed when QEMU is gone
	onIRQ   func(number int, raised bool)

	mu sync.Mutex // a command and its answer
}

const qtestTimeout = 30 * time.Second

// newQTest has onIRQ called, by one goroutine, for each change of what was
// intercepted.
func newQTest(conn net.Conn, onIRQ func(number int, raised bool)) *qtest {
	q := &qtest{conn: conn, answers: make(chan string, 1), onIRQ: onIRQ}
	go q.read()
	return q
}

func (q *qtest) read() {
	defer close(q.answers)
	for lines := bufio.NewScanner(q.conn); lines.Scan(); {
		line := lines.Text()
		var number int
		var change string
		if n, _ := fmt.Sscanf(line, "IRQ %s %d", &change, &number); n == 2 {
			q.onIRQ(number, change == "raise")
			continue
		}
		q.answers <- line
	}
}

var errNoAnswer = errors.New("QEMU does not answer")

func (q *qtest) command(format string, args ...any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	command := fmt.Sprintf(format, args...)
	q.conn.SetWriteDeadline(time.Now().Add(qtestTimeout))
	if _, err := fmt.Fprintln(q.conn, command); err != nil {
		return fmt.Errorf("qtest: %s: %w", command, err)
	}
	timer := time.NewTimer(qtestTimeout)
	defer timer.Stop()
	select {
	case answer, ok := <-q.answers:
		if !ok {
			return fmt.Errorf("qtest: %s: %w", command, errNoAnswer)
		}
		if !strings.HasPrefix(answer, "OK") {
			return fmt.Errorf("qtest: %s: %s", command, answer)
		}
		return nil
	case <-timer.C:
		return fmt.Errorf("qtest: %s: %w", command, errNoAnswer)
	}
}
