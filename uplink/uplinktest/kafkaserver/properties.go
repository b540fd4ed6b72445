package kafkaserver

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// The listeners. The client's is the one under test; the administrator's asks for
// nothing, and nothing stands between it and the broker.
const (
	controllerListener = "CONTROLLER"
	adminListener      = "ADMIN"
	clientListener     = "CLIENT"
)

// defaults make the broker small and quick to start, and are for one node only.
var defaults = map[string]string{
	"node.id":                           "1",
	"process.roles":                     "broker,controller",
	"controller.listener.names":         controllerListener,
	"inter.broker.listener.name":        adminListener,
	"num.network.threads":               "1",
	"num.io.threads":                    "2",
	"background.threads":                "1",
	"num.recovery.threads.per.data.dir": "1",
	"log.cleaner.threads":               "1",
	"log.cleaner.dedupe.buffer.size":    "4194304",
	"num.partitions":                    "1",

	"offsets.topic.num.partitions":                     "1",
	"offsets.topic.replication.factor":                 "1",
	"transaction.state.log.num.partitions":             "1",
	"transaction.state.log.replication.factor":         "1",
	"transaction.state.log.min.isr":                    "1",
	"share.coordinator.state.topic.num.partitions":     "1",
	"share.coordinator.state.topic.replication.factor": "1",
	"share.coordinator.state.topic.min.isr":            "1",
	"group.initial.rebalance.delay.ms":                 "0",
	// A broker that was killed may come back when its session is over.
	"broker.session.timeout.ms":    "1000",
	"broker.heartbeat.interval.ms": "200",
}

// properties is the text of server.properties.
func (s *Server) properties() string {
	p := maps.Clone(defaults)
	p["log.dirs"] = filepath.ToSlash(filepath.Join(s.o.Dir, "data"))
	p["controller.quorum.voters"] = "1@" + s.controller
	p["listeners"] = fmt.Sprintf("%s://%s,%s://%s,%s://%s", controllerListener, s.controller, adminListener, s.admin, clientListener, s.client)
	p["advertised.listeners"] = fmt.Sprintf("%s://%s,%s://%s", adminListener, s.admin, clientListener, s.told)
	protocol := "PLAINTEXT"
	switch {
	case s.o.TLS != nil && s.o.users():
		protocol = "SASL_SSL"
	case s.o.TLS != nil:
		protocol = "SSL"
	case s.o.users():
		protocol = "SASL_PLAINTEXT"
	}
	p["listener.security.protocol.map"] = fmt.Sprintf("%s:PLAINTEXT,%s:PLAINTEXT,%s:%s", controllerListener, adminListener, clientListener, protocol)

	prefix := "listener.name." + strings.ToLower(clientListener) + "."
	if s.o.users() {
		p[prefix+"sasl.enabled.mechanisms"] = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
		plain := "org.apache.kafka.common.security.plain.PlainLoginModule required"
		for name, password := range s.o.Plain {
			plain += fmt.Sprintf(" user_%s=%q", name, password)
		}
		p[prefix+"plain.sasl.jaas.config"] = plain + ";"
		for _, mechanism := range []string{"scram-sha-256", "scram-sha-512"} {
			p[prefix+mechanism+".sasl.jaas.config"] = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
		}
	}
	if t := s.o.TLS; t != nil {
		p[prefix+"ssl.keystore.type"] = "PEM"
		p[prefix+"ssl.keystore.location"] = filepath.ToSlash(t.KeyAndCertificate)
		if t.ClientCA != "" {
			p[prefix+"ssl.truststore.type"] = "PEM"
			p[prefix+"ssl.truststore.location"] = filepath.ToSlash(t.ClientCA)
			p[prefix+"ssl.client.auth"] = "required"
		}
	}
	p["auto.create.topics.enable"] = fmt.Sprint(!s.o.NoAutoCreation)
	if s.o.MaxMessageBytes > 0 {
		p["message.max.bytes"] = fmt.Sprint(s.o.MaxMessageBytes)
	}
	maps.Copy(p, s.o.Properties)

	var text strings.Builder
	for _, key := range slices.Sorted(maps.Keys(p)) {
		fmt.Fprintf(&text, "%s=%s\n", key, strings.ReplaceAll(p[key], `\`, `\\`))
	}
	return text.String()
}
