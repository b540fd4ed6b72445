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

	"milepost/uplink/uplinktest/ratio"
)

// The benchmarks compare the spool with the least that could be done instead, in
// turns within one run, and report medians of the rounds' ratios. Where the system
// tells, the same of processor time is reported, which other programs disturb
// less. TMPDIR chooses the disk. Payloads are random bytes.

func randomBytes(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{1})
	source.Read(b)
	return b
}

// BenchmarkAppendOfWrite appends without sync, beside write(2) of the same bytes
// in the same pieces to files of the size of the spool's. A spool has written 2 MiB
// before it counts. What is written is deleted when all is measured: a file system
// may be slower where much was deleted just before.
func BenchmarkAppendOfWrite(b *testing.B) {
	const total, rounds = 32 << 20, 9
	for _, size := range []int{2 << 10, 25 << 10, 100 << 10, 200 << 10} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			payload := randomBytes(size)
			var before, after runtime.MemStats
			var garbage, appended uint64
			spooled := func() (took, cpu time.Duration) {
				s := mustOpen(b, filepath.Join(b.TempDir(), "spool"), Options{Sync: SyncNever})
				for range (2 << 20) / size { // then its buffers are there
					mustAppend(b, s, payload)
				}
				if err := s.store(true); err != nil {
					b.Fatal(err)
				}
				runtime.ReadMemStats(&before)
				cpu = cpuTime()
				start := time.Now()
				for n := 0; n < total; n += size {
					mustAppend(b, s, payload)
				}
				// What is in memory has to be written, too, before it counts.
				if err := s.store(true); err != nil {
					b.Fatal(err)
				}
				took, cpu = time.Since(start), cpuTime()-cpu
				runtime.ReadMemStats(&after)
				garbage += after.TotalAlloc - before.TotalAlloc
				appended += total
				mustClose(b, s)
				return took, cpu
			}
			written := func() (took, cpu time.Duration) {
				dir := b.TempDir()
				cpu = cpuTime()
				start := time.Now()
				const most = largeChapterBytes
				var f *os.File
				for n := 0; n < total; n += size {
					if n%(most-most/4) < size {
						f.Close()
						f, _ = os.Create(filepath.Join(dir, fmt.Sprint(n)))
					}
					if _, err := f.Write(payload); err != nil {
						b.Fatal(err)
					}
				}
				f.Close()
				return time.Since(start), cpuTime() - cpu
			}
			var wall, cpu []float64
			for b.Loop() {
				for i := range rounds {
					var took, used [2]time.Duration
					for _, k := range [][]int{{0, 1}, {1, 0}}[i%2] {
						took[k], used[k] = []func() (took, cpu time.Duration){spooled, written}[k]()
					}
					wall = append(wall, float64(took[1])/float64(took[0]))
					cpu = append(cpu, float64(used[1])/float64(used[0]))
				}
			}
			ratio.Report(b, "of write()", wall, ratio.AtLeast(.7))
			if cpuTime() > 0 {
				ratio.Report(b, "of write() in CPU time", cpu, ratio.None())
			}
			b.ReportMetric(float64(garbage)/float64(appended), "garbage-B/B")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// quantile is the q-th of some times, in ns.
func quantile(t []time.Duration, q float64) float64 {
	t = slices.Sorted(slices.Values(t))
	return float64(t[int(q*float64(len(t)-1))])
}

// durably writes a piece to a file and waits until it is durable.
func durably(b *testing.B, f *os.File, piece []byte) {
	if _, err := f.Write(piece); err != nil {
		b.Fatal(err)
	}
	if err := syncData(f); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGroupCommit makes each batch of 2 KiB records durable, beside write(2)
// and fdatasync(2) of the same bytes in one piece, and beside tidwall/wal's own
// WriteBatch with an fsync each, as its default options have it. Whoever comes
// first in a turn changes from turn to turn.
func BenchmarkGroupCommit(b *testing.B) {
	const rounds, turns = 11, 60
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
			all := slices.Repeat(payload, records)
			var batch wal.Batch
			index := uint64(1)
			ways := []func(){
				func() {
					for range records {
						mustAppend(b, s, payload)
					}
					if err := s.Sync(); err != nil {
						b.Fatal(err)
					}
				},
				func() { durably(b, plain, all) },
				func() {
					for range records {
						batch.Write(index, payload)
						index++
					}
					if err := log.WriteBatch(&batch); err != nil {
						b.Fatal(err)
					}
				},
			}
			var took [3][]time.Duration
			var ofBare, ofLibrary []float64
			for b.Loop() {
				for range rounds {
					begun := len(took[0])
					for range turns {
						for _, k := range rand.Perm(3) {
							start := time.Now()
							ways[k]()
							took[k] = append(took[k], time.Since(start))
						}
					}
					p50 := quantile(took[0][begun:], .5)
					ofBare = append(ofBare, p50/quantile(took[1][begun:], .5))
					ofLibrary = append(ofLibrary, p50/quantile(took[2][begun:], .5))
				}
			}
			ratio.Report(b, "p50 of write() and fdatasync()", ofBare, ratio.AtMost(1.3))
			ratio.Report(b, "p50 of tidwall/wal's WriteBatch", ofLibrary, ratio.AtMost(1))
			b.Logf("%-34s p50 %.3f ms, of write() and fdatasync() %.3f ms, of WriteBatch %.3f ms", b.Name()[len("Benchmark"):],
				quantile(took[0], .5)/1e6, quantile(took[1], .5)/1e6, quantile(took[2], .5)/1e6)
			p99 := quantile(took[0], .99)
			ratio.Report(b, "p99 of write() and fdatasync()", []float64{p99 / quantile(took[1], .99)}, ratio.None())
			ratio.Report(b, "p99 of tidwall/wal's WriteBatch", []float64{p99 / quantile(took[2], .99)}, ratio.None())
			b.ReportMetric(0, "ns/op")
			mustClose(b, s)
		})
	}
}

// BenchmarkRoll: what it costs to commit when a chapter is finished and the next
// begins, beside the least that it takes of the disk: write(2) and fdatasync(2) of
// the same bytes, to a file that is there already and to a new one whose name is
// made durable. Only those turns count in which a chapter was finished.
func BenchmarkRoll(b *testing.B) {
	const rolls, rounds = 24, 5
	for _, size := range []int{20 << 10, 200 << 10} {
		b.Run(fmt.Sprintf("%dK", size>>10), func(b *testing.B) {
			payload := randomBytes(size)
			s := mustOpen(b, filepath.Join(b.TempDir(), "spool"), Options{Sync: SyncNever})
			dir := b.TempDir()
			plain, err := os.Create(filepath.Join(dir, "plain"))
			if err != nil {
				b.Fatal(err)
			}
			defer plain.Close()
			appending, files := time.Duration(0), 0
			ways := []func(){
				func() {
					start := time.Now()
					mustAppend(b, s, payload)
					appending = time.Since(start)
					if err := s.Sync(); err != nil {
						b.Fatal(err)
					}
				},
				func() { durably(b, plain, payload) },
				func() {
					files++
					f, err := os.Create(filepath.Join(dir, fmt.Sprint(files)))
					if err != nil {
						b.Fatal(err)
					}
					defer f.Close()
					durably(b, f, payload)
					if err := syncDir(dir); err != nil {
						b.Fatal(err)
					}
				},
			}
			var took [3][]time.Duration
			var appends []time.Duration
			var ofBare, ofNew []float64
			for b.Loop() {
				for range rounds {
					begun := len(took[0])
					for rolled := 0; rolled < rolls; {
						s.mu.Lock()
						before := len(s.chapters)
						s.mu.Unlock()
						var turn [3]time.Duration
						for _, k := range rand.Perm(3) {
							start := time.Now()
							ways[k]()
							turn[k] = time.Since(start)
						}
						s.mu.Lock()
						after := len(s.chapters)
						s.mu.Unlock()
						if after == before {
							continue
						}
						rolled++
						appends = append(appends, appending)
						for k := range took {
							took[k] = append(took[k], turn[k])
						}
					}
					p50 := quantile(took[0][begun:], .5)
					ofBare = append(ofBare, p50/quantile(took[1][begun:], .5))
					ofNew = append(ofNew, p50/quantile(took[2][begun:], .5))
				}
			}
			ratio.Report(b, "p50 of a new file made durable", ofNew, ratio.AtMost(1.3))
			ratio.Report(b, "p99 of a new file made durable", []float64{quantile(took[0], .99) / quantile(took[2], .99)}, ratio.AtMost(1.3))
			ratio.Report(b, "p50 of write() and fdatasync()", ofBare, ratio.None())
			for k, what := range []string{"commit", "write() and fdatasync()", "a new file made durable"} {
				b.Logf("%-34s %-28s p50 %.2f ms, p99 %.2f ms, max %.2f ms", b.Name()[len("Benchmark"):], what,
					quantile(took[k], .5)/1e6, quantile(took[k], .99)/1e6, quantile(took[k], 1)/1e6)
			}
			b.Logf("%-34s %-28s p50 %.3f ms, p99 %.3f ms, max %.3f ms", b.Name()[len("Benchmark"):], "Append alone",
				quantile(appends, .5)/1e6, quantile(appends, .99)/1e6, quantile(appends, 1)/1e6)
			b.ReportMetric(0, "ns/op")
			mustClose(b, s)
		})
	}
}

// BenchmarkHeap appends at full speed with default options while a cursor
// follows, and reports the heap that this holds.
func BenchmarkHeap(b *testing.B) {
	var mib []float64
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
		mib = append(mib, float64(most)/(1<<20))
		mustClose(b, s)
	}
	ratio.Report(b, "MiB", mib, ratio.AtMost(4))
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
