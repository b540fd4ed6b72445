package config

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that is never printed: fmt, log/slog, encoding/json and YAML
// show only whether there is one.
type Secret struct {
	// A pointer, because fmt calls no methods on unexported fields of others'
	// structs: there it prints an address, not the text.
	text *string
}

// NewSecret makes text a Secret; an empty text is no secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal reports whether the texts are equal.
func (s Secret) Equal(o Secret) bool { return s.Reveal() == o.Reveal() }

// String is "[secret]", or empty if there is none.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return "[secret]"
}

// GoString is String for %#v.
func (s Secret) GoString() string { return fmt.Sprintf("config.Secret(%q)", s.String()) }

// Format prints the same for every verb and flag but %#v and %q, and the text
// for none.
func (s Secret) Format(f fmt.State, verb rune) {
	switch {
	case verb == 'v' && f.Flag('#'):
		io.WriteString(f, s.GoString())
	case verb == 'q':
		fmt.Fprintf(f, "%q", s.String())
	default:
		io.WriteString(f, s.String())
	}
}

// MarshalText gives String.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON gives String.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// LogValue gives String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }
