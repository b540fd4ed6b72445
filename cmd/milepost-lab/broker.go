package main

import (
	"bufio"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	mochi "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
)

// broker is an MQTT broker on the loopback interface that writes the payloads
// down as they arrive, repeats included: the file is what was delivered.
type broker struct {
	server *mochi.Server
	addr   string
	diary  *diary
}

func startBroker(path string) (*broker, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	b := &broker{
		server: mochi.New(&mochi.Options{Logger: slog.New(slog.DiscardHandler)}),
		diary:  &diary{file: file, text: bufio.NewWriterSize(file, 256<<10)},
	}
	listener := listeners.NewTCP(listeners.Config{ID: "demo", Address: "127.0.0.1:0"})
	err = errors.Join(
		b.server.AddHook(new(auth.AllowHook), nil),
		b.server.AddHook(b.diary, nil),
		b.server.AddListener(listener),
	)
	if err == nil {
		err = b.server.Serve()
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("start the MQTT broker: %w", err)
	}
	b.addr = listener.Address()
	return b, nil
}

// close disconnects everybody and returns the number of messages that have
// arrived, which are all in the file then.
func (b *broker) close() (messages uint64, err error) {
	err = b.server.Close()
	messages, diaryErr := b.diary.close()
	return messages, errors.Join(err, diaryErr)
}

// diary is the broker's hook for what is published.
type diary struct {
	mochi.HookBase

	mu       sync.Mutex
	file     *os.File
	text     *bufio.Writer
	messages uint64
	err      error
}

func (d *diary) ID() string { return "diary" }

func (d *diary) Provides(event byte) bool { return event == mochi.OnPublish }

// OnPublish is called before a message is acknowledged; a subscriber would see
// it after that. The broker takes no error for an answer to an MQTT 3 client,
// so that one is kept for the end.
func (d *diary) OnPublish(_ *mochi.Client, p packets.Packet) (packets.Packet, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.messages++
	if _, err := d.text.Write(p.Payload); err != nil && d.err == nil {
		d.err = err
	}
	return p, nil
}

func (d *diary) close() (messages uint64, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err = errors.Join(d.err, d.text.Flush(), d.file.Close()); err != nil {
		err = fmt.Errorf("write down what arrived: %w", err)
	}
	return d.messages, err
}
