package config

import (
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// durations is a list of durations, each longer than the one before.
type durations struct {
	target      *[]time.Duration
	least, most time.Duration
}

// maxDurations is the longest such list.
const maxDurations = 9

func (l durations) decode(d *decoder, key string, n *yaml.Node) {
	*l.target = nil
	for i, n := range d.items(key, l.want(), n) {
		var v time.Duration
		problems := len(d.problems)
		l.item(&v).decode(d, key, n)
		switch last := len(*l.target); {
		case len(d.problems) > problems:
		case i == maxDurations:
			d.problem(n, "%s: there are more than %d", key, maxDurations)
		case last > 0 && v <= (*l.target)[last-1]:
			d.problem(n, "%s: %s has to be longer than the one before, %s", key, printDuration(v), printDuration((*l.target)[last-1]))
		default:
			*l.target = append(*l.target, v)
		}
	}
}

func (l durations) item(v *time.Duration) scalar[time.Duration] { return duration(v, l.least, l.most) }

func (l durations) want() string {
	return "a list, each item longer than the one before and " + l.item(new(time.Duration)).wants
}

func (l durations) text() string {
	printed := make([]string, len(*l.target))
	for i, v := range *l.target {
		printed[i] = printDuration(v)
	}
	return "[" + strings.Join(printed, ", ") + "]"
}

func (l durations) schema() map[string]any {
	return map[string]any{"type": []string{"array", "null"}, "maxItems": maxDurations, "items": l.item(new(time.Duration)).schema()}
}
