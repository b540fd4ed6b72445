package rules

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write docs/linked-modules.txt anew")

// notOnGateways must not be linked into cmd/milepost.
var notOnGateways = []struct{ path, why string }{
	{"testing", "it belongs to tests, and brings their flags"},
	{module + "/can/cantest", "simulated vehicles are for tests and the lab"},
	{module + "/uplink/uplinktest", "pretended sinks are for tests and the lab"},
	{module + "/firmware", "builder code never reaches a gateway"},
	{module + "/cmd/internal/bench", "a gateway measures nothing but its vehicle"},
	{"github.com/mochi-mqtt/server", "a broker of 1 MB is for tests and the lab"},
	{"github.com/twmb/franz-go/pkg/kfake", "a broker of 2.8 MB is for tests and the lab"},
	{"github.com/google/go-cmp", "for tests only"},
	{"pgregory.net/rapid", "for tests only; MPL-2.0"},
	{"google.golang.org/protobuf/proto", "protobuf's reflection is 1.5 MB; protowire is enough"},
}

const linkedModules = "docs/linked-modules.txt"

// TestLinked: what the gateway's binary is made of is written down, so that
// nothing comes in unseen.
func TestLinked(t *testing.T) {
	t.Parallel()
	var linked []string
	for _, target := range targets {
		for _, p := range goList(t, target, "-deps", "./cmd/milepost") {
			for _, no := range notOnGateways {
				if p.ImportPath == no.path || strings.HasPrefix(p.ImportPath, no.path+"/") {
					t.Errorf("%s: cmd/milepost links %s: %s", target, p.ImportPath, no.why)
				}
			}
			if p.Module != nil && p.Module.Path != module {
				linked = append(linked, fmt.Sprintf("%s %s", p.Module.Path, p.Module.Version))
			}
		}
	}
	slices.Sort(linked)
	got := "# Modules linked into cmd/milepost, all targets together. docs/dependencies.md says what for.\n" +
		"# Written by `go test ./cmd/internal/rules -run TestLinked -update`.\n" +
		strings.Join(slices.Compact(linked), "\n") + "\n"
	path := filepath.Join(root(t), linkedModules)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("the gateway links other modules than %s says (-file +binary); if that is meant, run with -update and explain it in docs/dependencies.md:\n%s", linkedModules, diff)
	}
}

// TestDependenciesAreExplained: docs/dependencies.md has a word for every module
// in go.mod, in the version that go.mod has.
func TestDependenciesAreExplained(t *testing.T) {
	t.Parallel()
	text := read(t, "docs/dependencies.md")
	for line := range strings.Lines(read(t, "go.mod")) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) < 2 || !strings.HasPrefix(fields[1], "v") || !strings.Contains(fields[0], ".") {
			continue
		}
		found := false
		for row := range strings.Lines(text) {
			found = found || strings.Contains(row, "`"+fields[0]+"`") && strings.Contains(row, fields[1])
		}
		if !found {
			t.Errorf("docs/dependencies.md has no row for `%s` with %s, which go.mod requires", fields[0], fields[1])
		}
	}
}
