package spool

import (
	"cmp"
	"io/fs"
	"path/filepath"
	"sort"
	"time"
)

// boundQuarantine deletes the oldest of what is in quarantine until the rest is
// within Options.QuarantineBytes. What is there was damaged, or was read by all
// that wanted it as far as that goes. It is called with Spool.syncing held, or
// by Open.
func (s *Spool) boundQuarantine() {
	type item struct {
		path  string
		bytes int64
		at    time.Time
	}
	var items []item
	var total int64
	entries, err := s.fs.ReadDir(s.quarantineDir())
	if err != nil {
		return
	}
	for _, e := range entries {
		i := item{path: filepath.Join(s.quarantineDir(), e.Name())}
		i.bytes = treeBytes(i.path)
		if info, err := e.Info(); err == nil {
			i.at = info.ModTime()
		}
		items = append(items, i)
		total += i.bytes
	}
	sort.Slice(items, func(i, j int) bool {
		return cmp.Or(items[i].at.Compare(items[j].at), cmp.Compare(items[i].path, items[j].path)) < 0
	})
	for _, i := range items {
		if total <= s.opts.QuarantineBytes {
			return
		}
		if err := s.fs.RemoveAll(i.path); err != nil {
			continue
		}
		total -= i.bytes
		s.mu.Lock()
		s.water.discarded += uint64(i.bytes)
		s.mu.Unlock()
		s.log.Warn("the folder quarantine is full: the oldest in it is deleted", "dir", s.dir, "file", filepath.Base(i.path), "bytes", i.bytes)
	}
}

// treeBytes is the size of a file, or of all files below a directory.
func treeBytes(dir string) (n int64) {
	filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			if info, err := e.Info(); err == nil {
				n += info.Size()
			}
		}
		return nil
	})
	return n
}
