package http

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	nethttp "net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// idleTimeout is below what servers and the address translation of mobile
	// networks usually bear.
	idleTimeout = 90 * time.Second
	// expectTimeout is how long a server may take to say that it wants a body.
	expectTimeout = time.Second
	// maxHeader limits an answer's headers, in bytes.
	maxHeader = 64 << 10
)

func newTransport(o *Options, n *network) (*nethttp.Transport, error) {
	proxy, err := proxyFunc(o.Proxy)
	if err != nil {
		return nil, err
	}
	config := o.TLS.Clone()
	if config == nil {
		config = new(tls.Config)
	}
	protocols := new(nethttp.Protocols)
	protocols.SetHTTP1(true) // and no HTTP/2: docs/decisions/0013-binary-size.md
	return &nethttp.Transport{
		Protocols:              protocols,
		Proxy:                  proxy,
		DialContext:            n.dial,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    o.DialTimeout,
		MaxIdleConns:           2,
		IdleConnTimeout:        idleTimeout,
		ExpectContinueTimeout:  expectTimeout,
		MaxResponseHeaderBytes: maxHeader,
	}, nil
}

// proxyFunc is nil for no proxy at all.
func proxyFunc(setting string) (func(*nethttp.Request) (*url.URL, error), error) {
	switch setting {
	case "none":
		return nil, nil
	case "":
		return func(r *nethttp.Request) (*url.URL, error) {
			u, err := nethttp.ProxyFromEnvironment(r)
			if err != nil { // whose text repeats it, password included
				return nil, errors.New("the environment's HTTP_PROXY or HTTPS_PROXY is not a URL")
			}
			return u, nil
		}, nil
	}
	u, err := url.Parse(setting)
	if err != nil || u.Hostname() == "" || u.Scheme != "http" && u.Scheme != "https" && u.Scheme != "socks5" {
		return nil, errors.New(`http: the proxy has to be http://HOST:PORT, https://… or socks5://…, or "none"`)
	}
	return nethttp.ProxyURL(u), nil
}

// builtAfter is a year that a clock cannot show unless it was never set.
const builtAfter = 2024

// explain adds the next step to an error of the transport.
func (s *Sink) explain(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		err = cause // a stall, instead of "context canceled"
	}
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil {
		now := time.Now()
		if s.o.TLS != nil && s.o.TLS.Time != nil {
			now = s.o.TLS.Time()
		}
		if now.Before(invalid.Cert.NotBefore) && now.Year() < builtAfter {
			return fmt.Errorf("the clock of this machine looks unset (it says %s), so that the server's certificate, valid from %s, cannot be checked: set the clock, for example by NTP: %w",
				now.UTC().Format(time.DateTime), invalid.Cert.NotBefore.UTC().Format(time.DateTime), err)
		}
	}
	var unknown x509.UnknownAuthorityError
	var noTLS tls.RecordHeaderError
	text := err.Error()
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: set the CA that the server's certificate is from", err)
	case strings.Contains(text, "remote error: tls") && strings.Contains(text, "certificate"):
		return fmt.Errorf("%w: the server does not take this client's certificate: check certificate and key", err)
	case errors.As(err, &noTLS) && noTLS.Conn != nil:
		return fmt.Errorf("%w: the URL says https, but the server does not speak TLS", err)
	case strings.Contains(text, "Proxy Authentication Required"):
		return fmt.Errorf("%w: the HTTP proxy wants a user and a password", err)
	}
	return err
}
