package spool

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// ballast is a file of no use but its bytes. Where a full disk refuses to write a
// cursor, the high-water mark or what a removal needs, it is deleted, so that
// these find room; entries do not get any of it, they wait in memory. It is made
// again when there is room.
//
// Slot files have their pages from the beginning and are overwritten in place, so
// on ext4 and its like the ballast is hardly ever needed. It is where the file
// system writes anything to a new place (btrfs, f2fs, ZFS), where a directory
// grows, or where a cursor is new. It does not help against a quota of users, a
// read-only file system, and others who write faster than we do.
type ballast struct {
	size  int64
	there bool
	tried time.Time // to make it
}

// ballastPause is how long it takes until the ballast is made again.
const ballastPause = time.Minute

func (s *Spool) ballastName() string { return filepath.Join(s.dir, "ballast") }

// makeBallast makes the ballast, if there is to be one and it is not there. It is
// called with Spool.syncing held, or by Open.
func (s *Spool) makeBallast(now time.Time) {
	b := &s.ballast
	if b.there || b.size <= 0 || !b.tried.IsZero() && now.Sub(b.tried) < ballastPause {
		return
	}
	b.tried = now
	if f, err := s.fs.OpenFile(s.ballastName(), os.O_RDONLY, 0); err == nil {
		info, err := f.Stat()
		f.Close()
		if b.there = err == nil && info.Mode().IsRegular() && info.Size() == b.size; b.there {
			return
		}
	}
	// Not zeros: a file system might have a cheaper way to keep those.
	data := make([]byte, b.size)
	state := uint64(now.UnixNano()) | 1
	for i := range data {
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		data[i] = byte(state >> 24)
	}
	b.there = writeFile(s.fs, s.ballastName(), data) == nil
}

// dropBallast deletes the ballast if an error says that the disk is full. It
// reports whether there is more room now.
func (s *Spool) dropBallast(err error) bool {
	b := &s.ballast
	if !b.there || !errors.Is(err, syscall.ENOSPC) {
		return false
	}
	b.there, b.tried = false, time.Now()
	if e := s.fs.Remove(s.ballastName()); e != nil {
		return false
	}
	s.log.Warn("the disk is full: the ballast is deleted, so that cursors can be written and chapters removed", "dir", s.dir, "bytes", b.size)
	return s.fs.SyncDir(s.dir) == nil
}
