package kafka

import (
	"fmt"
	"strings"

	"milepost/aggregate"
	"milepost/uplink"
)

// maxTopic is the length of a topic's name that Kafka takes.
const maxTopic = 249

func parseTopic(template string) (uplink.TopicTemplate, error) {
	t, err := uplink.ParseTopic(template)
	if err != nil {
		return t, fmt.Errorf("kafka: %w", err)
	}
	literals := t.Literals()
	if len(literals) > maxTopic || strings.ContainsFunc(literals, func(r rune) bool { return r >= 0x80 || !topicCharacter(byte(r)) }) ||
		t.Constant() && !validTopic(literals) {
		return t, fmt.Errorf("kafka: topic %q: letters, digits, '.', '_' and '-' only, at most %d", template, maxTopic)
	}
	return t, nil
}

func validTopic(s string) bool { return s != "" && s != "." && s != ".." && len(s) <= maxTopic }

func topicCharacter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '.' || c == '_' || c == '-'
}

// appendTopicPart writes a value as a part of a topic's name: what cannot be in
// one becomes an underscore, and so does nothing at all.
func appendTopicPart(dst []byte, value string) []byte {
	if value == "" {
		return append(dst, '_')
	}
	for _, r := range value {
		if r >= 0x80 || !topicCharacter(byte(r)) {
			r = '_'
		}
		dst = append(dst, byte(r))
	}
	return dst
}

// topics finds the topics of records. Names are made once a series.
type topics struct {
	template uplink.TopicTemplate
	constant string // if it is
	device   string // that the names are of
	names    map[*aggregate.Series]string
	scratch  []byte
}

// maxNames bounds the memory of topics; a vehicle has some thousand series.
const maxNames = 1 << 14

func newTopics(template uplink.TopicTemplate) topics {
	t := topics{template: template}
	if template.Constant() {
		t.constant = template.Literals()
	}
	return t
}

// of is the topic of a record; "" if Kafka can have none of that name.
func (t *topics) of(r *uplink.Record) string {
	if t.constant != "" {
		return t.constant
	}
	if t.names == nil || r.Device != t.device || len(t.names) >= maxNames {
		t.device, t.names = r.Device, make(map[*aggregate.Series]string)
	}
	name, ok := t.names[r.Series]
	if !ok {
		t.scratch = t.template.Append(t.scratch[:0], r, appendTopicPart)
		if name = string(t.scratch); !validTopic(name) {
			name = ""
		}
		t.names[r.Series] = name
	}
	return name
}
