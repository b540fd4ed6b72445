package packages

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var sampleTime = time.Date(2026, 11, 21, 15, 4, 5, 0, time.UTC)

func sample(arch string) *Package {
	return &Package{
		Name: "sample", Version: "1.2.3~rc.1", Arch: arch, Maintainer: "A Person <a@example.org>",
		Section: "net", License: "MIT", Summary: "a sample", Description: "First\nparagraph.\n\nSecond.",
		Depends: []string{"other"}, Time: sampleTime,
		Scripts: Scripts{AfterInstall: "#!/bin/sh\necho after\n", BeforeRemove: "#!/bin/sh\necho before\n"},
		Files: []File{
			{Path: "/usr/bin/sample", Mode: 0o755, Body: []byte("odd")},
			{Path: "/etc/sample/sample.conf", Mode: 0o640, Body: []byte("a = 1\n"), Config: true},
			{Path: "/usr/bin/other", Link: "sample"},
			{Path: "/var/empty", Mode: fs.ModeDir | 0o700},
		},
	}
}

func TestDeb(t *testing.T) {
	data, err := sample("arm64").Deb()
	if err != nil {
		t.Fatal(err)
	}
	members := readAr(t, data)
	if got := string(members["debian-binary"]); got != "2.0\n" || len(members) != 3 {
		t.Fatalf("debian-binary is %q among %d members", got, len(members))
	}
	want := []string{
		`./ 755 ""`,
		`./etc/ 755 ""`, `./etc/sample/ 755 ""`, `./etc/sample/sample.conf 640 "a = 1\n"`,
		`./usr/ 755 ""`, `./usr/bin/ 755 ""`, `./usr/bin/other 777 "" -> sample`, `./usr/bin/sample 755 "odd"`,
		`./var/ 755 ""`, `./var/empty/ 700 ""`,
	}
	var got []string
	for _, e := range readTarGz(t, members["data.tar.gz"]) {
		got = append(got, e.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
	control := make(map[string]entry)
	for _, e := range readTarGz(t, members["control.tar.gz"]) {
		control[e.name] = e
	}
	const wantControl = `Package: sample
Version: 1.2.3~rc.1
Architecture: arm64
Maintainer: A Person <a@example.org>
Installed-Size: 9
Depends: other
Section: net
Priority: optional
Description: a sample
 First
 paragraph.
 .
 Second.
`
	if diff := cmp.Diff(wantControl, control["./control"].body); diff != "" {
		t.Errorf("control (-want +got):\n%s", diff)
	}
	if got := control["./conffiles"].body; got != "/etc/sample/sample.conf\n" {
		t.Errorf("conffiles: %q", got)
	}
	if got, want := control["./md5sums"].body, fmt.Sprintf("%x  usr/bin/sample\n", md5.Sum([]byte("odd"))); got != want {
		t.Errorf("md5sums: %q, want %q", got, want)
	}
	if e := control["./postinst"]; e.mode != 0o755 || e.body != "#!/bin/sh\necho after\n" {
		t.Errorf("postinst: %s", e)
	}
	if _, there := control["./postrm"]; there {
		t.Error("a postrm that nobody gave")
	}
}

// A member of an odd length is followed by a byte that is none of its own.
func TestDebOddMembers(t *testing.T) {
	for n := range 16 { // lengths of both kinds
		p := sample("arm64")
		p.Files[0].Body = []byte(strings.Repeat("x7", n) + "0123456789"[:n%10])
		p.Maintainer = "A Person <" + strings.Repeat("ab", n) + strconv.Itoa(n*n*n) + "@example.org>"
		data, err := p.Deb()
		if err != nil {
			t.Fatal(err)
		}
		members := readAr(t, data)
		if len(readTarGz(t, members["control.tar.gz"])) != 6 || len(readTarGz(t, members["data.tar.gz"])) != 10 {
			t.Errorf("%d: members are not what was written", n)
		}
	}
}

func TestIPK(t *testing.T) {
	p := sample("mipsel_24kc")
	p.Users = "sample:sample"
	data, err := p.IPK()
	if err != nil {
		t.Fatal(err)
	}
	outer := readTarGz(t, data)
	if diff := cmp.Diff([]string{"./debian-binary", "./data.tar.gz", "./control.tar.gz"}, names(outer)); diff != "" {
		t.Fatalf("members (-want +got):\n%s", diff)
	}
	files := names(readTarGz(t, []byte(outer[1].body)))
	if !slices.Contains(files, "./usr/bin/sample") {
		t.Errorf("files: %q", files)
	}
	control := readTarGz(t, []byte(outer[2].body))
	if diff := cmp.Diff([]string{"./", "./conffiles", "./control", "./postinst", "./prerm"}, names(control)); diff != "" {
		t.Errorf("control files (-want +got):\n%s", diff)
	}
	for _, line := range []string{"Architecture: mipsel_24kc\n", "Require-User: sample:sample\n", "Version: 1.2.3~rc.1\n"} {
		if !strings.Contains(control[2].body, line) {
			t.Errorf("control lacks %q: %s", line, control[2].body)
		}
	}
}

func TestRPM(t *testing.T) {
	data, err := sample("aarch64").RPM()
	if err != nil {
		t.Fatal(err)
	}
	if string(data[:4]) != "\xed\xab\xee\xdb" {
		t.Fatalf("lead: %x", data[:4])
	}
	signature, size := readRPMHeader(t, data[96:], tagHeaderSignatures)
	rest := data[96+(size+7)&^7:]
	header, size := readRPMHeader(t, rest, tagHeaderImmutable)
	payload := rest[size:]
	if got, want := signature[sigSHA256].strings()[0], fmt.Sprintf("%x", sha256.Sum256(rest[:size])); got != want {
		t.Errorf("digest of the header: %s, want %s", got, want)
	}
	if got, want := signature[sigMD5].data[:16], md5.Sum(rest); !bytes.Equal(got, want[:]) {
		t.Errorf("digest of header and payload: %x, want %x", got, want)
	}
	if got, want := header[tagPayloadDigest].strings()[0], fmt.Sprintf("%x", sha256.Sum256(payload)); got != want {
		t.Errorf("digest of the payload: %s, want %s", got, want)
	}
	if got := signature[sigSize].int32(0); int(got) != len(rest) {
		t.Errorf("size %d, want %d", got, len(rest))
	}
	for tag, want := range map[uint32][]string{
		tagName: {"sample"}, tagVersion: {"1.2.3~rc.1"}, tagRelease: {"1"}, tagArch: {"aarch64"}, tagOS: {"linux"},
		tagSummary: {"a sample"}, tagLicense: {"MIT"},
		tagPostIn: {"#!/bin/sh\necho after\n"}, tagPreUn: {"#!/bin/sh\necho before\n"},
		tagBaseNames:    {"sample.conf", "other", "sample", "empty"},
		tagDirNames:     {"/etc/sample/", "/usr/bin/", "/var/"},
		tagFileLinkTos:  {"", "sample", "", ""},
		tagProvideName:  {"sample"},
		tagRequireName:  {"rpmlib(CompressedFileNames)", "rpmlib(FileDigests)", "rpmlib(PayloadFilesHavePrefix)", "rpmlib(TildeInVersions)", "other"},
		tagFileUserName: {"root", "root", "root", "root"},
	} {
		if diff := cmp.Diff(want, header[tag].strings()); diff != "" {
			t.Errorf("tag %d (-want +got):\n%s", tag, diff)
		}
	}
	if got := header[tagFileFlags].int32(0); got != fileConfig|fileNoReplace {
		t.Errorf("flags of the configuration: %x", got)
	}
	want := []string{
		`./etc/sample/sample.conf 100640 "a = 1\n"`, `./usr/bin/other 120777 "sample"`, `./usr/bin/sample 100755 "odd"`, `./var/empty 40700 ""`,
	}
	var got []string
	for _, e := range readCpio(t, gunzip(t, payload)) {
		got = append(got, e.String())
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("payload (-want +got):\n%s", diff)
	}
}

// formats are all writers, with an architecture of each.
var formats = map[string]func(*Package) ([]byte, error){
	"arm64.deb": (*Package).Deb, "aarch64.rpm": (*Package).RPM, "aarch64_generic.ipk": (*Package).IPK,
}

// Nothing but the contents counts: neither the order of files nor the zone of the time.
func TestSameBytes(t *testing.T) {
	for name, write := range formats {
		arch := strings.Split(name, ".")[0]
		first, err := write(sample(arch))
		if err != nil {
			t.Fatal(err)
		}
		p := sample(arch)
		slices.Reverse(p.Files)
		p.Time = p.Time.In(time.FixedZone("elsewhere", 3600))
		second, err := write(p)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(first, second) {
			t.Errorf("%s: two packages of the same contents differ", name)
		}
		p.Time = p.Time.Add(time.Second)
		if third, _ := write(p); bytes.Equal(first, third) {
			t.Errorf("%s: the time is not in the package", name)
		}
	}
}

func TestRefused(t *testing.T) {
	for name, spoil := range map[string]func(*Package){
		"no name":            func(p *Package) { p.Name = "" },
		"a second line":      func(p *Package) { p.Summary = "a\nDepends: nothing" },
		"a revision":         func(p *Package) { p.Version = "1.0-1" },
		"no files":           func(p *Package) { p.Files = nil },
		"a relative path":    func(p *Package) { p.Files[0].Path = "usr/bin/sample" },
		"a way out":          func(p *Package) { p.Files[0].Path = "/usr/../../bin/sample" },
		"the same path":      func(p *Package) { p.Files[0].Path = p.Files[1].Path },
		"no permissions":     func(p *Package) { p.Files[0].Mode = 0 },
		"a time before 1970": func(p *Package) { p.Time = time.Time{} },
	} {
		p := sample("all")
		spoil(p)
		for format, write := range formats {
			if _, err := write(p); err == nil {
				t.Errorf("%s: a %s was written", name, format)
			}
		}
	}
}

// TestReaders: the programs that the packages are for read them, where they are here.
func TestReaders(t *testing.T) {
	dir := t.TempDir()
	write := func(name string) string {
		data, err := formats[name](sample(strings.Split(name, ".")[0]))
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		file string
		args []string
		says string
	}{
		{"arm64.deb", []string{"dpkg-deb", "--field", "PATH", "Version"}, "1.2.3~rc.1"},
		{"arm64.deb", []string{"dpkg-deb", "--contents", "PATH"}, "./usr/bin/other -> sample"},
		{"arm64.deb", []string{"ar", "t", "PATH"}, "debian-binary\ncontrol.tar.gz\ndata.tar.gz"},
		{"aarch64.rpm", []string{"rpm", "-K", "--nosignature", "PATH"}, "digests OK"},
		{"aarch64.rpm", []string{"rpm", "-qp", "--nosignature", "--qf", "[%{FILEMODES:perms} %{FILENAMES}\n]", "PATH"}, "-rw-r----- /etc/sample/sample.conf\nlrwxrwxrwx /usr/bin/other"},
		{"aarch64_generic.ipk", []string{"tar", "tzf", "PATH"}, "./control.tar.gz"},
	} {
		t.Run(c.args[0], func(t *testing.T) {
			if _, err := exec.LookPath(c.args[0]); err != nil {
				t.Skip("there is no", c.args[0], "here")
			}
			args := slices.Clone(c.args)
			args[slices.Index(args, "PATH")] = write(c.file)
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "HOME="+dir)
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.says) {
				t.Errorf("%q: %v, %q is not in:\n%s", args, err, c.says, out)
			}
		})
	}
}
