package update

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"encoding/json"
	"flag"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"milepost/cmd/internal/slots"
	"milepost/firmware/bundle"
)

var updateSample = flag.Bool("update", false, "write the sample bundle and its key anew; the old one must stay readable")

// testKey is a key that is no secret.
func testKey(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func trusted(keys ...ed25519.PrivateKey) (all []Key) {
	for _, k := range keys {
		all = append(all, Key{"test.pem", k.Public().(ed25519.PublicKey)})
	}
	return all
}

// payload is a system of a version: bytes that no other version has.
func payload(version uint64, size int) []byte {
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], version)
	body := make([]byte, size)
	rand.NewChaCha8(seed).Read(body)
	return body
}

func makeBundle(t testing.TB, version string, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	s := bundle.System{Boards: []string{"rpi4", "rpi5"}, Arch: "arm64", Kernel: "6.1.0-18-arm64", Version: version}
	if err := bundle.Write(&out, s, bytes.NewReader(body), testKey(1)); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestSample: a bundle of the first format is read for ever.
func TestSample(t *testing.T) {
	path, keyDir := filepath.Join("testdata", "sample-v1.mpb"), filepath.Join("testdata", "keys")
	body := bytes.Repeat([]byte("milepost\n"), 600) // two chunks would be a large file
	if *updateSample {
		if err := os.WriteFile(path, makeBundle(t, "v1.2.3-rc.1", body), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	keys, err := ReadKeys(keyDir)
	if err != nil || len(keys) != 1 || keys[0].ID() != bundle.KeyID(testKey(1).Public().(ed25519.PublicKey)) {
		t.Fatalf("%v, %v", keys, err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	b, err := OpenBundle(file, keys)
	if err != nil {
		t.Fatal(err)
	}
	m := b.Manifest
	if !slices.Equal(m.Boards, []string{"rpi4", "rpi5"}) || m.Arch != "arm64" || m.Kernel != "6.1.0-18-arm64" || m.Version != "v1.2.3-rc.1" || m.Size != int64(len(body)) || b.Signer.Name != "sample.pem" || m.Key != keys[0].ID() {
		t.Errorf("%+v, signed with %s", m, b.Signer.Name)
	}
	if got, err := b.Next(); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := b.Next(); err != io.EOF {
		t.Errorf("behind the payload: %v", err)
	}
}

// device is a disk with a state and the partition of slot B, in memory.
type device struct {
	state, slot memory
}

type memory struct{ body []byte }

func (m *memory) ReadAt(p []byte, off int64) (int, error)  { return copy(p, m.body[off:]), nil }
func (m *memory) WriteAt(p []byte, off int64) (int, error) { return copy(m.body[off:], p), nil }
func (m *memory) Sync() error                              { return nil }

func (m *memory) ReadMedium(p []byte, off int64) error { copy(p, m.body[off:]); return nil }
func (m *memory) Size() int64                          { return int64(len(m.body)) }

func newDevice() *device {
	return newDeviceOf(4 << 20)
}

// newDeviceOf has a slot of so many bytes.
func newDeviceOf(size int) *device {
	d := &device{state: memory{make([]byte, 32*512)}, slot: memory{make([]byte, size)}}
	if _, err := slots.Write(&d.state, slots.New().Empty(slots.B)); err != nil {
		panic(err)
	}
	return d
}

// take does what milepost update does with a stream.
func (d *device) take(r io.Reader, keys []Key, facts Device, downgrade bool) error {
	b, err := OpenBundle(r, keys)
	if err != nil {
		return err
	}
	if err := facts.Accepts(&b.Manifest, downgrade); err != nil {
		return err
	}
	return Apply(context.Background(), b, Target{State: &d.state, Running: slots.A, Partition: &d.slot}, func(int64) {})
}

var rpi4 = Device{Board: "rpi4", Arch: "arm64", Version: "1.1.0", Kernel: "6.1.0-18-arm64"}

// unharmed fails unless the next start is that of A, and B is not taken for whole.
func (d *device) unharmed(t *testing.T) {
	t.Helper()
	s, err := slots.Read(&d.state)
	if err != nil || s.Active != slots.A || s.Trial != slots.None || !s.System(slots.A).Whole || s.System(slots.B).Whole {
		t.Fatalf("%+v, %v", s, err)
	}
	if start := slots.Decide(s).Start; start != slots.A {
		t.Fatalf("starts %v", start)
	}
}

func TestTaken(t *testing.T) {
	for _, size := range []int{1, 4095, 4096, 4097, 1 << 20, 1<<20 + 1, 2<<20 + 4096, 4 << 20} {
		d := newDevice()
		body := payload(2, size)
		if err := d.take(bytes.NewReader(makeBundle(t, "v1.2.0", body)), trusted(testKey(9), testKey(1)), rpi4, false); err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		if !bytes.Equal(d.slot.body[:size], body) {
			t.Errorf("%d bytes: the slot has others", size)
		}
		s, _ := slots.Read(&d.state)
		if s.Active != slots.A || s.Trial != slots.B || s.TriesLeft != 1 || s.System(slots.B) != (slots.System{Whole: true, Version: "v1.2.0"}) {
			t.Errorf("%d bytes: %+v", size, s)
		}
	}
}

// TestFlipped: a bundle with any byte changed is refused, wherever it is, and what
// runs stays what starts.
func TestFlipped(t *testing.T) {
	good := makeBundle(t, "v1.2.0", payload(2, 900))
	for i := range good {
		for _, flip := range []byte{0x01, 0x20, 0x80} { // a bit, the case of a letter, another
			bad := bytes.Clone(good)
			bad[i] ^= flip
			d := newDeviceOf(8192)
			if err := d.take(bytes.NewReader(bad), trusted(testKey(1)), rpi4, false); err == nil {
				t.Fatalf("byte %d of %d, bit %#x: taken", i, len(good), flip)
			} else if !strings.Contains(err.Error(), "byte") {
				t.Fatalf("byte %d: an error without a position: %v", i, err)
			}
			d.unharmed(t)
		}
	}
	// Of several chunks, the ones before the bad one are written, and nothing starts them.
	body := payload(2, 2<<20+8192)
	good = makeBundle(t, "v1.2.0", body)
	random := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		i := len(good) - 1 - random.IntN(len(body))
		good[i] ^= 1
		d := newDevice()
		if err := d.take(bytes.NewReader(good), trusted(testKey(1)), rpi4, false); err == nil || !strings.Contains(err.Error(), "not what was signed") {
			t.Fatalf("byte %d: %v", i, err)
		}
		d.unharmed(t)
		good[i] ^= 1
	}
}

// TestTruncated: a bundle that ends anywhere is refused, and so is a longer one.
func TestTruncated(t *testing.T) {
	good := makeBundle(t, "v1.2.0", payload(2, 900))
	for n := range good {
		d := newDeviceOf(8192)
		if err := d.take(bytes.NewReader(good[:n]), trusted(testKey(1)), rpi4, false); err == nil || !strings.Contains(err.Error(), "ends within") {
			t.Fatalf("%d of %d bytes: %v", n, len(good), err)
		}
		d.unharmed(t)
	}
	d := newDevice()
	if err := d.take(bytes.NewReader(append(good, 0)), trusted(testKey(1)), rpi4, false); err == nil || !strings.Contains(err.Error(), "more bytes") {
		t.Fatalf("a byte more: %v", err)
	}
	d.unharmed(t)
}

// TestRefused: what is not for this device is not taken, and the error says why.
func TestRefused(t *testing.T) {
	good := makeBundle(t, "v1.2.0", payload(2, 5000))
	for name, c := range map[string]struct {
		facts     Device
		keys      []Key
		downgrade bool
		says      string // nothing: taken
	}{
		"it is for this device":    {rpi4, trusted(testKey(1)), false, ""},
		"another of its boards":    {Device{"rpi5", "arm64", "1.1.9", "6.1.0-18-arm64"}, trusted(testKey(1)), false, ""},
		"another key":              {rpi4, trusted(testKey(2)), false, "does not trust"},
		"no key":                   {rpi4, nil, false, "no key"},
		"another board":            {Device{"rpi-zero-2-w", "arm64", "1.1.0", "6.1.0-18-arm64"}, trusted(testKey(1)), false, "this is a rpi-zero-2-w"},
		"another architecture":     {Device{"rpi4", "armhf", "1.1.0", "6.1.0-18-arm64"}, trusted(testKey(1)), false, "is armhf"},
		"another kernel":           {Device{"rpi4", "arm64", "1.1.0", "6.1.0-17-arm64"}, trusted(testKey(1)), false, "flash a new image"},
		"another kernel, even so":  {Device{"rpi4", "arm64", "1.1.0", "6.1.0-17-arm64"}, trusted(testKey(1)), true, "flash a new image"},
		"the same version":         {Device{"rpi4", "arm64", "v1.2.0", "6.1.0-18-arm64"}, trusted(testKey(1)), false, "not newer"},
		"a newer one runs":         {Device{"rpi4", "arm64", "1.10.0", "6.1.0-18-arm64"}, trusted(testKey(1)), false, "not newer"},
		"a newer one runs, wanted": {Device{"rpi4", "arm64", "1.10.0", "6.1.0-18-arm64"}, trusted(testKey(1)), true, ""},
		"a build without version":  {Device{"rpi4", "arm64", "(devel)", "6.1.0-18-arm64"}, trusted(testKey(1)), false, "--downgrade"},
	} {
		d := newDevice()
		err := d.take(bytes.NewReader(good), c.keys, c.facts, c.downgrade)
		switch {
		case c.says == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)):
			t.Errorf("%s: %v; want %q in it", name, err, c.says)
		case c.says != "":
			d.unharmed(t)
			if !bytes.Equal(d.slot.body, make([]byte, 4<<20)) {
				t.Errorf("%s: the slot was written", name)
			}
		}
	}
}

// TestNotReady: no update begins that a power cut could turn into a start of what
// is being written.
func TestNotReady(t *testing.T) {
	good := makeBundle(t, "v1.2.0", payload(2, 5000))
	fresh := slots.New()
	for name, c := range map[string]struct {
		state slots.State
		says  string
	}{
		"a trial waits":         {fresh.Try(slots.B, "1.2.0", 1), "restart"},
		"a trial was used up":   {fresh.Try(slots.B, "1.2.0", 0), "restart"},
		"this is the trial":     {slots.State{Active: slots.B, Trial: slots.A, Systems: [2]slots.System{{Whole: true}, {Whole: true}}}, "on trial itself"},
		"another slot's active": {fresh.Try(slots.B, "1.2.0", 1).Keep(""), "restart first"},
	} {
		d := newDevice()
		written, err := slots.Write(&d.state, c.state)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.take(bytes.NewReader(good), trusted(testKey(1)), rpi4, false); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if s, err := slots.Read(&d.state); err != nil || s != written {
			t.Errorf("%s: the state is %+v, %v", name, s, err)
		}
	}
	d := newDevice()
	d.slot.body = d.slot.body[:4096]
	if err := d.take(bytes.NewReader(good), trusted(testKey(1)), rpi4, false); err == nil || !strings.Contains(err.Error(), "room for 4096") {
		t.Errorf("a small slot: %v", err)
	}
	d.unharmed(t)
}

// worn is a partition that does not keep what it was given, at one byte.
type worn struct {
	memory
	at int64
}

func (w *worn) ReadMedium(p []byte, off int64) error {
	err := w.memory.ReadMedium(p, off)
	if i := w.at - off; i >= 0 && i < int64(len(p)) {
		p[i] ^= 4
	}
	return err
}

// TestWorn: a disk that gives back something else is found out before the trial.
func TestWorn(t *testing.T) {
	good := makeBundle(t, "v1.2.0", payload(2, 1<<20+5000))
	for _, at := range []int64{0, 4096, 1<<20 - 1, 1 << 20, 1<<20 + 4999} {
		d := newDevice()
		b, err := OpenBundle(bytes.NewReader(good), trusted(testKey(1)))
		if err != nil {
			t.Fatal(err)
		}
		err = Apply(context.Background(), b, Target{State: &d.state, Running: slots.A, Partition: &worn{d.slot, at}}, func(int64) {})
		if err == nil || !strings.Contains(err.Error(), "worn out") {
			t.Errorf("byte %d: %v", at, err)
		}
		d.unharmed(t)
	}
}

// sign makes a bundle of any manifest.
func sign(manifest, payload []byte) []byte {
	head := binary.LittleEndian.AppendUint32([]byte(bundleMagic), bundleVersion)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(manifest)))
	head = append(head, manifest...)
	head = append(head, ed25519.Sign(testKey(1), head)...)
	return append(head, payload...)
}

// TestSignedNonsense: even what is signed is looked at.
func TestSignedNonsense(t *testing.T) {
	good := makeBundle(t, "v1.2.0", payload(2, 5000))
	b, err := OpenBundle(bytes.NewReader(good), trusted(testKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(m *Manifest){
		"no board":          func(m *Manifest) { m.Boards = nil },
		"no kernel":         func(m *Manifest) { m.Kernel = "" },
		"no size":           func(m *Manifest) { m.Size = 0 },
		"a negative size":   func(m *Manifest) { m.Size = -1 << 63 },
		"a huge size":       func(m *Manifest) { m.Size = 1<<63 - 1 },
		"a chunk too few":   func(m *Manifest) { m.Chunks = nil },
		"a chunk too many":  func(m *Manifest) { m.Chunks = append(slices.Clone(m.Chunks), m.SHA256) },
		"half a checksum":   func(m *Manifest) { m.SHA256 = m.SHA256[:32] },
		"another checksum":  func(m *Manifest) { m.SHA256 = strings.Repeat("00", 32) },
		"no version at all": func(m *Manifest) { m.Version = "latest" },
	} {
		m := b.Manifest
		spoil(&m)
		text, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		d := newDevice()
		if err := d.take(bytes.NewReader(sign(text, payload(2, 5000))), trusted(testKey(1)), rpi4, true); err == nil {
			t.Errorf("%s: taken", name)
		}
		d.unharmed(t)
	}
}

func FuzzBundle(f *testing.F) {
	good := makeBundle(f, "v1.2.0", []byte("payload"))
	n := binary.LittleEndian.Uint32(good[12:])
	f.Add(good[headerSize:headerSize+n], []byte("payload"), uint32(0))
	f.Add([]byte(`{"size":9223372036854775807}`), []byte{}, uint32(9))
	f.Add([]byte(`{"chunks":null}`), []byte{1}, uint32(16))
	f.Fuzz(func(t *testing.T, manifest, payload []byte, flip uint32) {
		raw := sign(manifest, payload)
		for _, body := range [][]byte{raw, flipped(raw, flip)} {
			b, err := OpenBundle(bytes.NewReader(body), trusted(testKey(1)))
			if err != nil {
				continue
			}
			var got []byte
			for err == nil {
				var chunk []byte
				chunk, err = b.Next()
				got = append(got, chunk...)
			}
			if err == io.EOF && (int64(len(got)) != b.Manifest.Size || !bytes.Equal(got, payload)) {
				t.Fatalf("%d bytes were taken, the manifest says %d", len(got), b.Manifest.Size)
			}
		}
	})
}

// flipped is a bundle with a byte changed; what is changed before the payload must
// not pass, which FuzzBundle leaves to TestFlipped.
func flipped(body []byte, at uint32) []byte {
	body = bytes.Clone(body)
	body[int(at)%len(body)] ^= 0x10
	return body
}

func TestVersions(t *testing.T) {
	// From semver.org, section 11, and from the go command.
	order := []string{
		"v0.0.0-20260101000000-0123456789ab", "v0.0.0-20261121150405-0123456789ab", "0.0.1",
		"1.0.0-alpha", "v1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0",
		"v1.2.3", "1.2.4-0.20261121150405-0123456789ab", "1.2.4+dirty", "1.10.0", "v2.0.0", "10.0.0", "99999999999999999999.0.0",
	}
	for i, a := range order {
		for j, b := range order {
			va, err := parseVersion(a)
			if err != nil {
				t.Fatal(err)
			}
			vb, err := parseVersion(b)
			if err != nil {
				t.Fatal(err)
			}
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if got := compareVersions(va, vb); got != want {
				t.Errorf("%s against %s: %d", a, b, got)
			}
		}
	}
	for _, same := range [][2]string{{"1.2.3", "v1.2.3"}, {"1.2.3+a", "1.2.3+b"}} {
		a, _ := parseVersion(same[0])
		b, _ := parseVersion(same[1])
		if compareVersions(a, b) != 0 {
			t.Errorf("%q differ", same)
		}
	}
	for _, bad := range []string{"", "v", "(devel)", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1.2.3-", "1.2.3-a..b", "1.2.3-ü", "-1.2.3", "1.2.3 ", strings.Repeat("1", 60) + ".0.0"} {
		if v, err := parseVersion(bad); err == nil {
			t.Errorf("%q is a version: %+v", bad, v)
		}
	}
}
