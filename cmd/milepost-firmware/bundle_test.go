package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"milepost/cmd/internal/update"
	"milepost/firmware/bundle"
)

// inFolder is a folder with a key pair made by the command, and a system.
func inFolder(t *testing.T, release string) (dir string, payload []byte) {
	t.Helper()
	dir = t.TempDir()
	if code, stdout, stderr := firmware("key", "-o", filepath.Join(dir, "fleet")); code != exitDone || !strings.Contains(stdout, "secret") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	payload = bytes.Repeat([]byte("system "), 400_000) // three chunks
	for name, body := range map[string][]byte{"system.squashfs": payload, "release": []byte(release)} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir, payload
}

const releaseText = "MILEPOST_BOARD=rpi4\nMILEPOST_ARCH=arm64\nMILEPOST_KERNEL=6.1.0-18-arm64\nMILEPOST_VERSION=\"v1.2.0\"\n"

// TestBundleIsRead: what the builder writes, the gateway takes; they share no code.
func TestBundleIsRead(t *testing.T) {
	dir, payload := inFolder(t, releaseText)
	path := filepath.Join(dir, "out.mpb")
	args := []string{"bundle", "--key", filepath.Join(dir, "fleet.key"), "--release", filepath.Join(dir, "release"), "--board", "rpi4,rpi5", "-o", path, filepath.Join(dir, "system.squashfs")}
	code, stdout, stderr := firmware(args...)
	if code != exitDone || !strings.Contains(stdout, "v1.2.0 for rpi4, rpi5, kernel 6.1.0-18-arm64") {
		t.Fatalf("exit code %d: %s%s", code, stdout, stderr)
	}
	keys, err := update.ReadKeys(dir)
	if err != nil || len(keys) != 1 {
		t.Fatalf("%v, %v", keys, err)
	}
	if id := bundle.KeyID(keys[0].Public); id != keys[0].ID() {
		t.Errorf("a key is %s to the builder and %s to the gateway", id, keys[0].ID())
	}
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b, err := update.OpenBundle(bytes.NewReader(first), keys)
	if err != nil {
		t.Fatal(err)
	}
	device := update.Device{Board: "rpi5", Arch: "arm64", Kernel: "6.1.0-18-arm64", Version: "v1.1.9"}
	if err := device.Accepts(&b.Manifest, false); err != nil {
		t.Error(err)
	}
	var got []byte
	for err == nil {
		var chunk []byte
		chunk, err = b.Next()
		got = append(got, chunk...)
	}
	if err != io.EOF || !bytes.Equal(got, payload) {
		t.Errorf("%d of %d bytes, %v", len(got), len(payload), err)
	}
	if err := (&update.Device{Board: "rpi4", Arch: "arm64", Kernel: "6.1.0-18-arm64", Version: "v1.2.0"}).Accepts(&b.Manifest, false); err == nil {
		t.Error("the same version is taken")
	}

	if code, _, stderr := firmware(args...); code != exitDone {
		t.Fatal(stderr)
	}
	if second, err := os.ReadFile(path); err != nil || !bytes.Equal(first, second) {
		t.Errorf("the same system and key give another bundle (%v)", err)
	}
}

// TestSampleBundle: the writer still writes the bundle that the reader keeps as a
// sample of the format.
func TestSampleBundle(t *testing.T) {
	sample, err := os.ReadFile(filepath.Join("..", "internal", "update", "testdata", "sample-v1.mpb"))
	if err != nil {
		t.Fatal(err)
	}
	key, err := bundle.ParseKey([]byte(sampleKey))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	s := bundle.System{Boards: []string{"rpi4", "rpi5"}, Arch: "arm64", Kernel: "6.1.0-18-arm64", Version: "v1.2.3-rc.1"}
	if err := bundle.Write(&out, s, bytes.NewReader(bytes.Repeat([]byte("milepost\n"), 600)), key); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(out.Bytes(), sample) {
		t.Errorf("%d bytes are written, and the sample has %d others: gateways in the field read the sample", out.Len(), len(sample))
	}
}

// sampleKey is 32 times the byte 1, and no secret.
const sampleKey = `-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB
-----END PRIVATE KEY-----
`

// TestBundleMistakes: what no gateway would take is not made.
func TestBundleMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		release, says string
		args          []string
	}{
		"no kernel":     {strings.Replace(releaseText, "MILEPOST_KERNEL", "KERNEL", 1), "there is no MILEPOST_KERNEL", nil},
		"no version":    {strings.Replace(releaseText, "v1.2.0", "(devel)", 1), "semver.org", nil},
		"unknown board": {releaseText, "rpi44", []string{"--board", "rpi44"}},
		"another arch":  {releaseText, "beaglebone-black is armhf", []string{"--board", "rpi4,beaglebone-black"}},
		"a public key":  {releaseText, "PRIVATE KEY", []string{"--key", "fleet.pem"}},
	} {
		dir, _ := inFolder(t, c.release)
		args := append([]string{"bundle", "--key", filepath.Join(dir, "fleet.key"), "--release", filepath.Join(dir, "release"), "-o", filepath.Join(dir, "out.mpb")}, c.args...)
		for i, a := range args {
			if a == "fleet.pem" {
				args[i] = filepath.Join(dir, a)
			}
		}
		if code, stdout, stderr := firmware(append(args, filepath.Join(dir, "system.squashfs"))...); code != exitFailed || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: exit code %d: %s%s", name, code, stdout, stderr)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "out.mpb*")); left != nil {
			t.Errorf("%s: %v is left", name, left)
		}
	}
	dir, _ := inFolder(t, releaseText)
	if code, _, stderr := firmware("key", "-o", filepath.Join(dir, "fleet")); code != exitFailed || !strings.Contains(stderr, "exists") {
		t.Errorf("a key was overwritten: exit code %d: %s", code, stderr)
	}
	if info, err := os.Stat(filepath.Join(dir, "fleet.key")); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("others may read the private key: %v, %v", info.Mode(), err)
	}
	for _, args := range [][]string{{"bundle"}, {"bundle", "x"}, {"key", "x"}} {
		if code, _, _ := firmware(args...); code != exitUsage {
			t.Errorf("%q: exit code %d", args, code)
		}
	}
}

// TestBundleOfSquashfs: what a system is for is read out of it.
func TestBundleOfSquashfs(t *testing.T) {
	for _, program := range []string{"mksquashfs", "unsquashfs"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs squashfs-tools")
		}
	}
	dir, _ := inFolder(t, "")
	if err := os.MkdirAll(filepath.Join(dir, "root", "etc"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "root", "etc", "milepost-release"), []byte(releaseText), 0o666); err != nil {
		t.Fatal(err)
	}
	system := filepath.Join(dir, "real.squashfs")
	if out, err := exec.CommandContext(context.Background(), "mksquashfs", filepath.Join(dir, "root"), system, "-quiet", "-no-progress").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	code, stdout, stderr := firmware("bundle", "--key", filepath.Join(dir, "fleet.key"), "-o", filepath.Join(dir, "out.mpb"), system)
	if code != exitDone || !strings.Contains(stdout, "v1.2.0 for rpi4, kernel 6.1.0-18-arm64") {
		t.Errorf("exit code %d: %s%s", code, stdout, stderr)
	}
}

// TestKeyOfOpenSSL: keys are those that openssl makes and reads.
func TestKeyOfOpenSSL(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("needs openssl")
	}
	dir, _ := inFolder(t, releaseText)
	key := filepath.Join(dir, "made.key")
	for _, args := range [][]string{
		{"genpkey", "-algorithm", "ed25519", "-out", key},
		{"pkey", "-in", key, "-pubout", "-out", filepath.Join(dir, "made.pem")},
		{"pkey", "-in", filepath.Join(dir, "fleet.key"), "-noout"},
		{"pkey", "-pubin", "-in", filepath.Join(dir, "fleet.pem"), "-noout"},
	} {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			t.Fatalf("openssl %q: %v: %s", args, err, out)
		}
	}
	path := filepath.Join(dir, "out.mpb")
	if code, _, stderr := firmware("bundle", "--key", key, "--release", filepath.Join(dir, "release"), "-o", path, filepath.Join(dir, "system.squashfs")); code != exitDone {
		t.Fatal(stderr)
	}
	keys, err := update.ReadKeys(dir)
	if err != nil || len(keys) != 2 {
		t.Fatalf("%v, %v", keys, err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if b, err := update.OpenBundle(file, keys); err != nil || b.Signer.Name != "made.pem" {
		t.Errorf("%+v, %v", b, err)
	}
}
