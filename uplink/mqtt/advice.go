package mqtt

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/eclipse/paho.mqtt.golang/packets"
)

// advise completes the error of a connection that could not be made by what to
// do about it.
func advise(err error) error {
	var (
		invalid  x509.CertificateInvalidError
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		noTLS    tls.RecordHeaderError
	)
	advice := ""
	switch {
	case errors.Is(err, packets.ErrorRefusedBadUsernameOrPassword), errors.Is(err, packets.ErrorRefusedNotAuthorised):
		advice = "check username, password and the broker's access rules"
	case errors.Is(err, packets.ErrorRefusedIDRejected):
		advice = "the broker does not take this client ID: choose another one"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		advice = "renew the broker's certificate, or set this machine's clock"
	case errors.As(err, &unknown):
		advice = "the authority that has signed the broker's certificate is not among those that are trusted here"
	case errors.As(err, &hostname):
		advice = "the URL has to name the broker as its certificate does"
	case errors.As(err, &noTLS):
		advice = "is this the broker's port for TLS?"
	case closedByPeer(err):
		advice = "the broker has closed the connection instead of accepting it: is this the port for the URL's scheme, and does the broker ask for a certificate?"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}
