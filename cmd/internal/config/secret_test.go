package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

func TestSecretIsNeverPrinted(t *testing.T) {
	const text = "hunter2"
	type holder struct {
		Open   Secret
		closed Secret
		Sink   *Sink
	}
	secret := NewSecret(text)
	for _, v := range []any{
		secret, &secret, []Secret{secret}, map[string]Secret{"a": secret}, holder{Open: secret, closed: secret, Sink: &Sink{Password: secret}},
		Sink{Password: secret}, &Config{Sinks: []Sink{{Password: secret}}}, fmt.Errorf("wrapped: %v", secret), struct{ Any any }{secret},
	} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "% x", "%10.3s", "%p", "%w"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("m", "value", v, slog.Group("g", "value", v))
		}
		j, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(j)
		if y, err := yaml.Marshal(v); err == nil {
			out.Write(y)
		}
		for _, leak := range []string{text, fmt.Sprintf("%x", text), fmt.Sprintf("%X", text), fmt.Sprintf("% x", text), text[:3]} {
			if strings.Contains(out.String(), leak) {
				t.Errorf("%T: %q is in the output:\n%s", v, leak, out.String())
			}
		}
	}
}

func TestSecret(t *testing.T) {
	a, b, none := NewSecret("x"), NewSecret("x"), NewSecret("")
	if !a.Equal(b) || a.Equal(none) || !none.Equal(Secret{}) || a.IsZero() || !none.IsZero() || a.Reveal() != "x" || none.Reveal() != "" {
		t.Error("Equal, IsZero or Reveal is wrong")
	}
	if got, want := fmt.Sprintf("%v|%s|%q|%#v|%v", a, a, a, a, none), `[secret]|[secret]|"[secret]"|config.Secret("[secret]")|`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// No error shows what was meant to be a password.
func TestErrorsShowNoSecret(t *testing.T) {
	for _, password := range []string{"[hunter2]", "{a: hunter2}", "!x hunter2", "${HIDDEN}", "\"${HIDDEN}${UNSET}\"", "*hunter2x"} {
		_, err := Parse("m.yaml", []byte("sinks: [{name: a, type: file, path: x}]\nlog: 1\nx:\n- password: "+password), environment(map[string]string{"HIDDEN": "hunter2"}))
		if err == nil {
			t.Errorf("%s: no error", password)
		}
		_, err = Parse("m.yaml", []byte("log: 1\nsinks:\n- name: a\n  type: mqtt\n  url: mqtt://h\n  password: "+password), environment(map[string]string{"HIDDEN": "hunter2"}))
		if err == nil || strings.Contains(err.Error(), "hunter2") && password != "*hunter2x" {
			t.Errorf("%s: %v", password, err)
		}
	}
}
