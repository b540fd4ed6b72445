package config

import (
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"milepost/uplink/spool"
)

// scalar is a value of one word or line.
type scalar[T any] struct {
	target *T
	wants  string
	// tags are the YAML types that can be the value.
	tags []string
	// parse reads the text; errForm says that it is not what is wanted.
	parse func(d *decoder, text string) (T, error)
	print func(T) string
	// json is the JSON Schema of the value without references.
	json map[string]any
	// hidden values are not shown in errors.
	hidden bool
}

var errForm = errors.New("not what is wanted")

var (
	textTags   = []string{"!!str"}
	numberTags = []string{"!!int"}
	boolTags   = []string{"!!bool"}
	// wordTags are what an unquoted text is mistaken for.
	wordTags = []string{"!!int", "!!float", "!!bool", "!!timestamp"}
	// Numbers without their units are read, to say what they lack.
	unitTags = []string{"!!str", "!!int", "!!float"}
)

func (s scalar[T]) decode(d *decoder, key string, n *yaml.Node) {
	text, expanded, ok := d.scalarText(key, s.wants, n)
	if !ok {
		return
	}
	if !expanded && !slices.Contains(s.tags, n.Tag) {
		hint := ""
		if slices.Contains(s.tags, "!!str") && slices.Contains(wordTags, n.Tag) {
			hint = "; in quotes it is a text"
		}
		d.problem(n, "%s: want %s, not %s%s", key, s.wants, describe(n), hint)
		return
	}
	value, err := s.parse(d, text)
	switch {
	case err == nil:
		*s.target = value
	case err != errForm:
		d.problem(n, "%s: %v", key, err)
	case s.hidden:
		d.problem(n, "%s: want %s", key, s.wants)
	default:
		d.problem(n, "%s: want %s, not %s", key, s.wants, quoted(n.Value))
	}
}

func (s scalar[T]) want() string { return s.wants }
func (s scalar[T]) text() string { return s.print(*s.target) }

// schema allows a reference to the environment wherever there may be one.
func (s scalar[T]) schema() map[string]any {
	if len(s.json) == 1 && s.json["type"] == "string" {
		return s.json
	}
	return map[string]any{"anyOf": []any{s.json, map[string]any{"type": "string", "pattern": `\$\{`}}}
}

// textual is a text that is good, which the pattern says to editors.
func textual(target *string, wants, pattern string, good func(string) bool) scalar[string] {
	return scalar[string]{
		target: target, wants: wants, tags: textTags, print: quoteYAML,
		parse: func(_ *decoder, text string) (string, error) {
			if !good(text) {
				return "", errForm
			}
			return text, nil
		},
		json: map[string]any{"type": "string", "pattern": pattern},
	}
}

const (
	maxName        = 64
	nameCharacters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"
)

// name is a text that is fit for keys, file names and topics.
func name(target *string) scalar[string] {
	wants := fmt.Sprintf("a name of at most %d letters, digits, '.', '_' and '-'", maxName)
	return textual(target, wants, fmt.Sprintf(`^[A-Za-z0-9._-]{1,%d}$`, maxName), func(text string) bool {
		return text != "" && len(text) <= maxName && strings.Trim(text, nameCharacters) == ""
	})
}

// text is any text of one line but the empty one.
func text(target *string) scalar[string] {
	return textual(target, "a text", `^[^\x00-\x1f]+$`, func(text string) bool {
		return text != "" && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' })
	})
}

// path is a path that is relative to the folder of the file.
func path(target *string) scalar[string] {
	s := text(target)
	s.wants = "a path"
	check := s.parse
	s.parse = func(d *decoder, text string) (string, error) {
		if _, err := check(d, text); err != nil {
			return "", err
		}
		return relative(d.folder, text), nil
	}
	return s
}

// secret is a text that is not shown.
func secret(target *Secret) scalar[Secret] {
	return scalar[Secret]{
		target: target, wants: "a text", tags: textTags, print: Secret.String, hidden: true,
		parse: func(_ *decoder, text string) (Secret, error) { return NewSecret(text), nil },
		json:  map[string]any{"type": "string"},
	}
}

func boolean(target *bool) scalar[bool] {
	return scalar[bool]{
		target: target, wants: "true or false", tags: boolTags, print: strconv.FormatBool,
		parse: func(_ *decoder, text string) (bool, error) {
			switch strings.ToLower(text) {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
			return false, errForm
		},
		json: map[string]any{"type": "boolean"},
	}
}

func integer(target *int, least, most int) scalar[int] {
	return scalar[int]{
		target: target, wants: fmt.Sprintf("a whole number from %d to %d", least, most), tags: numberTags, print: strconv.Itoa,
		parse: func(_ *decoder, text string) (int, error) {
			n, err := strconv.Atoi(text)
			if err != nil || n < least || n > most {
				return 0, errForm
			}
			return n, nil
		},
		json: map[string]any{"type": "integer", "minimum": least, "maximum": most},
	}
}

// fraction is a number between least and most.
func fraction(target *float64, least, most float64) scalar[float64] {
	return scalar[float64]{
		target: target, wants: fmt.Sprintf("a number from %v to %v", least, most), tags: []string{"!!int", "!!float"},
		print: func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) },
		parse: func(_ *decoder, text string) (float64, error) {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || !(v >= least && v <= most) {
				return 0, errForm
			}
			return v, nil
		},
		json: map[string]any{"type": "number", "minimum": least, "maximum": most},
	}
}

const durationPattern = `([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+`

// duration is a duration from least to most.
func duration(target *time.Duration, least, most time.Duration) scalar[time.Duration] {
	wants := fmt.Sprintf("a duration from %s to %s", printDuration(least), printDuration(most))
	if most == math.MaxInt64 {
		wants = fmt.Sprintf("a duration of at least %s", printDuration(least))
	}
	return scalar[time.Duration]{
		target: target, wants: wants + ", such as 500ms or 1m30s", tags: unitTags, print: printDuration,
		parse: func(_ *decoder, text string) (time.Duration, error) {
			v, err := time.ParseDuration(text)
			if err != nil || v < least || v > most {
				return 0, errForm
			}
			return v, nil
		},
		json: map[string]any{"type": []string{"string", "integer"}, "pattern": "^(0|" + durationPattern + ")$", "maximum": 0},
	}
}

// printDuration leaves out the zeros that time.Duration writes.
func printDuration(v time.Duration) string {
	text := v.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// syncInterval is the spool's: a duration or a word.
func syncInterval(target *time.Duration) scalar[time.Duration] {
	const least, most = time.Millisecond, time.Hour
	s := duration(target, least, most)
	s.wants = fmt.Sprintf("always, never or a duration from %s to %s", printDuration(least), printDuration(most))
	s.json = map[string]any{"type": "string", "pattern": "^(always|never|" + durationPattern + ")$"}
	parse := s.parse
	s.parse = func(d *decoder, text string) (time.Duration, error) {
		switch text {
		case "always":
			return spool.SyncAlways, nil
		case "never":
			return spool.SyncNever, nil
		}
		return parse(d, text)
	}
	s.print = func(v time.Duration) string {
		switch v {
		case spool.SyncAlways:
			return "always"
		case spool.SyncNever:
			return "never"
		}
		return printDuration(v)
	}
	return s
}

// size is a number of bytes from least to most.
func size(target *Size, least, most Size) scalar[Size] {
	return scalar[Size]{
		target: target, wants: fmt.Sprintf("a size from %v to %v, such as 64KiB or 10MB", least, most), tags: unitTags, print: Size.String,
		parse: func(_ *decoder, text string) (Size, error) {
			v, err := ParseSize(text)
			if err != nil || v < least || v > most {
				return 0, errForm
			}
			return v, nil
		},
		json: map[string]any{"type": "string", "pattern": `^[0-9]+ ?([KMG]i?)?B$`},
	}
}

// enum is one of the values, named as they print, in lower case.
func enum[T comparable](target *T, values ...T) scalar[T] {
	nameOf := func(v T) string { return strings.ToLower(fmt.Sprint(v)) }
	var names []string
	for _, v := range values {
		names = append(names, nameOf(v))
	}
	return scalar[T]{
		target: target, wants: alternatives(names), tags: textTags, print: nameOf,
		parse: func(_ *decoder, text string) (v T, err error) {
			if i := slices.Index(names, text); i >= 0 {
				return values[i], nil
			}
			return v, errForm
		},
		json: map[string]any{"enum": names},
	}
}

func sinkURL(target *URL) scalar[URL] {
	return scalar[URL]{
		target: target, wants: urlForm, tags: textTags, print: URL.String,
		parse: func(_ *decoder, text string) (URL, error) { return parseURL(text) },
		json:  map[string]any{"type": "string", "pattern": "^(mqtts?|wss?|kafka|https?)://"},
	}
}

// header is a line of an HTTP header.
func header(target *string) scalar[string] {
	return textual(target, "a header such as \"X-Fleet: north\"", `^[A-Za-z0-9-]+: .+$`, func(text string) bool {
		name, value, found := strings.Cut(text, ": ")
		return found && name != "" && strings.Trim(name, nameCharacters) == "" && value != "" &&
			!strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f })
	})
}

// timeZone is the name of a time zone.
func timeZone(target *string) scalar[string] {
	return textual(target, "UTC, Local or a time zone such as Europe/Berlin", `^[A-Za-z0-9_+/-]+$`, func(text string) bool {
		_, err := time.LoadLocation(text)
		return err == nil && text != ""
	})
}

// listenAddress is host:port, where the host may be empty, or nothing.
func listenAddress(target *string) scalar[string] {
	return scalar[string]{
		target: target, wants: "host:port, such as 127.0.0.1:9464, or \"\"", tags: textTags, print: quoteYAML,
		parse: func(_ *decoder, text string) (string, error) {
			if text == "" {
				return "", nil
			}
			host, port, err := net.SplitHostPort(text)
			if _, bad := strconv.ParseUint(port, 10, 16); err != nil || bad != nil || strings.ContainsAny(host, " /@") {
				return "", errForm
			}
			return text, nil
		},
		json: map[string]any{"type": "string", "pattern": "^$|:[0-9]+$"},
	}
}

var plainYAML = regexp.MustCompile(`^[A-Za-z_/.$][A-Za-z0-9_/.:{}$-]*$`)

// quoteYAML writes a text so that YAML reads the same text; nothing for the
// empty one.
func quoteYAML(text string) string {
	switch {
	case text == "", plainYAML.MatchString(text) && !strings.HasSuffix(text, ":") && !slices.Contains(yamlWords, strings.ToLower(text)):
		return text
	}
	return strconv.Quote(text)
}

// yamlWords are not read as texts.
var yamlWords = []string{"true", "false", "null", "yes", "no", "on", "off", ".", "..", ".inf", ".nan", "y", "n"}
