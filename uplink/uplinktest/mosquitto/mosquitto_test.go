package mosquitto_test

import (
	"errors"
	"net"
	"strings"
	"testing"

	"milepost/uplink/uplinktest/mosquitto"
)

func TestBroker(t *testing.T) {
	b, err := mosquitto.Start(mosquitto.Options{Dir: t.TempDir(), Users: map[string]string{"van": "let me in"}, WebSockets: true})
	if errors.Is(err, mosquitto.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Kill() })
	dial := func(addr string) error {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err
	}
	for _, addr := range []string{b.Addr, b.WS} {
		if err := dial(addr); err != nil {
			t.Error(err)
		}
	}
	for _, f := range []func() error{func() error { return b.Save(t.Context()) }, b.Pause, b.Resume, b.Stop} {
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	if dial(b.Addr) == nil {
		t.Error("the broker listens after Stop")
	}
	if err := b.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := dial(b.Addr); err != nil {
		t.Error(err)
	}
	b.Set("there_is_no_such_setting 1")
	if err := b.Restart(); err == nil || !strings.Contains(err.Error(), "there_is_no_such_setting") {
		t.Errorf("Restart with a bad configuration: %v", err)
	}
}
