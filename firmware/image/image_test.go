package image

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"milepost/boards"
	"milepost/firmware/debian"
	"milepost/firmware/packages"
)

// pretended makes packages of a few files each, and their list, so that an image
// can be built without Debian's sources.
func pretended(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	const release = "6.1.0-1-arm64"
	builtin := "kernel/crc32c_generic.ko\nkernel/ext4.ko\nkernel/squashfs.ko\nkernel/overlay.ko\nkernel/vfat.ko\nkernel/nls_cp437.ko\nkernel/nls_ascii.ko\nkernel/nls_utf8.ko\n"
	var list []debian.Package
	for name, files := range map[string]map[string]string{
		"base-passwd": {
			"/usr/share/base-passwd/passwd.master": "root:*:0:0:root:/root:/bin/bash\n",
			"/usr/share/base-passwd/group.master":  "root:*:0:\n",
		},
		"ca-certificates": {"/usr/share/ca-certificates/mozilla/A.crt": "A"},
		"systemd":         {"/lib/systemd/systemd": "init", "/usr/share/doc/systemd/copyright": "c"},
		kernelPrefix + release: {
			"/boot/vmlinuz-" + release: "kernel", "/boot/System.map-" + release: "",
			"/lib/modules/" + release + "/modules.builtin":         builtin,
			"/lib/modules/" + release + "/modules.builtin.modinfo": "\x00", "/lib/modules/" + release + "/modules.order": "",
		},
	} {
		p := packages.Package{Name: name, Version: "1", Arch: "arm64", Maintainer: "x <x@example.org>", Summary: "x", Section: "net", Time: time.Unix(1e9, 0)}
		for path, text := range files {
			p.Files = append(p.Files, packages.File{Path: path, Mode: 0o644, Body: []byte(text)})
		}
		body, err := p.Deb()
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, name+"_1_arm64.deb")
		if err := os.WriteFile(file, body, 0o666); err != nil {
			t.Fatal(err)
		}
		sum, err := exec.Command("sha256sum", file).Output()
		if err != nil {
			t.Skip("there is no sha256sum here")
		}
		list = append(list, debian.Package{Name: name, Version: "1", Architecture: "arm64", SHA256: strings.Fields(string(sum))[0]})
	}
	slices.SortFunc(list, func(a, b debian.Package) int { return strings.Compare(a.Name, b.Name) })
	if err := os.WriteFile(filepath.Join(dir, debian.ListFile), debian.FormatList(list), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func testOptions(t *testing.T, dir string) Options {
	t.Helper()
	b, err := boards.Get("qemu-virt-arm64")
	if err != nil {
		t.Fatal(err)
	}
	return Options{
		Board: b, Packages: dir, Stage: []byte("stage"), Version: "1.2.3", Time: time.Unix(1.7e9, 0),
		Gateway:   []packages.File{{Path: "/usr/bin/milepost", Mode: 0o755, Body: []byte("gateway")}, {Path: "/etc/milepost/milepost.yaml", Mode: 0o644, Config: true}},
		BootFiles: map[string][]byte{"milepost.yaml": []byte("device: x\n")}, UpdateKeys: map[string][]byte{"ours.pem": []byte("key")},
		BootMiB: 40, SystemMiB: 4, DataMiB: 40,
	}
}

// TestBuild: two builds give the same bytes, and other programs find in them what
// is meant.
func TestBuild(t *testing.T) {
	for _, p := range [][2]string{{"mksquashfs", "squashfs-tools"}, {"unsquashfs", "squashfs-tools"}, {"mformat", "mtools"}, {"mke2fs", "e2fsprogs"}, {"depmod", "kmod"}, {"dpkg-deb", "dpkg"}} {
		if _, err := debian.FindProgram(p[0], p[1]); err != nil {
			t.Skip(err)
		}
	}
	dir := pretended(t)
	build := func() (image, system string, r *Result) {
		at := t.TempDir()
		image, system = filepath.Join(at, "x.img"), filepath.Join(at, "x.squashfs")
		r, err := Build(t.Context(), image, system, testOptions(t, dir))
		if err != nil {
			t.Fatal(err)
		}
		if rest, _ := filepath.Glob(filepath.Join(at, "image-*")); len(rest) > 0 {
			t.Errorf("left behind: %q", rest)
		}
		return image, system, r
	}
	image, system, result := build()
	again, _, _ := build()
	first, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		for i := range first {
			if first[i] != second[i] {
				t.Fatalf("the second image is another one from byte %d on; the layout is %+v", i, result.Layout)
			}
		}
	}
	l := &result.Layout
	if int64(len(first)) != l.Size() || result.Kernel != "6.1.0-1-arm64" || binary.LittleEndian.Uint32(first[440:]) != l.Signed {
		t.Errorf("%d bytes, %+v", len(first), result)
	}
	if raw, err := os.ReadFile(system); err != nil || !bytes.Equal(first[l.A.Offset:][:len(raw)], raw) || int64(len(raw)) != result.System {
		t.Errorf("slot A is not the system: %v", err)
	}
	if !bytes.Equal(first[l.B.Offset:l.B.End()], make([]byte, l.B.Size)) || !bytes.Equal(first[512:alignment], make([]byte, alignment-512)) {
		t.Error("slot B or the boot state of a new image is not empty")
	}

	said := func(program string, args ...string) string {
		t.Helper()
		path, err := debian.FindProgram(program, program)
		if err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(path, args...).Output()
		if err != nil {
			t.Errorf("%s %q: %v", program, args, err)
		}
		return string(out)
	}
	listing := said("unsquashfs", "-lln", system)
	for _, want := range []string{"-rwxr-xr-x 0/0", "squashfs-root/usr/bin/milepost\n", "squashfs-root/usr/lib/systemd/systemd\n", "squashfs-root/bin -> usr/bin", "squashfs-root/usr/share/milepost/update-keys/ours.pem", "squashfs-root/etc/modules-load.d/milepost.conf"} {
		if !strings.Contains(listing, want) {
			t.Errorf("the system lacks %q:\n%s", want, listing)
		}
	}
	if strings.Contains(listing, "etc/milepost/milepost.yaml") {
		t.Error("the system has a configuration, which would hide behind that of the boot partition")
	}
	at := image + "@@4M"
	if text := said("mtype", "-i", at, "::cmdline.txt"); !strings.Contains(text, "milepost.disk=") {
		t.Errorf("cmdline.txt is %q", text)
	}
	if text := said("mtype", "-i", at, "::milepost.yaml"); text != "device: x\n" {
		t.Errorf("milepost.yaml is %q", text)
	}
	data := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(data, first[l.Data.Offset:l.Data.End()], 0o666); err != nil {
		t.Fatal(err)
	}
	said("e2fsck", "-fn", data)
	if features := said("dumpe2fs", "-h", data); !strings.Contains(features, "resize_inode") || !strings.Contains(features, "metadata_csum") || !strings.Contains(features, "Inode size:\t          256") {
		t.Errorf("the data partition is\n%s", features)
	}

	for name, want := range map[string]string{"qemu-virt-arm": "for arm64", "rpi4": firmwarePackage} {
		other := testOptions(t, dir)
		if other.Board, err = boards.Get(name); err != nil {
			t.Fatal(err)
		}
		if _, err := Build(t.Context(), filepath.Join(t.TempDir(), "x.img"), "", other); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s of packages for another board: %v", name, err)
		}
	}
	small := testOptions(t, dir)
	small.Gateway[0].Body = noise(5 * mib)
	if _, err := Build(t.Context(), filepath.Join(t.TempDir(), "x.img"), "", small); err == nil || !strings.Contains(err.Error(), "its partition 4") {
		t.Errorf("a system that is larger than its partition: %v", err)
	}
}

// noise is bytes that do not get smaller.
func noise(n int) []byte {
	b := make([]byte, n)
	for i, x := 0, uint32(1); i < n; i++ {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
