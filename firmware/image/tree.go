package image

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// tree is the files of a system before they are packed. What is in the files is
// kept in one temporary file: a system is larger than a small builder's memory.
type tree struct {
	entries map[string]*entry // by path without a slash at the beginning
	bodies  *os.File
	end     int64
}

// entry is a file, a folder or a symbolic link.
type entry struct {
	mode         fs.FileMode
	link         string
	offset, size int64
	uid, gid     int
}

// merged are the folders that Debian has below usr, and as links in the root.
var merged = []string{"bin", "lib", "lib32", "lib64", "sbin"}

func newTree(dir string) (*tree, error) {
	bodies, err := os.CreateTemp(dir, "bodies-")
	if err != nil {
		return nil, err
	}
	return &tree{entries: map[string]*entry{}, bodies: bodies}, nil
}

func (t *tree) close() error { return t.bodies.Close() }

// place is the path of a file in the system: clean, without a slash at the
// beginning, and below usr where the root has only a link.
func place(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	top, _, _ := strings.Cut(name, "/")
	if slices.Contains(merged, top) {
		return "usr/" + name
	}
	return name
}

// file adds a file. What was there before is replaced.
func (t *tree) file(name string, mode fs.FileMode, body []byte) error {
	_, err := t.stream(name, mode, strings.NewReader(string(body)))
	return err
}

func (t *tree) stream(name string, mode fs.FileMode, body io.Reader) (*entry, error) {
	if _, err := t.bodies.Seek(t.end, io.SeekStart); err != nil {
		return nil, err
	}
	n, err := io.Copy(t.bodies, body)
	if err != nil {
		return nil, err
	}
	e := &entry{mode: mode.Perm(), offset: t.end, size: n}
	t.end += n
	t.put(name, e)
	return e, nil
}

// folder adds a folder, unless it is there.
func (t *tree) folder(name string, permissions fs.FileMode) {
	if e := t.entries[place(name)]; e == nil || !e.mode.IsDir() {
		t.put(name, &entry{mode: fs.ModeDir | permissions})
	}
}

// symlink adds a symbolic link.
func (t *tree) symlink(name, target string) {
	t.put(name, &entry{mode: fs.ModeSymlink | 0o777, link: target})
}

// put adds an entry and the folders above it.
func (t *tree) put(name string, e *entry) {
	name = place(name)
	t.entries[name] = e
	if dir := path.Dir(name); dir != "." && t.entries[dir] == nil {
		t.put(dir, &entry{mode: fs.ModeDir | 0o755})
	}
}

// read returns what is in a file.
func (t *tree) read(name string) ([]byte, error) {
	e := t.entries[place(name)]
	if e == nil || !e.mode.IsRegular() {
		return nil, fmt.Errorf("the system has no file /%s", name)
	}
	return io.ReadAll(io.NewSectionReader(t.bodies, e.offset, e.size))
}

// below are the paths in a folder and its folders, sorted.
func (t *tree) below(dir string) (names []string) {
	for _, name := range slices.Sorted(maps.Keys(t.entries)) {
		if strings.HasPrefix(name, place(dir)+"/") {
			names = append(names, name)
		}
	}
	return names
}

// add adds an entry of a package's archive. Bits by which a program gets the
// rights of its owner are taken off: nobody but root logs in.
func (t *tree) add(h *tar.Header, body io.Reader) error {
	name := place(h.Name)
	mode := fs.FileMode(h.Mode).Perm()
	switch h.Typeflag {
	case tar.TypeDir:
		if slices.Contains(merged, strings.TrimPrefix(path.Clean("/"+h.Name), "/")) || name == "" {
			return nil
		}
		t.folder(name, mode)
	case tar.TypeReg:
		_, err := t.stream(name, mode, body)
		return err
	case tar.TypeSymlink:
		t.symlink(name, h.Linkname)
	case tar.TypeLink: // another name of a file that came before
		first := t.entries[place(h.Linkname)]
		if first == nil {
			return fmt.Errorf("it is a link to %s, which is not there", h.Linkname)
		}
		t.put(name, first)
	default:
		return fmt.Errorf("it is of type %q, which no system here has", h.Typeflag)
	}
	return nil
}

// write writes all as a tar archive: sorted, with one time, so that the same files
// give the same bytes.
func (t *tree) write(w io.Writer, when time.Time) error {
	archive := tar.NewWriter(w)
	for _, name := range slices.Sorted(maps.Keys(t.entries)) {
		e := t.entries[name]
		h := &tar.Header{
			Name: name, Mode: int64(e.mode.Perm()), Size: e.size, ModTime: when,
			Uid: e.uid, Gid: e.gid, Typeflag: tar.TypeReg, Format: tar.FormatGNU,
		}
		if e.mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		switch {
		case e.mode.IsDir():
			h.Typeflag, h.Name = tar.TypeDir, name+"/"
		case e.mode&fs.ModeSymlink != 0:
			h.Typeflag, h.Linkname = tar.TypeSymlink, e.link
		}
		if err := archive.WriteHeader(h); err != nil {
			return fmt.Errorf("/%s: %w", name, err)
		}
		if _, err := io.Copy(archive, io.NewSectionReader(t.bodies, e.offset, e.size)); err != nil {
			return fmt.Errorf("/%s: %w", name, err)
		}
	}
	return archive.Close()
}
