package mqtt

import (
	"fmt"
	"strings"

	"milepost/uplink"
)

// topic is a template for topics to publish to.
type topic struct{ uplink.TopicTemplate }

func parseTopic(template string) (topic, error) {
	t, err := uplink.ParseTopic(template)
	switch {
	case err != nil:
		return topic{}, fmt.Errorf("mqtt: %w", err)
	case strings.ContainsAny(t.Literals(), "+#\x00"):
		return topic{}, fmt.Errorf("mqtt: topic %q: +, # and NUL cannot be in a topic to publish to", template)
	case template == "" || strings.HasPrefix(template, "$"):
		return topic{}, fmt.Errorf("mqtt: topic %q: it must not be empty, and those with $ are the broker's own", template)
	}
	return topic{t}, nil
}

// append writes the topic of a record.
func (t *topic) append(dst []byte, r *uplink.Record) []byte { return t.Append(dst, r, appendLevel) }

// filter is what matches the topics of a device's records.
func (t *topic) filter(device string) string {
	all := t.Fill(nil, func(dst []byte, name string) []byte {
		if name == "device" {
			return appendLevel(dst, device)
		}
		return append(dst, '+')
	})
	levels := strings.Split(string(all), "/")
	for i, level := range levels {
		if strings.Contains(level, "+") { // which stands for a whole level
			levels[i] = "+"
		}
	}
	return strings.Join(levels, "/")
}

// appendLevel writes a value as one level of a topic: what has a meaning there
// becomes an underscore, and so does nothing at all.
func appendLevel(dst []byte, value string) []byte {
	if value == "" {
		return append(dst, '_')
	}
	for _, r := range strings.ToValidUTF8(value, "_") {
		if r == '/' || r == '+' || r == '#' || r < ' ' || 0x7f <= r && r < 0xa0 {
			r = '_'
		}
		dst = append(dst, string(r)...)
	}
	return dst
}
