package config

import (
	"math"
	"time"

	"milepost/uplink"
)

func (s *Sink) kind() string { return string(s.Type) }

func (s *Sink) fields() []field {
	remote, brokers := types(SinkMQTT, SinkKafka, SinkHTTP), types(SinkMQTT, SinkKafka)
	topics := types(SinkMQTT, SinkKafka, SinkHTTP)
	files, mqtt, kafka, http := types(SinkFile), types(SinkMQTT), types(SinkKafka), types(SinkHTTP)
	return []field{
		{key: "name", value: name(&s.Name), required: true,
			doc: "The sink's name in logs and metrics, and that of its place in the spool: a sink of another name starts anew."},
		{key: "type", value: enum(&s.Type, SinkFile, SinkMQTT, SinkKafka, SinkHTTP), required: true,
			doc: "What the sink delivers to."},
		{key: "path", value: path(&s.Path), only: files, absent: "required", example: "records.jsonl",
			doc: "The file to append to; \"-\" is standard output."},
		{key: "format", value: enum(&s.Format, FormatJSONL, FormatCSV), only: files,
			doc: "One JSON object a line, or one row a record without histograms."},
		{key: "url", value: sinkURL(&s.URL), only: remote, absent: "required", example: "mqtt://broker.example:1883",
			doc: "Where the broker or server is; mqtts, wss and https are over TLS, ws and wss are MQTT behind a WebSocket. The ports are the usual ones unless given."},
		{key: "form", value: enum(&s.Form, FormGeneric, FormKafkaRESTv2, FormKafkaRESTv3), only: http,
			doc: "What the server expects: batches posted to the URL as they are, or one of the two versions of the Kafka REST Proxy's API below it."},
		{key: "encoding", value: enum(&s.Encoding, uplink.JSON, uplink.Protobuf, uplink.OTLP), only: remote,
			doc: "The form of the records: JSON objects, messages milepost.v1.Record, or OpenTelemetry metrics."},
		{key: "topic", value: text(&s.Topic), only: topics, absent: defaultTopics[SinkMQTT] + " for MQTT, " + defaultTopics[SinkKafka] + " for Kafka", example: defaultTopics[SinkMQTT],
			doc: "The topic. " + topicDoc + " stand for those of the record; over HTTP, which knows topics behind a Kafka REST Proxy only, there is {device}."},
		{key: "cluster", value: text(&s.Cluster), only: http, absent: "asked of the proxy", example: "lkc-abcde",
			doc: "The ID of the Kafka cluster, for form kafka-rest-v3."},
		{key: "client_id", value: text(&s.ClientID), only: brokers, absent: "milepost-, the device, - and the sink's name", example: "milepost-gateway-1-broker",
			doc: "What the broker knows us by. Two MQTT clients of the same ID throw each other out."},
		{key: "username", value: text(&s.Username), only: remote, example: "gateway-1",
			doc: "Who we are, if the broker asks."},
		{key: "password", value: secret(&s.Password), only: remote, example: "${MILEPOST_PASSWORD}",
			doc: "The password; better taken from the environment than written here. It is never shown."},
		{key: "password_file", value: path(&s.PasswordFile), only: remote, example: "/run/credentials/milepost/password",
			doc: "A file whose first line is the password; instead of password."},
		{key: "sasl", value: enum(&s.SASL, SASLPlain, SASLScramSHA256, SASLScramSHA512), only: kafka,
			doc: "How Kafka is shown the password, where there is a username: as it is, or as proof that we know it."},
		{key: "token", value: secret(&s.Token), only: http, example: "${MILEPOST_TOKEN}",
			doc: "A bearer token, instead of username and password. It is never shown."},
		{key: "token_file", value: path(&s.TokenFile), only: http, example: "/run/credentials/milepost/token",
			doc: "A file whose first line is the token, read for each request: it may be renewed; instead of token."},
		{key: "headers", value: texts{&s.Headers, header}, only: http, example: "X-Fleet: north",
			doc: "Headers to send with each request."},
		{key: "proxy", value: text(&s.Proxy), only: http, absent: "what HTTPS_PROXY and NO_PROXY say", example: "http://proxy.example:3128",
			doc: "The URL of an HTTP proxy; none is none."},
		{key: "tls", value: optionally(&s.TLS), only: remote,
			doc: "How to do TLS. Kafka is spoken to over TLS where there is this section, be it empty; MQTT and HTTP where the URL is mqtts, wss or https."},
		{key: "delivery", value: enum(&s.Delivery, DeliveryAtLeastOnce, DeliveryExactlyOnce), only: kafka,
			doc: "At least once: after a failure some records come again, with the same key. Exactly once: they are committed in one Kafka transaction with our place in the spool, and who reads only what is committed sees each once."},
		{key: "transactional_id", value: text(&s.TransactionalID), only: kafka, absent: "milepost-, the device, - and the sink's name", example: "milepost-gateway-1-stream",
			doc: "What Kafka knows our transactions by, for delivery exactly-once. No two gateways may have the same."},
		{key: "registry", value: group{&s.Registry}, only: kafka,
			doc: "A schema registry, where the schema of encoding protobuf is registered; values then begin with its ID."},
		{key: "compression", value: enum(&s.Compression, CompressionNone, CompressionGzip, CompressionSnappy, CompressionLZ4, CompressionZstd), only: types(SinkKafka, SinkHTTP), absent: "zstd for Kafka, none over HTTP but gzip for otlp", example: "zstd",
			doc: "How what is sent is compressed; over HTTP gzip, zstd or none, as the server can."},
		{key: "max_payload", value: size(&s.MaxPayload, 1<<10, 256<<20-1), only: remote,
			doc: "The most bytes in one message or request; not more than the other side takes. As many records as fit share it."},
		{key: "in_flight", value: integer(&s.InFlight, 1, math.MaxUint16), only: mqtt,
			doc: "How many messages may wait for the broker's acknowledgement. Over a link with a round trip of 50 ms, 100 of them are 2,000 messages a second."},
		{key: "presence", value: text(&s.Presence), only: mqtt, absent: "off", example: "milepost/{device}/state",
			doc: "A topic with a retained message that says whether the device is connected; the broker itself says when it is not any more."},
		{key: "latest", value: group{&s.Latest}, only: mqtt,
			doc: "Retained messages with the newest value of each signal: the vehicle's digital twin."},
		{key: "order", value: enum(&s.Order, OrderOldestFirst, OrderNewestFirst, OrderStrict),
			doc: "What goes first after an outage. New records go out at once and the backlog follows beside them, from its oldest or its newest end; or everything waits for what is older (strict). A replay as fast as possible is always strict."},
		{key: "budget", value: group{&s.Budget}, only: remote,
			doc: "How many bytes may go over the link, TLS and all."},
		{key: "start", value: enum(&s.Start, StartOldest, StartNewest),
			doc: "Where a sink that is new to the spool begins."},
		{key: "give_up", value: duration(&s.GiveUp, 0, forever),
			doc: "How long to try while nothing gets through; 0s is forever."},
		{key: "backoff", value: group{&s.Backoff},
			doc: "The pause after a failure: it doubles from min up to max, and is drawn at random from what it has come to."},
	}
}

func (r *Registry) fields() []field {
	return []field{
		{key: "url", value: sinkURL(&r.URL), absent: "off", example: "https://registry.example:8081",
			doc: "Where the registry is: http or https."},
		{key: "username", value: text(&r.Username), example: "gateway-1",
			doc: "Who we are, if it asks."},
		{key: "password", value: secret(&r.Password), example: "${REGISTRY_PASSWORD}",
			doc: "The password. It is never shown."},
		{key: "password_file", value: path(&r.PasswordFile), example: "/run/credentials/milepost/registry",
			doc: "A file whose first line is the password; instead of password."},
		{key: "tls", value: optionally(&r.TLS),
			doc: "How to do TLS, if the URL is https."},
		{key: "lookup_only", value: boolean(&r.LookupOnly),
			doc: "Never register a schema: it has to be there."},
	}
}

func (l *Latest) fields() []field {
	return []field{
		{key: "topic", value: text(&l.Topic), absent: "off", example: "milepost/{device}/latest/{bus}/{message}/{signal}",
			doc: "The topic of a signal's latest value, a template with {signal}."},
		{key: "interval", value: duration(&l.Interval, 0, 24*time.Hour),
			doc: "The least time between two messages of a signal."},
	}
}

func (b *Budget) fields() []field {
	return []field{
		{key: "bytes_per_second", value: size(&b.Second, 0, 1<<40), absent: "no limit", example: "20KB",
			doc: "How fast the backlog may go out. New records do not wait for it."},
		{key: "bytes_per_day", value: size(&b.Day, 0, 1<<50), absent: "no limit", example: "50MB",
			doc: "The most in a day, of everything."},
		{key: "bytes_per_month", value: size(&b.Month, 0, 1<<50), absent: "no limit", example: "1GB",
			doc: "The most in a calendar month, of everything."},
		{key: "time_zone", value: timeZone(&b.Zone),
			doc: "Whose days and months they are."},
		{key: "steps", value: listOf(&b.Steps, func() BudgetStep { return BudgetStep{Priority: PriorityHigh} }, BudgetStep{80, PriorityNormal}, BudgetStep{95, PriorityHigh}),
			doc: "What may still go out when a part of the day's or the month's bytes is used up. Beyond 100 % nothing does, unless a step says so."},
	}
}

func (b *BudgetStep) fields() []field {
	return []field{
		{key: "percent", value: integer(&b.Percent, 0, 1000), required: true,
			doc: "The part, in percent."},
		{key: "priority", value: enum(&b.Priority, PriorityLow, PriorityNormal, PriorityHigh),
			doc: "The least priority of what may still go out."},
	}
}

func (t *TLS) fields() []field {
	return []field{
		{key: "ca", value: path(&t.CA), absent: "the system's authorities", example: "ca.pem",
			doc: "Certificate authorities to trust, in PEM."},
		{key: "cert", value: path(&t.Cert), example: "client.pem",
			doc: "Our own certificate, in PEM; with key."},
		{key: "key", value: path(&t.Key), example: "client.key",
			doc: "Its private key, in PEM."},
		{key: "server_name", value: text(&t.ServerName), absent: "the host of the URL", example: "broker.example",
			doc: "The name that the broker's certificate must have."},
		{key: "insecure_skip_verify", value: boolean(&t.InsecureSkipVerify),
			doc: "Talk to whoever answers. Never outside a test bench."},
	}
}

func (b *Backoff) fields() []field {
	return []field{
		{key: "min", value: duration(&b.Min, time.Millisecond, time.Hour),
			doc: "The shortest pause."},
		{key: "max", value: duration(&b.Max, time.Millisecond, 24*time.Hour),
			doc: "The longest pause."},
	}
}
