package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/twmb/franz-go/pkg/sr"

	"milepost/uplink"
)

// registry finds the IDs that the schema of records has in a schema registry.
type registry struct {
	o      Registry // without the password
	host   string
	client *sr.Client
	http   *http.Transport
	frames map[string][]byte // by topic
}

func newRegistry(o Registry, d *dialer) (*registry, error) {
	u, err := url.Parse(o.URL)
	if err != nil {
		var cause *url.Error
		if errors.As(err, &cause) { // its text repeats the URL, with a password that may be in it
			err = cause.Err
		}
		return nil, fmt.Errorf("kafka: the schema registry's URL: %w", err)
	}
	if u.User != nil {
		return nil, fmt.Errorf("kafka: the schema registry's URL %s has credentials in it: set username and password apart", u.Redacted())
	}
	if u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("kafka: the schema registry's URL is %q: it has to be http://HOST[:PORT] or https://HOST[:PORT]", o.URL)
	}
	r := &registry{host: u.Host, frames: make(map[string][]byte)}
	config := o.TLS
	if config == nil {
		config = new(tls.Config)
	}
	r.http = &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.dial(ctx, network, address, nil)
		},
		DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return d.dial(ctx, network, address, config)
		},
		DisableKeepAlives: true, // it is asked once a topic
	}
	options := []sr.ClientOpt{sr.URLs(o.URL), sr.UserAgent("milepost"), sr.HTTPClient(&http.Client{Transport: r.http, Timeout: d.timeout})}
	if o.Username != "" {
		options = append(options, sr.BasicAuth(o.Username, o.Password))
	}
	if r.client, err = sr.NewClient(options...); err != nil {
		return nil, fmt.Errorf("kafka: schema registry: %w", err)
	}
	o.Password = ""
	r.o = o
	return r, nil
}

// recordIndex is where in its file the message milepost.v1.Record stands.
var recordIndex = []int{0}

// frame is what a value in that topic begins with: a byte 0, the schema's ID in 4
// bytes, and the message's index, which a byte 0 stands for if it is the first.
// The subject is the topic's, as TopicNameStrategy names it.
func (r *registry) frame(ctx context.Context, topic string) ([]byte, error) {
	if frame, ok := r.frames[topic]; ok {
		return frame, nil
	}
	subject := topic + "-value"
	schema := sr.Schema{Schema: uplink.ProtobufSchema, Type: sr.TypeProtobuf}
	var id int
	var err error
	if r.o.LookupOnly {
		var found sr.SubjectSchema
		found, err = r.client.LookupSchema(ctx, subject, schema)
		id = found.ID
	} else {
		id, err = r.client.RegisterSchema(ctx, subject, schema, -1, -1)
	}
	if err != nil {
		return nil, fmt.Errorf("schema registry %s: subject %s: %w%s", r.host, subject, err, r.nextStep(err))
	}
	frame, err := new(sr.ConfluentHeader).AppendEncode(nil, id, recordIndex)
	if err != nil {
		return nil, fmt.Errorf("schema registry %s: %w", r.host, err)
	}
	if len(r.frames) >= maxNames {
		clear(r.frames)
	}
	r.frames[topic] = frame
	return frame, nil
}

// nextStep is what to do about an answer of the registry.
func (r *registry) nextStep(err error) string {
	var answer *sr.ResponseError
	if !errors.As(err, &answer) {
		return nextStep(err)
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ": check its username, password and access rules"
	case http.StatusNotFound:
		if r.o.LookupOnly {
			return ": register milepost.proto there, or let the gateway do it"
		}
	case http.StatusConflict:
		return ": the subject holds another schema: use another topic, or change the subject's compatibility"
	}
	return ""
}

func (r *registry) close() { r.http.CloseIdleConnections() }
