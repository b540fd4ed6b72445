package kafka

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kerr"
)

// unreachable is the error of a connect that failed.
func (p *producer) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("kafka %s: connect: %w%s", &p.target, err, nextStep(err))
}

// explain is the error of a delivery that failed.
func (p *producer) explain(err error, d *delivery) error {
	where := ""
	if d.failed > 0 {
		where = " topic " + d.topic + ":"
	}
	if cause := p.dials.failure(); cause != nil && !errors.Is(err, cause) {
		err = fmt.Errorf("%w; last of all: %w", err, cause)
	}
	if d.failed > 0 {
		err = fmt.Errorf("%d of %d messages are not acknowledged: %w", d.failed, d.messages, err)
	}
	return fmt.Errorf("kafka %s:%s %w%s", &p.target, where, err, nextStep(err))
}

// nextStep is what to do about an error, where that is known.
func nextStep(err error) string {
	var invalid x509.CertificateInvalidError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var remote *net.OpError
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition):
		return ": create the topic, or let the brokers create topics (auto.create.topics.enable there, topic creation here)"
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return ": check username, password and SASL mechanism"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return ": choose one that the brokers have enabled"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed),
		errors.Is(err, kerr.TransactionalIDAuthorizationFailed), errors.Is(err, kerr.GroupAuthorizationFailed):
		return ": check the brokers' access rules"
	case errors.Is(err, kerr.ProducerFenced), errors.Is(err, kerr.InvalidProducerEpoch):
		return ": the transaction took longer than its time limit, or another gateway has the same transactional ID"
	case errors.Is(err, kerr.InvalidTimestamp):
		return ": this machine's clock is further ahead than the topic allows (message.timestamp.after.max.ms): set it"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return ": renew the broker's certificate, or set this machine's clock"
	case errors.As(err, &unknown):
		return ": name the authority that signed the broker's certificate (ca)"
	case errors.As(err, &host):
		return ": connect to a name that is in the certificate, or set the server name"
	case errors.As(err, &remote) && remote.Op == "remote error": // so does crypto/tls name an alert
		return ": the broker does not take this client's certificate: check that it has one, its authority and its dates"
	case errors.Is(err, io.EOF):
		return ": the broker has closed the connection: it may want TLS, or none, or a login"
	case errors.Is(err, context.DeadlineExceeded):
		return ": the broker or the link does not answer"
	}
	return ""
}
