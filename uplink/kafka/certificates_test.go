package kafka_test

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"milepost/uplink/uplinktest/certificates"
)

// authority signs certificates into files as Kafka wants them: key and
// certificate in one.
type authority struct {
	*certificates.Authority
	dir  string
	pool *x509.CertPool
	file string // PEM
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a, err := certificates.New("test authority")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	own := &authority{a, dir, a.Pool(), filepath.Join(dir, "ca.pem")}
	if err := os.WriteFile(own.file, a.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	return own
}

// issue writes a key and a certificate for the loopback interface, or a client, to
// a file of that name, and returns its path.
func (a *authority) issue(t *testing.T, name string, until time.Time) string {
	t.Helper()
	certificate, key, err := a.Issue(name, until)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(a.dir, name+".pem")
	if err := os.WriteFile(path, slices.Concat(key, certificate), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// client is a configuration that trusts the authority and shows a certificate, if
// a path is given.
func (a *authority) client(t *testing.T, path string) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: a.pool}
	if path != "" {
		pair, err := tls.LoadX509KeyPair(path, path)
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}
