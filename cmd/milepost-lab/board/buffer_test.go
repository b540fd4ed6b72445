package board_test

import (
	"bytes"
	"strings"
	"sync"
)

// lockedBuffer is a buffer that is read while a process still writes to it.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

func (b *lockedBuffer) contains(text string) bool { return strings.Contains(b.String(), text) }
