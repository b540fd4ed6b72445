package spool

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// BenchmarkAppend compares Append with write(2) of the same records to plain
// files: without any sync, and with a sync after each chapter's worth, which is
// the least that a log does. TMPDIR chooses the disk.
func BenchmarkAppend(b *testing.B) {
	for _, size := range []int{2 << 10, 16 << 10, 128 << 10} {
		payload := make([]byte, size)
		for i := range payload {
			payload[i] = byte(i * 7)
		}
		b.Run(fmt.Sprintf("spool/%dK", size>>10), func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), Options{MaxBytes: 64 << 20})
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				mustAppend(b, s, payload)
			}
			b.StopTimer()
			mustClose(b, s)
		})
		for _, sync := range []bool{false, true} {
			name := "write"
			if sync {
				name = "write+sync"
			}
			b.Run(fmt.Sprintf("%s/%dK", name, size>>10), func(b *testing.B) {
				dir := b.TempDir()
				b.SetBytes(int64(size))
				var f *os.File
				written, files := 0, 0
				for b.Loop() {
					if f == nil {
						f, _ = os.Create(filepath.Join(dir, fmt.Sprint(files%64)))
						files++
					}
					if _, err := f.Write(payload); err != nil {
						b.Fatal(err)
					}
					if written += size; written >= 1<<20 {
						if sync {
							f.Sync()
						}
						f.Close()
						f, written = nil, 0
					}
				}
				if f != nil {
					f.Close()
				}
			})
		}
	}
}

// BenchmarkRead reads what is in the page cache.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{2 << 10, 16 << 10, 128 << 10} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), Options{Sync: SyncNever})
			payload := make([]byte, size)
			for range (16 << 20) / size {
				mustAppend(b, s, payload)
			}
			c := mustCursor(b, s, "sink", Oldest)
			var dst []byte
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				e, err := c.TryNext(dst)
				if err == ErrNone {
					c.Rewind()
					e, err = c.TryNext(dst)
				}
				if err != nil {
					b.Fatal(err)
				}
				dst = e.Payload
			}
		})
	}
}
