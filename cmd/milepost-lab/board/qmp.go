package board

import (
	"encoding/json"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"
)

// qmp is QEMU's machine protocol (docs/interop/qmp-spec.txt of QEMU): a JSON
// object a command and an answer, with events in between.
type qmp struct {
	mu      sync.Mutex
	conn    net.Conn
	decoder *json.Decoder
}

// qmpTimeout bounds a command. QEMU answers from its main loop.
const qmpTimeout = 30 * time.Second

func newQMP(conn net.Conn) (*qmp, error) {
	q := &qmp{conn: conn, decoder: json.NewDecoder(conn)}
	var greeting json.RawMessage
	conn.SetReadDeadline(time.Now().Add(qmpTimeout))
	if err := q.decoder.Decode(&greeting); err != nil {
		return nil, fmt.Errorf("QMP: the greeting: %w", err)
	}
	return q, q.execute("qmp_capabilities", nil, nil)
}

// execute runs a command; its result goes to result unless that is nil.
func (q *qmp) execute(name string, arguments map[string]any, result any) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	command := map[string]any{"execute": name}
	if arguments != nil {
		command["arguments"] = arguments
	}
	text, err := json.Marshal(command)
	if err != nil {
		return err
	}
	q.conn.SetDeadline(time.Now().Add(qmpTimeout))
	if _, err := q.conn.Write(text); err != nil {
		return fmt.Errorf("QMP: %s: %w", name, err)
	}
	for {
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Class, Desc string }
			Event  string
		}
		if err := q.decoder.Decode(&answer); err != nil {
			return fmt.Errorf("QMP: %s: %w", name, err)
		}
		switch {
		case answer.Event != "":
		case answer.Error != nil:
			return fmt.Errorf("QMP: %s: %s", name, answer.Error.Desc)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Return, result)
		}
	}
}

// find returns the path of the board's first device of a type. Devices of a
// machine have numbers that change with its options.
func (q *qmp) find(device string) (string, error) {
	const parent = "/machine/unattached"
	var children []struct{ Name, Type string }
	if err := q.execute("qom-list", map[string]any{"path": parent}, &children); err != nil {
		return "", err
	}
	for _, child := range children {
		if child.Type == "child<"+device+">" {
			return parent + "/" + child.Name, nil
		}
	}
	return "", fmt.Errorf("the board has no %s", strings.ToUpper(device))
}
