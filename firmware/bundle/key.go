package bundle

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
)

// KeyID is a short name of a public key: the first 8 bytes of its SHA-256, in
// hexadecimal.
func KeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return hex.EncodeToString(sum[:8])
}

// NewKey makes a pair of keys as PEM, which openssl understands, too: PKCS #8 for
// the private one, which signs, and SubjectPublicKeyInfo (RFC 8410) for the public
// one, which goes into images.
func NewKey() (private, public []byte, err error) {
	pub, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return nil, nil, err
	}
	body, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	private = pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: body})
	if body, err = x509.MarshalPKIXPublicKey(pub); err != nil {
		return nil, nil, err
	}
	return private, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: body}), nil
}

// ParseKey reads a private key as NewKey or `openssl genpkey -algorithm ed25519`
// makes it. Errors say nothing of its content.
func ParseKey(body []byte) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode(body)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, errors.New("no PEM block PRIVATE KEY (PKCS #8, not encrypted): milepost-firmware key makes one")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("the private key cannot be read: PKCS #8 is expected")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("a key of type %T; bundles are signed with Ed25519", parsed)
	}
	return key, nil
}
