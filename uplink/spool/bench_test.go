package spool

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/tidwall/wal"
)

// The benchmarks compare the spool with the least that could be done instead, in
// turns within one run, and report the ratio of the medians: "of-write" is the
// spool's speed as a part of the other's, and where the system tells, the same
// of processor time, which other programs disturb less. TMPDIR chooses the disk.
// Payloads are random bytes.

// turns runs a and b in turns and returns the medians of their times.
func turns(n int, a, b func() time.Duration) (ta, tb time.Duration) {
	var as, bs []time.Duration
	for range n {
		as, bs = append(as, a()), append(bs, b())
	}
	slices.Sort(as)
	slices.Sort(bs)
	return as[n/2], bs[n/2]
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(b)
	return b
}

// BenchmarkAppendOfWrite appends without sync, beside write(2) of the same bytes
// in the same pieces to files of the chapters' size.
func BenchmarkAppendOfWrite(b *testing.B) {
	const total = 32 << 20
	for _, size := range []int{2 << 10, 25 << 10, 100 << 10, 200 << 10} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			payload := randomBytes(size)
			var before, after runtime.MemStats
			var garbage, appended uint64
			var cpuSpooled, cpuWritten time.Duration
			spooled := func() time.Duration {
				s := mustOpen(b, filepath.Join(b.TempDir(), "spool"), Options{Sync: SyncNever})
				runtime.ReadMemStats(&before)
				cpu := cpuTime()
				start := time.Now()
				for n := 0; n < total; n += size {
					mustAppend(b, s, payload)
				}
				// What is in memory has to be written, too, before it counts.
				if err := s.store(true); err != nil {
					b.Fatal(err)
				}
				took := time.Since(start)
				cpuSpooled += cpuTime() - cpu
				runtime.ReadMemStats(&after)
				garbage += after.TotalAlloc - before.TotalAlloc
				appended += total
				mustClose(b, s)
				return took
			}
			written := func() time.Duration {
				dir := b.TempDir()
				cpu := cpuTime()
				start := time.Now()
				var f *os.File
				for n := 0; n < total; n += size {
					if n%defaultChapterBytes < size {
						f.Close()
						f, _ = os.Create(filepath.Join(dir, fmt.Sprint(n)))
					}
					if _, err := f.Write(payload); err != nil {
						b.Fatal(err)
					}
				}
				f.Close()
				cpuWritten += cpuTime() - cpu
				return time.Since(start)
			}
			for b.Loop() {
				a, w := turns(7, spooled, written)
				b.ReportMetric(float64(w)/float64(a), "of-write")
				b.ReportMetric(float64(total)/a.Seconds()/1e6, "MB/s")
			}
			b.ReportMetric(float64(garbage)/float64(appended), "garbage-B/B")
			if cpuSpooled > 0 {
				b.ReportMetric(float64(cpuWritten)/float64(cpuSpooled), "of-write-in-CPU-time")
			}
		})
	}
}

// BenchmarkGroupCommit makes each batch of 2 KiB records durable, beside
// write(2) and fdatasync(2) of the same bytes in one piece, and beside
// tidwall/wal's own WriteBatch.
func BenchmarkGroupCommit(b *testing.B) {
	for _, records := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(records), func(b *testing.B) {
			payload := randomBytes(2 << 10)
			s := mustOpen(b, filepath.Join(b.TempDir(), "spool"), Options{Sync: SyncNever})
			plain, err := os.Create(filepath.Join(b.TempDir(), "plain"))
			if err != nil {
				b.Fatal(err)
			}
			defer plain.Close()
			log, err := wal.Open(filepath.Join(b.TempDir(), "log"), nil)
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			all := make([]byte, 0, records*len(payload))
			for range records {
				all = append(all, payload...)
			}
			var ts, tw, tl []time.Duration
			var batch wal.Batch
			index := uint64(1)
			for b.Loop() {
				start := time.Now()
				for range records {
					mustAppend(b, s, payload)
				}
				if err := s.Sync(); err != nil {
					b.Fatal(err)
				}
				ts = append(ts, time.Since(start))

				start = time.Now()
				if _, err := plain.Write(all); err != nil {
					b.Fatal(err)
				}
				if err := syncData(plain); err != nil {
					b.Fatal(err)
				}
				tw = append(tw, time.Since(start))

				start = time.Now()
				for range records {
					batch.Write(index, payload)
					index++
				}
				if err := log.WriteBatch(&batch); err != nil {
					b.Fatal(err)
				}
				tl = append(tl, time.Since(start))
			}
			at := func(t []time.Duration, q float64) float64 {
				slices.Sort(t)
				return float64(t[int(q*float64(len(t)-1))])
			}
			b.ReportMetric(at(ts, .5)/at(tw, .5), "p50-of-write+fdatasync")
			b.ReportMetric(at(ts, .99)/at(tw, .99), "p99-of-write+fdatasync")
			b.ReportMetric(at(ts, .5)/at(tl, .5), "p50-of-tidwall")
			b.ReportMetric(at(ts, .99)/at(tl, .99), "p99-of-tidwall")
			mustClose(b, s)
		})
	}
}

// BenchmarkHeap appends at full speed with default options while a cursor
// follows, and reports the heap that this holds.
func BenchmarkHeap(b *testing.B) {
	for b.Loop() {
		var before, now runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		s := mustOpen(b, b.TempDir(), Options{})
		c := mustCursor(b, s, "sink", Oldest)
		payload := randomBytes(50 << 10)
		most := uint64(0)
		var dst []byte
		for n := range 1000 {
			mustAppend(b, s, payload)
			if n%3 == 0 {
				e, err := c.TryNext(dst)
				if err != nil {
					b.Fatal(err)
				}
				dst = e.Payload
			}
			if n%50 == 49 {
				runtime.GC()
				runtime.ReadMemStats(&now)
				most = max(most, now.HeapAlloc-before.HeapAlloc)
			}
		}
		b.ReportMetric(float64(most)/(1<<20), "MiB")
		mustClose(b, s)
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
