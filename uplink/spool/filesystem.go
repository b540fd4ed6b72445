package spool

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"github.com/tidwall/wal"
)

// fileSystem is what the spool asks of the disk, so that tests can refuse it.
type fileSystem interface {
	OpenFile(name string, flag int, perm fs.FileMode) (file, error)
	Mkdir(name string) error
	Rename(from, to string) error
	Remove(name string) error
	RemoveAll(name string) error
	ReadDir(name string) ([]fs.DirEntry, error)
	// SyncDir makes the names in a directory durable.
	SyncDir(name string) error
	// OpenLog and WriteBatch call tidwall/wal, which calls package os.
	OpenLog(path string, opts *wal.Options) (*wal.Log, error)
	WriteBatch(log *wal.Log, batch *wal.Batch, segment string) error
}

// file is an open file of a fileSystem.
type file interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (fs.FileInfo, error)
	Sync() error
	Truncate(size int64) error
}

// counting adds up what is written through it.
type counting struct {
	fileSystem
	written *atomic.Uint64
}

type countingFile struct {
	file
	written *atomic.Uint64
}

func (c counting) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := c.fileSystem.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return countingFile{f, c.written}, nil
}

func (f countingFile) WriteAt(b []byte, at int64) (int, error) {
	n, err := f.file.WriteAt(b, at)
	f.written.Add(uint64(n))
	return n, err
}

const (
	dirMode  = 0o750
	fileMode = 0o640
)

// disk is the real file system.
type disk struct{}

func (disk) OpenFile(name string, flag int, perm fs.FileMode) (file, error) {
	f, err := os.OpenFile(name, flag|nonblock, perm)
	if err != nil {
		return nil, err
	}
	return diskFile{f}, nil
}

type diskFile struct{ *os.File }

func (f diskFile) Sync() error { return syncData(f.File) }

func (disk) Mkdir(name string) error                    { return os.Mkdir(name, dirMode) }
func (disk) Rename(from, to string) error               { return os.Rename(from, to) }
func (disk) Remove(name string) error                   { return os.Remove(name) }
func (disk) RemoveAll(name string) error                { return os.RemoveAll(name) }
func (disk) ReadDir(name string) ([]fs.DirEntry, error) { return os.ReadDir(name) }
func (disk) SyncDir(name string) error                  { return syncDir(name) }

func (disk) OpenLog(path string, opts *wal.Options) (*wal.Log, error) { return wal.Open(path, opts) }

func (disk) WriteBatch(log *wal.Log, batch *wal.Batch, _ string) error { return log.WriteBatch(batch) }

// readFile returns what a file holds, up to limit bytes.
func readFile(fsys fileSystem, name string, limit int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file but %v", name, info.Mode().Type())
	}
	return readSegment(f, min(info.Size(), limit))
}

// writeFile puts a file in place whole or not at all.
func writeFile(fsys fileSystem, name string, data []byte) error {
	temp := name + ".TEMP"
	f, err := fsys.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = fsys.Rename(temp, name)
	}
	if err != nil {
		fsys.Remove(temp)
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}

// ensureDir makes a directory, if it is not there, and its name durable.
func ensureDir(fsys fileSystem, name string) error {
	err := fsys.Mkdir(name)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(name))
}
