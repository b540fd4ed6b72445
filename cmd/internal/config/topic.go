package config

import (
	"fmt"
	"slices"
	"strings"
)

// topicPlaceholders are what a topic can take from a record.
var topicPlaceholders = []string{"{device}", "{bus}", "{message}", "{signal}", "{id}"}

const topicDoc = "{device}, {bus}, {message}, {signal} and {id} (the arbitration ID)"

var defaultTopics = map[SinkType]string{SinkMQTT: "milepost/{device}/records", SinkKafka: "milepost", SinkHTTP: "milepost"}

// maxKafkaTopic is the length of a topic's name that Kafka takes.
const maxKafkaTopic = 249

// topicFault says what is wrong with a template for topics; "" if nothing is, or
// if it is empty and the default will be taken. Placeholders are those that it
// may have, if not the usual ones of the type.
func topicFault(t SinkType, template string, placeholders ...string) string {
	switch {
	case placeholders != nil:
	case t == SinkHTTP:
		t, placeholders = SinkKafka, []string{"{device}"}
	default:
		placeholders = topicPlaceholders
	}
	rest := template
	for rest != "" {
		literal, after, found := strings.Cut(rest, "{")
		forbidden := "+#}"
		if t == SinkKafka {
			forbidden = ""
			if strings.Trim(literal, nameCharacters) != "" {
				return "a Kafka topic has only letters, digits, '.', '_' and '-'"
			}
		}
		if i := strings.IndexAny(literal, forbidden); i >= 0 {
			return fmt.Sprintf("there can be no %q in the topic of a message", literal[i])
		}
		if !found {
			break
		}
		name, next, _ := strings.Cut(after, "}")
		if !slices.Contains(placeholders, "{"+name+"}") {
			return fmt.Sprintf("unknown placeholder {%s; use %s", name, alternatives(placeholders))
		}
		rest = next
	}
	switch {
	case t == SinkKafka && len(template) > maxKafkaTopic:
		return fmt.Sprintf("a Kafka topic has at most %d characters", maxKafkaTopic)
	case t == SinkMQTT && strings.HasPrefix(template, "$"):
		return "topics with $ are the broker's own"
	}
	return ""
}
