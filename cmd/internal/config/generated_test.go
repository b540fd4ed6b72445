package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the generated files below docs/")

// docs is the folder of the generated files.
const docs = "../../../docs"

func TestGeneratedFiles(t *testing.T) {
	for name, want := range map[string][]byte{
		"configuration.md":     Markdown(),
		"milepost.schema.json": JSONSchema(),
		"milepost.yaml":        DefaultFile(),
	} {
		path := filepath.Join(docs, name)
		if *update {
			if err := os.WriteFile(path, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("docs/%s is out of date; run: go test ./cmd/internal/config -update", name)
		}
	}
}

func TestDefaultFileHasTheDefaults(t *testing.T) {
	got, err := Load(filepath.Join(docs, "milepost.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Default(), got); diff != "" {
		t.Errorf("docs/milepost.yaml differs from Default (-want +got):\n%s", diff)
	}
}

// What is commented out in the default file must be valid as well: it is what
// people start from.
func TestDefaultFileUncommented(t *testing.T) {
	comment := regexp.MustCompile(`^( *)# \S|^#$`)
	commented := regexp.MustCompile(`^( *)#`)
	var lines []string
	for _, line := range strings.Split(string(DefaultFile()), "\n") {
		if !comment.MatchString(line) {
			line = commented.ReplaceAllString(line, "$1")
		}
		lines = append(lines, line)
	}
	file := strings.Join(lines, "\n")
	c, err := Parse("etc/milepost.yaml", []byte(file), environment(nil))
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	var types []SinkType
	for _, s := range c.Sinks {
		types = append(types, s.Type)
	}
	if diff := cmp.Diff([]SinkType{SinkMQTT, SinkKafka, SinkFile, SinkHTTP}, types); diff != "" {
		t.Errorf("sinks: %s", diff)
	}
	if c.Device != "gateway-1" || len(c.Dedup.Mirrors) != 1 || c.Metrics.Listen == "" {
		t.Errorf("some of the examples were not read: %+v", c)
	}
	if diff := cmp.Diff([]string{"etc/vehicle.dbc"}, c.DBC); diff != "" {
		t.Errorf("dbc: %s", diff)
	}
}

// Every key is in the default file, with all it says in the table.
func TestDefaultFileIsComplete(t *testing.T) {
	file := string(DefaultFile())
	walk(defaults(), func(path string, s section, _ bool) {
		for _, f := range s.fields() {
			if !regexp.MustCompile(`(?m)^[# ]*(- )?` + f.key + `:`).MatchString(file) {
				t.Errorf("%s.%s is not in the default file", path, f.key)
			}
			if f.doc == "" || !strings.HasSuffix(f.doc, ".") {
				t.Errorf("%s.%s: its doc %q is no sentence", path, f.key, f.doc)
			}
			if strings.Contains(f.doc+f.value.want()+f.absent, "|") {
				t.Errorf("%s.%s: a | breaks the table in docs/configuration.md", path, f.key)
			}
		}
	})
}

func TestJSONSchemaIsJSON(t *testing.T) {
	var schema struct {
		Properties map[string]any
	}
	if err := json.Unmarshal(JSONSchema(), &schema); err != nil {
		t.Fatal(err)
	}
	if len(schema.Properties) != len(defaults().fields()) {
		t.Errorf("%d properties at the top level, want %d", len(schema.Properties), len(defaults().fields()))
	}
}
