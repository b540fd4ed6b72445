package board_test

import (
	"bytes"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
)

// waitCarrier waits until the guest sees that its link is there, or not.
func waitCarrier(t *testing.T, b *board.Board, want string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		carrier, err := b.ReadFile(t.Context(), "/sys/class/net/eth0/carrier")
		if err != nil {
			t.Fatal(err)
		}
		if string(bytes.TrimSpace(carrier)) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the carrier is %q, want %s", carrier, want)
		}
	}
}
