package gateway

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"milepost/cmd/internal/config"
	"milepost/uplink"
	"milepost/uplink/file"
	"milepost/uplink/http"
	"milepost/uplink/kafka"
	"milepost/uplink/mqtt"
	"milepost/uplink/spool"
)

// TargetOptions say what a sink needs to know beside its configuration.
type TargetOptions struct {
	Device string
	Boot   uplink.BootID
	// Stdout is the standard output.
	Stdout io.Writer
	// Note is what the sink kept with its last acknowledgement in an interrupted
	// replay: a file goes on from there, and begins anew without one if Anew says
	// so.
	Note []byte
	Anew bool
	// Dir is where what a sink has to remember is kept: the spool's folder.
	Dir string
}

// NewTarget makes the sink that a configuration describes.
func NewTarget(c *config.Sink, o TargetOptions) (Target, error) {
	t := Target{
		Name:       c.Name,
		GiveUp:     c.GiveUp,
		MinBackoff: c.Backoff.Min, MaxBackoff: c.Backoff.Max,
	}
	if c.Start == config.StartNewest {
		t.Start = spool.Newest
	}
	switch c.Order {
	case config.OrderOldestFirst:
		t.Order = uplink.OldestFirst
	case config.OrderNewestFirst:
		t.Order = uplink.NewestFirst
	}
	err := t.limit(&c.Budget, c.Name, o.Dir)
	if err == nil {
		if c.Type == config.SinkFile {
			err = t.openFile(c, &o)
		} else {
			err = t.openRemote(c, &o)
		}
	}
	if err != nil {
		return t, fmt.Errorf("sink %s: %w", c.Name, err)
	}
	return t, nil
}

// CheckTarget finds what keeps NewTarget from making a sink, as far as that can be
// known without making it: the files that it needs.
func CheckTarget(c *config.Sink) error {
	_, password := c.ReadPassword()
	_, token := c.ReadToken()
	_, tlsErr := clientTLS(c.TLS)
	_, registryPassword := c.Registry.ReadPassword()
	_, registryTLS := clientTLS(c.Registry.TLS)
	if err := errors.Join(password, token, tlsErr, registryPassword, registryTLS); err != nil {
		return fmt.Errorf("sink %s: %w", c.Name, err)
	}
	return nil
}

// limit sets the budget.
func (t *Target) limit(c *config.Budget, name, dir string) error {
	if c.Second == 0 && c.Day == 0 && c.Month == 0 {
		return nil
	}
	zone, err := time.LoadLocation(c.Zone)
	if err != nil {
		return fmt.Errorf("budget: %w", err)
	}
	o := uplink.BudgetOptions{
		BytesPerSecond: int64(c.Second), BytesPerDay: int64(c.Day), BytesPerMonth: int64(c.Month),
		Location: zone,
	}
	if dir != "" {
		o.Store = uplink.NewBudgetFile(filepath.Join(dir, "budget-"+name))
	}
	for _, s := range c.Steps {
		o.Steps = append(o.Steps, uplink.BudgetStep{Share: float64(s.Percent) / 100, Priority: s.Priority.Level()})
	}
	t.Budget = uplink.NewBudget(o)
	return nil
}

func (t *Target) openFile(c *config.Sink, given *TargetOptions) error {
	o := file.Options{Encoding: uplink.JSON}
	if c.Format == config.FormatCSV {
		o.Encoding = uplink.CSV
	}
	if c.Path == "-" {
		t.Sink = file.New(given.Stdout, o)
		return nil
	}
	from := file.Append
	switch {
	case len(given.Note) == 8:
		from = int64(binary.LittleEndian.Uint64(given.Note))
	case given.Anew:
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

func (t *Target) openRemote(c *config.Sink, o *TargetOptions) error {
	password, err := c.ReadPassword()
	if err != nil {
		return err
	}
	tlsConfig, err := clientTLS(c.TLS)
	if err != nil {
		return err
	}
	switch c.Type {
	case config.SinkMQTT:
		t.Sink, err = newMQTT(c, o, password, tlsConfig)
	case config.SinkKafka:
		t.Sink, err = newKafka(c, password, tlsConfig)
		t.ExactlyOnce = c.Delivery == config.DeliveryExactlyOnce
	case config.SinkHTTP:
		t.Sink, err = newHTTP(c, password, tlsConfig)
	default:
		err = fmt.Errorf("type %q", c.Type)
	}
	return err
}

func newMQTT(c *config.Sink, o *TargetOptions, password config.Secret, tlsConfig *tls.Config) (uplink.Sink, error) {
	options := mqtt.Options{
		URL: c.URL.String(), ClientID: c.ClientID, Username: c.Username, Password: password.Reveal(), TLS: tlsConfig,
		Topic: c.Topic, Encoding: c.Encoding, MaxPayload: int(c.MaxPayload), Window: c.InFlight,
		Latest: mqtt.Latest{Topic: c.Latest.Topic, Interval: c.Latest.Interval},
	}
	if c.Presence != "" {
		options.Presence = mqtt.Presence{Topic: c.Presence, Device: o.Device, Boot: o.Boot}
	}
	return mqtt.New(options)
}

func newKafka(c *config.Sink, password config.Secret, tlsConfig *tls.Config) (uplink.Sink, error) {
	url := c.URL
	if tlsConfig != nil {
		url.Scheme = "kafkas"
	}
	address := url.String()
	if c.Topic != "" {
		address += "/" + c.Topic
	}
	o := kafka.Options{
		URL: address, TLS: tlsConfig, Username: c.Username, Password: password.Reveal(),
		ClientID: c.ClientID, Encoding: c.Encoding, Compression: string(c.Compression),
	}
	if o.Username != "" {
		o.SASL = string(c.SASL)
	}
	if r := &c.Registry; r.URL.Scheme != "" {
		password, err := r.ReadPassword()
		if err != nil {
			return nil, err
		}
		tlsConfig, err := clientTLS(r.TLS)
		if err != nil {
			return nil, err
		}
		o.Registry = kafka.Registry{
			URL: r.URL.String(), Username: r.Username, Password: password.Reveal(), TLS: tlsConfig, LookupOnly: r.LookupOnly,
		}
	}
	if c.Delivery == config.DeliveryExactlyOnce {
		return kafka.NewTransactional(o, kafka.TransactionOptions{ID: c.TransactionalID})
	}
	return kafka.New(o)
}

func newHTTP(c *config.Sink, password config.Secret, tlsConfig *tls.Config) (uplink.Sink, error) {
	form, err := http.ParseForm(string(c.Form))
	if err != nil {
		return nil, err
	}
	o := http.Options{
		URL: c.URL.String(), Form: form, Encoding: c.Encoding, Cluster: c.Cluster,
		Compression: string(c.Compression), MaxBody: int(c.MaxPayload), Proxy: c.Proxy,
		Username: c.Username, Password: password.Reveal(), TLS: tlsConfig,
		Header: make(map[string]string),
	}
	if form != http.Generic {
		o.Topic = c.Topic
	}
	for _, line := range c.Headers {
		name, value, _ := strings.Cut(line, ": ")
		o.Header[name] = value
	}
	if c.TokenFile != "" {
		o.TokenSource = func() (string, error) {
			token, err := c.ReadToken()
			return token.Reveal(), err
		}
	} else {
		o.Token = c.Token.Reveal()
	}
	return http.New(o)
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
