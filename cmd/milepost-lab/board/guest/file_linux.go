package main

import (
	"os"
	"path/filepath"

	"milepost/cmd/milepost-lab/board/control"
)

// ReadFile reads a file.
func (g *Guest) ReadFile(path string, data *[]byte) (err error) {
	*data, err = os.ReadFile(path)
	return err
}

// WriteFile writes a file, or adds to it, and makes it if need be.
func (g *Guest) WriteFile(w control.Write, _ *control.None) error {
	flags := os.O_WRONLY | os.O_CREATE
	if w.Append {
		flags |= os.O_APPEND
	} else {
		flags |= os.O_TRUNC
	}
	f, err := os.OpenFile(w.Path, flags, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(w.Data)
	if err == nil && w.Sync {
		if err = f.Sync(); err == nil {
			err = syncDir(filepath.Dir(w.Path))
		}
	}
	if e := f.Close(); err == nil {
		err = e
	}
	return err
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
