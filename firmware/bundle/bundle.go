// Package bundle writes update bundles: a system for the other slot of an image,
// with a signed manifest before it. docs/bundle-format.md has the bytes; devices
// read them with cmd/internal/update, which this package neither imports nor is
// imported by.
package bundle

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// A bundle, little endian:
//
//	 0    magic "mpbundle"
//	 8    u32  format version, 1
//	12    u32  n, the length of the manifest, 1 to 1048576
//	16    the manifest, JSON
//	16+n  64 bytes: Ed25519 signature (RFC 8032) of all bytes before it
//	80+n  the payload: the file system as it goes to the partition
const (
	magic         = "mpbundle"
	formatVersion = 1
	maxManifest   = 1 << 20
	chunkSize     = 1 << 20
)

// semantic is a version of semver.org, with or without a v.
var semantic = regexp.MustCompile(`^v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z.-]+)?$`)

// System says what a bundle's payload is.
type System struct {
	Boards  []string // for which it is
	Arch    string   // as dpkg calls it
	Kernel  string   // the release (uname -r) that its modules are for
	Version string   // of milepost, as `milepost version` says it
}

// manifest is what is signed; its fields are explained in docs/bundle-format.md.
type manifest struct {
	Key     string   `json:"key"`
	Boards  []string `json:"boards"`
	Arch    string   `json:"arch"`
	Kernel  string   `json:"kernel"`
	Version string   `json:"version"`
	Size    int64    `json:"size"`
	SHA256  string   `json:"sha256"`
	Chunks  []string `json:"chunks"`
}

// Write writes a bundle. The payload is read twice: for the manifest, which comes
// first, and for itself. The same arguments give the same bytes.
func Write(w io.Writer, s System, payload io.ReadSeeker, key ed25519.PrivateKey) error {
	if len(s.Boards) == 0 || s.Arch == "" || s.Kernel == "" || s.Version == "" {
		return errors.New("bundle: boards, architecture, kernel and version are needed")
	}
	if !semantic.MatchString(s.Version) || len(s.Version) > 63 {
		return fmt.Errorf("bundle: %q is no version such as v1.2.3 (semver.org), which devices could tell to be older or newer", s.Version)
	}
	m := manifest{Key: KeyID(key.Public().(ed25519.PublicKey)), Boards: s.Boards, Arch: s.Arch, Kernel: s.Kernel, Version: s.Version}
	if err := m.hash(payload); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > maxManifest {
		return fmt.Errorf("bundle: the payload has %d bytes, which makes a manifest of %d; it may have %d", m.Size, len(text), maxManifest)
	}
	head := binary.LittleEndian.AppendUint32([]byte(magic), formatVersion)
	head = binary.LittleEndian.AppendUint32(head, uint32(len(text)))
	head = append(head, text...)
	head = append(head, ed25519.Sign(key, head)...)
	if _, err := w.Write(head); err != nil {
		return err
	}
	if _, err := payload.Seek(0, io.SeekStart); err != nil {
		return err
	}
	whole := sha256.New()
	if _, err := io.Copy(io.MultiWriter(w, whole), payload); err != nil {
		return err
	}
	if hex.EncodeToString(whole.Sum(nil)) != m.SHA256 {
		return errors.New("bundle: the payload has changed while it was read")
	}
	return nil
}

// hash reads the payload for its size and its checksums.
func (m *manifest) hash(payload io.ReadSeeker) error {
	if _, err := payload.Seek(0, io.SeekStart); err != nil {
		return err
	}
	whole := sha256.New()
	chunk := make([]byte, chunkSize)
	for {
		n, err := io.ReadFull(payload, chunk)
		if n > 0 {
			whole.Write(chunk[:n])
			sum := sha256.Sum256(chunk[:n])
			m.Chunks = append(m.Chunks, hex.EncodeToString(sum[:]))
			m.Size += int64(n)
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if m.Size == 0 {
		return errors.New("bundle: the payload is empty")
	}
	m.SHA256 = hex.EncodeToString(whole.Sum(nil))
	return nil
}
