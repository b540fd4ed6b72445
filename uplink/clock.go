package uplink

import (
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"milepost/aggregate"
)

// clockError is a failure for which the device's own clock is to blame.
type clockError struct {
	cause error
	clock aggregate.Clock
	at    time.Time
}

func (e *clockError) Error() string {
	said := e.at.UTC().Format(time.DateTime) + " UTC"
	if e.clock == aggregate.ClockUnset {
		return fmt.Sprintf("the device's clock is not set (it says %s), so that no certificate can be checked; tried again as soon as it is: %v", said, e.cause)
	}
	return fmt.Sprintf("the device's clock is not synchronized (it says %s), which may be why the certificate is not valid; tried again as soon as it is set: %v", said, e.cause)
}

func (e *clockError) Unwrap() error { return e.cause }

// explainClock says that the clock is to blame, or may be, where a certificate is
// refused for its dates. Clock is the quality of the device's clock; of a
// synchronized one, and of one of which nothing is known, it says nothing.
//
// It looks for what crypto/tls returns, which all sinks that use TLS pass on.
func explainClock(cause error, clock aggregate.Clock, now time.Time) error {
	var invalid x509.CertificateInvalidError
	if clock != aggregate.ClockUnset && clock != aggregate.ClockSet || !errors.As(cause, &invalid) || invalid.Reason != x509.Expired {
		return cause // x509.Expired is "expired or not yet valid"
	}
	return &clockError{cause, clock, now}
}
