package gateway

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"milepost/cmd/internal/config"
	"milepost/uplink"
	"milepost/uplink/file"
	"milepost/uplink/kafka"
	"milepost/uplink/mqtt"
	"milepost/uplink/spool"
)

// NewTarget makes the sink that a configuration describes. Standard output is
// stdout. The note is what the sink kept with its last acknowledgement in an
// interrupted replay: a file goes on from there, and begins anew without one if
// anew says so.
func NewTarget(c *config.Sink, stdout io.Writer, note []byte, anew bool) (Target, error) {
	t := Target{
		Name:       c.Name,
		GiveUp:     c.GiveUp,
		MinBackoff: c.Backoff.Min, MaxBackoff: c.Backoff.Max,
	}
	if c.Start == config.StartNewest {
		t.Start = spool.Newest
	}
	var err error
	if c.Type == config.SinkFile {
		err = t.openFile(c, stdout, note, anew)
	} else {
		err = t.openBroker(c)
	}
	if err != nil {
		return t, fmt.Errorf("sink %s: %w", c.Name, err)
	}
	return t, nil
}

func (t *Target) openFile(c *config.Sink, stdout io.Writer, note []byte, anew bool) error {
	o := file.Options{Encoding: uplink.JSON}
	if c.Format == config.FormatCSV {
		o.Encoding = uplink.CSV
	}
	if c.Path == "-" {
		t.Sink = file.New(stdout, o)
		return nil
	}
	from := file.Append
	switch {
	case len(note) == 8:
		from = int64(binary.LittleEndian.Uint64(note))
	case anew:
		from = 0
	}
	sink, err := file.Open(c.Path, from, o)
	if err != nil {
		return err
	}
	t.Sink = sink
	t.Note = func() []byte { return binary.LittleEndian.AppendUint64(nil, uint64(sink.Size())) }
	return nil
}

func (t *Target) openBroker(c *config.Sink) error {
	password, err := c.ReadPassword()
	if err != nil {
		return err
	}
	tlsConfig, err := clientTLS(c.TLS)
	if err != nil {
		return err
	}
	url := c.URL
	switch c.Type {
	case config.SinkMQTT:
		t.Sink, err = mqtt.New(mqtt.Options{
			URL: url.String(), ClientID: c.ClientID, Username: c.Username, Password: password.Reveal(), TLS: tlsConfig,
			Topic: c.Topic, Encoding: c.Encoding, MaxPayload: int(c.MaxPayload), Window: c.InFlight,
		})
	case config.SinkKafka:
		if tlsConfig != nil {
			url.Scheme = "kafkas"
		}
		address := url.String()
		if c.Topic != "" {
			address += "/" + c.Topic
		}
		t.Sink, err = kafka.New(kafka.Options{
			URL: address, TLS: tlsConfig, Username: c.Username, Password: password.Reveal(),
			ClientID: c.ClientID, Encoding: c.Encoding,
		})
	default:
		err = fmt.Errorf("type %q", c.Type)
	}
	return err
}

// clientTLS reads the files that a TLS section names; nil without one.
func clientTLS(c *config.TLS) (*tls.Config, error) {
	if c == nil {
		return nil, nil
	}
	t := &tls.Config{ServerName: c.ServerName, InsecureSkipVerify: c.InsecureSkipVerify}
	if c.CA != "" {
		pem, err := os.ReadFile(c.CA)
		if err != nil {
			return nil, err
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s holds no PEM certificate", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := tls.LoadX509KeyPair(c.Cert, cmp.Or(c.Key, c.Cert))
		if err != nil {
			return nil, err
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}
