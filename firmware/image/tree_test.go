package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"
)

func newTestTree(t *testing.T) *tree {
	t.Helper()
	files, err := newTree(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { files.close() })
	return files
}

// add adds entries as packages have them.
func addAll(t *testing.T, files *tree, headers []tar.Header) {
	t.Helper()
	for _, h := range headers {
		if err := files.add(&h, strings.NewReader("body of "+h.Name)); err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
	}
}

// list reads the archive of a tree: a line an entry.
func list(t *testing.T, files *tree) (lines []string) {
	t.Helper()
	var b bytes.Buffer
	if err := files.write(&b, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(&b)
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.Unix() != 1e9 || h.Uid != 0 || h.Gid != 0 {
			t.Errorf("%s is of %v and belongs to %d:%d", h.Name, h.ModTime, h.Uid, h.Gid)
		}
		lines = append(lines, strings.TrimSpace(h.FileInfo().Mode().String()+" "+h.Name+" "+h.Linkname+string(body)))
	}
}

// TestTree: packages are merged as dpkg would on a system with one /usr, whatever
// their order, without the bits by which a program gets its owner's rights.
func TestTree(t *testing.T) {
	headers := []tar.Header{
		{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		{Name: "./bin/su", Typeflag: tar.TypeReg, Mode: 0o4755},
		{Name: "./lib/x.so.1", Typeflag: tar.TypeReg, Mode: 0o644},
		{Name: "./lib/x.so", Typeflag: tar.TypeSymlink, Linkname: "x.so.1"},
		{Name: "./usr/bin/perl5", Typeflag: tar.TypeLink, Linkname: "./bin/su"},
		{Name: "./var/", Typeflag: tar.TypeDir, Mode: 0o750},
		{Name: "../../etc/passwd", Typeflag: tar.TypeReg, Mode: 0o644},
	}
	want := []string{
		"drwxr-xr-x etc/", "-rw-r--r-- etc/passwd body of ../../etc/passwd",
		"drwxr-xr-x usr/", "drwxr-xr-x usr/bin/", "-rwxr-xr-x usr/bin/perl5 body of ./bin/su", "-rwxr-xr-x usr/bin/su body of ./bin/su",
		"drwxr-xr-x usr/lib/", "Lrwxrwxrwx usr/lib/x.so x.so.1", "-rw-r--r-- usr/lib/x.so.1 body of ./lib/x.so.1", "drwxr-x--- var/",
	}
	files := newTestTree(t)
	addAll(t, files, headers)
	delete(files.entries, ".")
	if got := list(t, files); !slices.Equal(got, want) {
		t.Errorf("the system has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if err := files.add(&tar.Header{Name: "./dev/x", Typeflag: tar.TypeBlock}, nil); err == nil {
		t.Error("a package's device was taken")
	}
	if err := files.add(&tar.Header{Name: "./y", Typeflag: tar.TypeLink, Linkname: "./z"}, nil); err == nil {
		t.Error("a link to nothing was taken")
	}
}

// TestComplete: what maintainer scripts would have made is there, and nobody has a
// password.
func TestComplete(t *testing.T) {
	files := newTestTree(t)
	for name, text := range map[string]string{
		"usr/share/base-passwd/passwd.master":                "root:*:0:0:root:/root:/bin/bash\nnobody:*:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
		"usr/share/base-passwd/group.master":                 "root:*:0:\ndialout:*:20:\nnogroup:*:65534:\n",
		"usr/lib/sysusers.d/milepost.conf":                   "g gpio - -\nu milepost - \"milepost, the gateway\" /var/lib/milepost -\nm milepost gpio\nm milepost dialout\n",
		"usr/lib/sysusers.d/z.conf":                          "# nothing\nu _apt 42:65534 - /nonexistent /usr/sbin/nologin\nu other -\n",
		"usr/share/ca-certificates/mozilla/B.crt":            "B",
		"usr/share/ca-certificates/mozilla/A.crt":            "A",
		"usr/share/doc/x/copyright":                          "c",
		"usr/share/doc/x/changelog.gz":                       "c",
		"usr/share/man/man1/x.1.gz":                          "m",
		"usr/lib/systemd/system/getty.target":                "unit",
		"usr/lib/systemd/system-generators/systemd-getty":    "x",
		"usr/lib/systemd/system-generators/" + generators[0]: "x",
	} {
		if err := files.file(name, 0o644, []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := files.complete(); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n" +
			"sshd:x:810:810::/run/sshd:/usr/sbin/nologin\nmilepost:x:800:800:milepost, the gateway:/var/lib/milepost:/usr/sbin/nologin\n",
		"etc/shadow":                        "root:*:::::::\nnobody:*:::::::\nsshd:*:::::::\nmilepost:*:::::::\n",
		"etc/ssl/certs/ca-certificates.crt": "A\nB\n",
	} {
		got, err := files.read(name)
		if err != nil || !strings.HasPrefix(string(got), want) {
			t.Errorf("/%s is\n%s(%v), want\n%s", name, got, err, want)
		}
	}
	groups, err := files.read("etc/group")
	if err != nil || !strings.Contains(string(groups), "\ngpio:x:801:milepost\n") || !strings.Contains(string(groups), "\ndialout:x:20:milepost\n") {
		t.Errorf("the groups are\n%s(%v)", groups, err)
	}
	if files.entries["etc/shadow"].mode.Perm() != 0o600 {
		t.Error("anybody may read /etc/shadow")
	}
	for name, there := range map[string]bool{
		"usr/share/doc/x/copyright": true, "usr/share/doc/x/changelog.gz": false, "usr/share/man/man1/x.1.gz": false,
		"usr/share/ca-certificates/mozilla/A.crt":            false,
		"usr/lib/systemd/system-generators/systemd-getty":    false,
		"usr/lib/systemd/system-generators/" + generators[0]: true,
		"bin": true, "data": true, "etc/milepost": true, "etc/ssh/sshd_config": true,
	} {
		if got := files.entries[name] != nil; got != there {
			t.Errorf("/%s is there: %v", name, got)
		}
	}
	if e := files.entries["bin"]; e.mode&fs.ModeSymlink == 0 || e.link != "usr/bin" {
		t.Errorf("/bin is %+v", e)
	}
}

func TestAccountsRefuse(t *testing.T) {
	for _, c := range [][3]string{{"root", "", ""}, {"", "root:*:x:", ""}, {"root:*:a:0:::", "", ""}, {"", "", "q x"}, {"", "", "u x 1:nobodys-group"}} {
		a, err := newAccounts(c[0], c[1])
		if err == nil {
			err = a.declare(c[2])
		}
		if err == nil {
			t.Errorf("%q was taken", c)
		}
	}
}
