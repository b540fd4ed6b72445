package spool

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// full is a disk that refuses to write cursors and marks for want of room, as long
// as the ballast is there.
type full struct {
	disk
	dir string
	on  bool
}

type fullFile struct {
	file
	fs   *full
	name string
}

func (f *full) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	inner, err := f.disk.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &fullFile{inner, f, name}, nil
}

func (f *fullFile) WriteAt(b []byte, at int64) (int, error) {
	_, err := os.Stat(filepath.Join(f.fs.dir, "ballast"))
	if f.fs.on && (err == nil || strings.Contains(f.name, "ballast")) {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	return f.file.WriteAt(b, at)
}

// TestBallast: on a full disk the ballast makes way for a cursor and the removal of
// chapters, and comes back when there is room.
func TestBallast(t *testing.T) {
	dir := memoryDir(t)
	synctest.Test(t, func(t *testing.T) {
		fsys := &full{dir: dir}
		s, err := open(dir, Options{Sync: SyncNever, ChapterBytes: 1024, BallastBytes: 64 << 10}, fsys)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		there := func() bool {
			info, err := os.Stat(filepath.Join(dir, "ballast"))
			return err == nil && info.Size() == 64<<10
		}
		c := mustCursor(t, s, "sink", Oldest)
		for n := uint64(1); n <= 40; n++ {
			mustAppend(t, s, payloadOf(n))
		}
		if err := s.Sync(); err != nil || !there() {
			t.Fatal(err, there())
		}
		chapters := s.Stats().Chapters
		fsys.on = true
		if err := c.Ack(30, nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(); err != nil || there() {
			t.Fatalf("%v; the ballast is there: %t", err, there())
		}
		if st := checkBalance(t, s); st.Chapters >= chapters || st.State != Storing {
			t.Errorf("%d chapters of %d: %+v", st.Chapters, chapters, st)
		}
		fsys.on = false
		if err := s.Sync(); err != nil || there() {
			t.Errorf("%v; the ballast is there at once: %t", err, there())
		}
		time.Sleep(ballastPause)
		if err := s.Sync(); err != nil || !there() {
			t.Errorf("%v; the ballast is there: %t", err, there())
		}
		fsys.on = true
		if !s.dropBallast(&fs.PathError{Err: syscall.ENOSPC}) || s.dropBallast(errors.New("another")) {
			t.Error("the ballast was not dropped, or twice")
		}
		fsys.on = false
	})
}
