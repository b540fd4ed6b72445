package update

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// KeyDir has the keys that a device trusts, one *.pem each. It is in the system
// that bundles replace: a bundle can bring new keys and leave out old ones.
const KeyDir = "/usr/share/milepost/update-keys"

// Key is a key that bundles may be signed with.
type Key struct {
	Name   string // that of its file
	Public ed25519.PublicKey
}

const keyIDSize = 8

// ID is a short name of a key: the first bytes of its SHA-256, in hexadecimal.
func (k Key) ID() string {
	sum := sha256.Sum256(k.Public)
	return hex.EncodeToString(sum[:keyIDSize])
}

// ReadKeys reads the public keys of a folder: files *.pem with one PEM block each,
// "PUBLIC KEY", as openssl and milepost-firmware write it. A folder that is not
// there has none.
func ReadKeys(dir string) ([]Key, error) {
	if _, err := os.Stat(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.pem"))
	if err != nil {
		return nil, err
	}
	var keys []Key
	for _, path := range paths {
		body, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		public, err := parseKey(body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, Key{filepath.Base(path), public})
	}
	return keys, nil
}

func parseKey(body []byte) (ed25519.PublicKey, error) {
	block, _ := pem.Decode(body)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, errors.New("no PEM block PUBLIC KEY: milepost-firmware key makes one")
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	public, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T; bundles are signed with Ed25519", parsed)
	}
	return public, nil
}
