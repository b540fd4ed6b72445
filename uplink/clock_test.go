package uplink_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/http"
	"milepost/uplink/kafka"
	"milepost/uplink/mqtt"
	"milepost/uplink/uplinktest"
	"milepost/uplink/uplinktest/certificates"
)

// TestCertificateIn1970: whatever the sink, a certificate that is refused because
// the device's clock is in 1970 is recognised as that, and tried again.
func TestCertificateIn1970(t *testing.T) {
	authority, err := certificates.New("test authority")
	if err != nil {
		t.Fatal(err)
	}
	server, err := authority.Client("server")
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				connection.(*tls.Conn).Handshake()
			}()
		}
	}()
	config := func() *tls.Config {
		c, err := authority.Client("")
		if err != nil {
			t.Fatal(err)
		}
		c.Time = func() time.Time { return time.Unix(42, 0) }
		return c
	}
	sinks := map[string]func() (uplink.Sink, error){
		"http": func() (uplink.Sink, error) {
			return http.New(http.Options{URL: "https://" + listener.Addr().String(), TLS: config()})
		},
		"mqtt": func() (uplink.Sink, error) {
			return mqtt.New(mqtt.Options{URL: "mqtts://" + listener.Addr().String(), TLS: config()})
		},
		"kafka": func() (uplink.Sink, error) {
			return kafka.New(kafka.Options{URL: "kafkas://" + listener.Addr().String(), TLS: config()})
		},
	}
	for name, make := range sinks {
		t.Run(name, func(t *testing.T) {
			sink, err := make()
			if err != nil {
				t.Fatal(err)
			}
			defer sink.Close()
			queue := uplinktest.NewQueue()
			fill(queue, 1, 1)
			queue.End()
			asked := 0
			f := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{
				Name: name, Decode: uplink.DecodeRecords, GiveUp: time.Nanosecond,
				Clock: func() aggregate.Clock {
					asked++
					return aggregate.ClockUnset
				},
			})
			err = f.Run(t.Context())
			if err == nil || !strings.Contains(err.Error(), "the device's clock is not set") || asked == 0 {
				t.Errorf("the error is: %v", err)
			}
		})
	}
}

// TestExplanation: the clock is blamed for what may be its fault, and for nothing
// else.
func TestExplanation(t *testing.T) {
	expired := fmt.Errorf("dial: %w", &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired, Detail: "not yet valid"}})
	stranger := fmt.Errorf("dial: %w", x509.UnknownAuthorityError{})
	f := func(clock func() aggregate.Clock, cause error, want string) {
		t.Helper()
		queue := uplinktest.NewQueue()
		fill(queue, 1, 1)
		queue.End()
		sink := sinkFunc(func(context.Context, []uplink.Record) error { return cause })
		err := uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, GiveUp: time.Nanosecond, Clock: clock}).Run(t.Context())
		if err == nil || !errors.Is(err, cause) || !strings.Contains(err.Error(), want) || want == "" && strings.Contains(err.Error(), "clock") {
			t.Errorf("%v: %v, want %q", cause, err, want)
		}
	}
	clock := func(c aggregate.Clock) func() aggregate.Clock { return func() aggregate.Clock { return c } }
	f(clock(aggregate.ClockUnset), expired, "clock is not set")
	f(clock(aggregate.ClockSet), expired, "clock is not synchronized")
	f(clock(aggregate.ClockSynchronized), expired, "")
	f(clock(aggregate.ClockUnknown), expired, "")
	f(nil, expired, "")
	f(clock(aggregate.ClockUnset), stranger, "")
	f(clock(aggregate.ClockUnset), x509.CertificateInvalidError{Reason: x509.NotAuthorizedToSign}, "")
}

// sinkFunc is a Sink of a function.
type sinkFunc func(context.Context, []uplink.Record) error

func (f sinkFunc) Send(ctx context.Context, records []uplink.Record) error { return f(ctx, records) }
func (sinkFunc) Close() error                                              { return nil }

// TestRetry: the pause after a failure ends when its cause is gone, and not
// because of a Retry from long before.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		queue := uplinktest.NewQueue()
		fill(queue, 1, 1)
		queue.End()
		var mu sync.Mutex // a timer that fires in a bubble orders nothing
		tries := 0
		during := func(int) {}
		var cause error = errors.New("no certificate is valid yet")
		fail := func(err error) {
			mu.Lock()
			defer mu.Unlock()
			cause = err
		}
		var f *uplink.Forwarder
		sink := sinkFunc(func(context.Context, []uplink.Record) error {
			mu.Lock()
			defer mu.Unlock()
			tries++
			during(tries)
			return cause
		})
		f = uplink.NewForwarder(queue, sink, uplink.ForwarderOptions{Decode: uplink.DecodeRecords, MinBackoff: 1000 * time.Hour, MaxBackoff: 1000 * time.Hour})
		f.Retry() // nothing has failed yet
		done := make(chan error, 1)
		go func() { done <- f.Run(t.Context()) }()
		expect := func(what string, n int) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			if tries != n {
				t.Fatalf("%s: %d tries, want %d", what, tries, n)
			}
		}
		expect("at the start", 1)
		f.Retry()
		expect("asked for", 2)
		mu.Lock()
		during = func(try int) { // the clock is set while a try fails
			if try == 3 {
				f.Retry()
			}
		}
		mu.Unlock()
		f.Retry()
		expect("asked for meanwhile", 4)
		fail(asked{})
		f.Retry()
		expect("before the receiver asks", 5)
		f.Retry()
		expect("asked for against the receiver's will", 5)
		fail(nil)
		time.Sleep(2000 * time.Hour)
		expect("in the end", 6)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// asked is the error of a receiver that asks for a pause.
type asked struct{}

func (asked) Error() string             { return "come back later" }
func (asked) RetryAfter() time.Duration { return time.Minute }
