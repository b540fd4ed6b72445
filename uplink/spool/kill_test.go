package spool

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary be the program that TestKill kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv("SPOOL_KILL_DIR"); dir != "" {
		if err := appendUntilKilled(dir); err != nil {
			fmt.Println("error", err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

var killOptions = Options{Sync: 2 * time.Millisecond, ChapterBytes: 32 << 10}

// appendUntilKilled appends entries numbered from where the last run came to.
// It prints "durable INDEX NUMBER" when an entry is, and "ack INDEX" before it
// acknowledges one.
func appendUntilKilled(dir string) error {
	s, err := Open(dir, killOptions)
	if err != nil {
		return err
	}
	all, err := s.Cursor("all", Oldest)
	if err != nil {
		return err
	}
	sink, err := s.Cursor("sink", Oldest)
	if err != nil {
		return err
	}
	n := uint64(0)
	for {
		e, err := all.TryNext(nil)
		if err == ErrNone {
			break
		}
		if err != nil {
			return err
		}
		n = binary.LittleEndian.Uint64(e.Payload)
	}
	for {
		n++
		index, err := s.Append(payloadOf(n))
		if err != nil {
			return err
		}
		switch {
		case rand.IntN(20) == 0:
			if err := s.Sync(); err != nil {
				return err
			}
			fmt.Println("durable", index, n)
		case rand.IntN(10) == 0:
			for range 10 {
				e, err := sink.TryNext(nil)
				if err == ErrNone {
					break
				}
				if err != nil {
					return err
				}
				fmt.Println("ack", e.Index)
				if err := sink.Ack(e.Index, nil); err != nil {
					return err
				}
			}
		}
	}
}

// TestKill kills a writing process again and again: what it called durable is
// there, everything is in order, and cursors stand where they were put. At most
// the one entry that a kill tore is missing.
func TestKill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Skip("the test binary cannot find itself: ", err)
	}
	kills := 50
	if testing.Short() {
		kills = 10
	}
	dir := t.TempDir()
	var acked, index, number, lastIndex, torn uint64
	for run := range kills {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), "SPOOL_KILL_DIR="+dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// The first runs die while they open, the later ones at any time.
		time.AfterFunc(time.Duration(rand.IntN(2+4*min(run, 10)))*time.Millisecond, func() { cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			line := lines.Text()
			switch {
			case strings.HasPrefix(line, "error"):
				t.Fatal(line)
			case strings.HasPrefix(line, "ack "):
				var a uint64
				if _, err := fmt.Sscan(line[4:], &a); err == nil {
					acked = max(acked, a)
				}
			default:
				var i, n uint64
				if k, _ := fmt.Sscanf(line, "durable %d %d", &i, &n); k == 2 {
					index, number = i, n
				}
			}
		}
		cmd.Wait()
		if run%3 == 1 {
			continue // The next run meets the spool as this one left it.
		}
		s, err := Open(dir, killOptions)
		if err != nil {
			t.Fatalf("after kill %d: %v", run, err)
		}
		if r := s.Report(); len(r.Findings) > 0 {
			torn++
			for _, f := range r.Findings {
				if !f.Tail {
					t.Errorf("after kill %d: %v", run, f)
				}
			}
		}
		all := mustCursor(t, s, "all", Oldest)
		found, last := index == 0, uint64(0)
		for i, e := range drain(t, all) {
			n := uint64(i + 1)
			if string(e.Payload) != string(payloadOf(n)) || e.Missing > 1 || e.Index <= last {
				t.Fatalf("after kill %d: entry %d is %+v, behind index %d", run, n, e, last)
			}
			last = e.Index
			found = found || e.Index == index && n == number
		}
		if !found {
			t.Fatalf("after kill %d: durable entry %d with index %d is gone; the last index is %d", run, number, index, last)
		}
		if last < lastIndex {
			t.Fatalf("after kill %d: the last index went back from %d to %d", run, lastIndex, last)
		}
		lastIndex = last
		sink := mustCursor(t, s, "sink", Oldest)
		if at, _ := sink.Acked(); at > acked {
			t.Fatalf("after kill %d: the cursor is at %d, only %d was acknowledged", run, at, acked)
		}
		checkBalance(t, s)
		mustClose(t, s)
	}
	t.Logf("%d kills, %d torn tails, last index %d, acknowledged %d", kills, torn, lastIndex, acked)
}
