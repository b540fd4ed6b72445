//go:build linux

package spool

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestCloseLeavesNothingOpen: after Close the file system can be unmounted.
func TestCloseLeavesNothingOpen(t *testing.T) {
	for _, interval := range []time.Duration{time.Second, SyncAlways, SyncNever} {
		dir := t.TempDir()
		for range 3 { // the second run continues the first one's chapter
			s, err := Open(dir, Options{Sync: interval, ChapterBytes: 8 << 10})
			if err != nil {
				t.Fatal(err)
			}
			for range 100 {
				if _, err := s.Append(make([]byte, 700)); err != nil {
					t.Fatal(err)
				}
				if err := s.Sync(); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			handles, err := os.ReadDir("/proc/self/fd")
			if err != nil {
				t.Skipf("what is open is told by /proc, which is not there: %v", err)
			}
			for _, h := range handles {
				target, err := os.Readlink(filepath.Join("/proc/self/fd", h.Name()))
				if err == nil && strings.HasPrefix(target, dir) {
					t.Errorf("sync %v: %s is still open", interval, target)
				}
			}
		}
	}
}
