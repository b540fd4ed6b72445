// Package update takes a gateway from one system to another: it reads and checks
// signed bundles, writes them to the slot that does not run, and judges whether a
// system on trial works. docs/bundle-format.md has the bytes of a bundle,
// docs/updates.md what happens at each power cut.
//
// Bundles are written by firmware/bundle, which no gateway links.
package update

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
)

const (
	bundleMagic   = "mpbundle"
	bundleVersion = 1
	headerSize    = 16      // magic, format version u32, length of the manifest u32
	maxManifest   = 1 << 20 // bytes
	chunkSize     = 1 << 20 // bytes of payload that are checked at once
)

// Manifest says what a bundle is. Of what it does not know, a reader makes
// nothing: what must not be ignored has another format version.
type Manifest struct {
	// Key names the key that signed, see Key.ID. It is for messages only.
	Key string `json:"key"`
	// Boards are the boards that the system is for, Arch their architecture as
	// dpkg calls it, Kernel the release (uname -r) that its modules are for.
	Boards []string `json:"boards"`
	Arch   string   `json:"arch"`
	Kernel string   `json:"kernel"`
	// Version is that of milepost, as `milepost version` says it.
	Version string `json:"version"`
	// Size is that of the payload in bytes; SHA256 is of all of it, and Chunks of
	// each 1048576 bytes of it, the last one being shorter. In hexadecimal.
	Size   int64    `json:"size"`
	SHA256 string   `json:"sha256"`
	Chunks []string `json:"chunks"`
}

// Bundle is a bundle whose manifest has a good signature. It is read from front to
// back, once. Not safe for concurrent use.
type Bundle struct {
	Manifest Manifest
	Signer   Key

	r     io.Reader
	at    int64 // bytes read
	chunk int
	left  int64 // bytes of payload
	whole hash.Hash
	buf   []byte
}

// OpenBundle reads the manifest and checks its signature: it must be by one of the
// keys. Nothing behind the signature is read.
func OpenBundle(r io.Reader, keys []Key) (*Bundle, error) {
	b := &Bundle{r: r, whole: sha256.New()}
	signed := make([]byte, headerSize)
	if err := b.read(signed, "the header"); err != nil {
		return nil, err
	}
	if string(signed[:8]) != bundleMagic {
		return nil, errors.New("byte 0: this is no update bundle: it does not begin with " + bundleMagic)
	}
	if v := binary.LittleEndian.Uint32(signed[8:]); v != bundleVersion {
		return nil, fmt.Errorf("byte 8: format version %d is not known, %d is: install an update in between that knows both", v, bundleVersion)
	}
	n := binary.LittleEndian.Uint32(signed[12:])
	if n == 0 || n > maxManifest {
		return nil, fmt.Errorf("byte 12: a manifest of %d bytes; it has 1 to %d", n, maxManifest)
	}
	signed = append(signed, make([]byte, n)...)
	if err := b.read(signed[headerSize:], "the manifest"); err != nil {
		return nil, err
	}
	signature := make([]byte, ed25519.SignatureSize)
	if err := b.read(signature, "the signature"); err != nil {
		return nil, err
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return ed25519.Verify(k.Public, signed, signature) })
	if i < 0 {
		return nil, signatureError(signed[headerSize:], b.at-ed25519.SignatureSize, keys)
	}
	b.Signer = keys[i]
	if err := json.Unmarshal(signed[headerSize:], &b.Manifest); err != nil {
		return nil, fmt.Errorf("byte %d: the manifest is signed, but no manifest: %w", headerSize, err)
	}
	if err := b.Manifest.check(); err != nil {
		return nil, fmt.Errorf("byte %d: the manifest is signed, but makes no sense: %w", headerSize, err)
	}
	b.left = b.Manifest.Size
	return b, nil
}

// signatureError says what is wrong with a signature that no key has made.
func signatureError(manifest []byte, at int64, keys []Key) error {
	if len(keys) == 0 {
		return errors.New("this device has no key to check bundles with, and so takes none: images get keys when they are made")
	}
	var names []string
	for _, k := range keys {
		names = append(names, fmt.Sprintf("%s (%s)", k.Name, k.ID()))
	}
	trusted := strings.Join(names, ", ")
	var unsigned Manifest // nothing of it is believed
	if json.Unmarshal(manifest, &unsigned) == nil {
		id := unsigned.Key
		known := slices.ContainsFunc(keys, func(k Key) bool { return k.ID() == id })
		if _, err := hex.DecodeString(id); err == nil && len(id) == 2*keyIDSize && !known {
			return fmt.Errorf("byte %d: signed with key %s, which this device does not trust: it trusts %s", at, id, trusted)
		}
	}
	return fmt.Errorf("byte %d: the signature is not good: the bundle was damaged or changed; trusted are %s", at, trusted)
}

// check says whether a manifest can be worked with.
func (m *Manifest) check() error {
	chunks := (m.Size + chunkSize - 1) / chunkSize
	switch {
	case m.Size <= 0:
		return fmt.Errorf("a payload of %d bytes", m.Size)
	case int64(len(m.Chunks)) != chunks:
		return fmt.Errorf("%d checksums for the %d chunks of %d bytes", len(m.Chunks), chunks, m.Size)
	case len(m.Boards) == 0 || m.Arch == "" || m.Kernel == "":
		return errors.New("boards, architecture or kernel are missing")
	}
	if _, err := parseVersion(m.Version); err != nil {
		return err
	}
	for _, sum := range append([]string{m.SHA256}, m.Chunks...) {
		if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size {
			return fmt.Errorf("%q is no SHA-256 in hexadecimal", sum)
		}
	}
	return nil
}

// Next returns the next chunk of the payload, which is checked and valid until the
// next call; io.EOF behind the last one, if nothing follows it.
func (b *Bundle) Next() ([]byte, error) {
	if b.left == 0 {
		return nil, b.end()
	}
	if b.buf == nil {
		b.buf = make([]byte, min(b.left, chunkSize))
	}
	chunk := b.buf[:min(b.left, chunkSize)]
	at := b.at
	if err := b.read(chunk, "the payload"); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(chunk)
	if hex.EncodeToString(sum[:]) != strings.ToLower(b.Manifest.Chunks[b.chunk]) {
		return nil, fmt.Errorf("bytes %d to %d: the payload is not what was signed: it was damaged on its way; get it again", at, b.at-1)
	}
	b.whole.Write(chunk)
	b.chunk++
	b.left -= int64(len(chunk))
	return chunk, nil
}

func (b *Bundle) end() error {
	if want, _ := hex.DecodeString(b.Manifest.SHA256); !bytes.Equal(b.whole.Sum(nil), want) {
		return errors.New("the checksum of the whole payload is not the signed one, though each chunk's is: the bundle was made wrong")
	}
	var more [1]byte
	switch n, err := io.ReadFull(b.r, more[:]); {
	case n > 0:
		return fmt.Errorf("byte %d: more bytes than the manifest tells of", b.at)
	case err != io.EOF:
		return fmt.Errorf("byte %d: %w", b.at, err)
	}
	return io.EOF
}

// read fills p.
func (b *Bundle) read(p []byte, what string) error {
	n, err := io.ReadFull(b.r, p)
	b.at += int64(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("byte %d: the bundle ends within %s: it was not copied whole", b.at, what)
	}
	if err != nil {
		return fmt.Errorf("byte %d: %w", b.at, err)
	}
	return nil
}
