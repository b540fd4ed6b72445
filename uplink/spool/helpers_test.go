package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func isNewer(err error) bool { return errors.Is(err, ErrNewer) }

func appendSum(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// memoryDir is a directory for tests that damage the files themselves: in
// memory where the system has such a place, as thousands of syncs cost minutes
// on a busy disk.
func memoryDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "spool")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// snapshot is a picture of all files below dir but the lock.
func snapshot(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == "LOCK" {
			return err
		}
		data, err := os.ReadFile(name)
		info, _ := e.Info()
		fmt.Fprintf(&b, "%s %d %08x %v\n", name, len(data), crc32.ChecksumIEEE(data), info.ModTime())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// putStranger puts something else where a file or a directory was; it reports
// false if the system does not have such a thing.
func putStranger(t testing.TB, name, what string) bool {
	t.Helper()
	if err := os.RemoveAll(name); err != nil {
		t.Fatal(err)
	}
	var err error
	switch what {
	case "directory":
		err = os.Mkdir(name, 0o750)
	case "file":
		err = os.WriteFile(name, []byte("a stranger"), 0o640)
	case "pipe":
		if err = makePipe(name); errors.Is(err, errors.ErrUnsupported) {
			return false
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}
