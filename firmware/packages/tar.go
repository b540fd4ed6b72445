package packages

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io/fs"
	"time"
)

// tarGz writes files, with "./" before their paths, as dpkg and opkg expect them.
func tarGz(files []File, when time.Time) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression) // its header has no time and no name
	if err != nil {
		return nil, err
	}
	archive := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{
			Name: "." + f.Path, Mode: int64(f.Mode.Perm()), Size: int64(len(f.Body)),
			ModTime: when, Uname: "root", Gname: "root",
			Typeflag: tar.TypeReg, Format: tar.FormatGNU,
		}
		switch {
		case f.Mode.IsDir():
			header.Typeflag, header.Name = tar.TypeDir, header.Name+"/"
		case f.Link != "":
			header.Typeflag, header.Linkname, header.Mode = tar.TypeSymlink, f.Link, 0o777
		}
		if err := archive.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
		if _, err := archive.Write(f.Body); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Path, err)
		}
	}
	if err := archive.Close(); err != nil {
		return nil, err
	}
	if err := compressed.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// withRoot puts the entry "./" before files.
func withRoot(files []File) []File {
	return append([]File{{Path: "", Mode: fs.ModeDir | 0o755}}, files...)
}
