// Package rules holds the rules of the house as tests: who may import whom, what
// the gateway's binary links, what lies where, and that the README's commands
// print what it says. A failure names the reason of its rule. There is nothing
// here but tests.
package rules

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "milepost"

// importRules say what of ours the packages of a tree may import; the first rule
// that fits a package counts. Paths are below the module; "x/..." is x and all
// below it. Tests are free: fakes and peers are what they are for.
var importRules = []struct {
	packages string
	may      []string
	why      string
}{
	{"can", nil, "frames are what everything hangs on: they know nothing of ours"},
	{"can/...", []string{"can"}, "formats, live buses and dbc import can and not one another, so that each can be read, tested and replaced alone"},
	{"sensors/...", []string{"sensors/..."}, "sensors are a source like can: what a reading becomes is configuration, and lives in cmd"},
	{"aggregate/...", []string{"aggregate/..."}, "summaries are computed from numbers, wherever those come from: data flows one way, and imports point upstream only"},
	{"boards/...", []string{"boards/..."}, "a board is data"},
	{"uplink/spool", nil, "the spool stores opaque bytes: a record's format can change without touching what survives power cuts"},
	{"uplink/uplinktest/...", []string{"uplink/...", "aggregate/..."}, "peers and fakes of tests build on one another; no sink imports one"},
	{"uplink/...", []string{"uplink", "uplink/spool", "aggregate/..."}, "what is sent are summaries, whatever they were made of; a sink knows no other sink"},
	{"firmware/...", []string{"boards/...", "firmware/..."}, "firmware is a library of the builder"},
	{"cmd/milepost-firmware", []string{"..."}, "only cmd assembles"},
	{"cmd/milepost-lab/...", []string{"..."}, "only cmd assembles"},
	{"cmd/...", []string{"can/...", "sensors/...", "aggregate/...", "uplink/...", "boards/...", "cmd/internal/..."}, "builder code never reaches a gateway"},
}

// libraryRules say which packages may import a module, its subpackages included;
// the first rule that fits an import counts.
var libraryRules = []struct {
	library string
	may     []string
	why     string
}{
	{"github.com/twmb/franz-go/pkg/kfake", []string{"uplink/uplinktest/kafkabroker"}, "a pretended broker is for tests and the lab, behind one door"},
	{"github.com/twmb/franz-go", []string{"uplink/kafka", "uplink/uplinktest/kafkabroker", "uplink/uplinktest/kafkaserver"}, "client libraries appear only in the package named after their technology"},
	{"github.com/eclipse/paho.mqtt.golang", []string{"uplink/mqtt"}, "client libraries appear only in the package named after their technology"},
	{"github.com/gorilla/websocket", []string{"uplink/mqtt"}, "WebSockets below MQTT, which paho cannot open over a connection of ours"},
	{"github.com/mochi-mqtt/server/v2", []string{"uplink/uplinktest/mqttbroker", "cmd/milepost-lab"}, "a broker is for tests and the lab, never in the gateway"},
	{"github.com/tidwall/wal", []string{"uplink/spool"}, "what tidwall/wal lacks is made good in one place"},
	{"go.yaml.in/yaml", []string{"cmd/internal/config", "boards"}, "configuration is read in one place, and boards are another"},
	{"google.golang.org/protobuf/encoding/protowire", []string{"uplink"}, "the encodings are in uplink; only the varints are taken from protobuf, not its reflection (1.5 MB)"},
	{"github.com/klauspost/compress", []string{"can/canlog", "uplink/spool", "uplink/http", "uplink/uplinktest/httpserver"}, "compression belongs to who reads or writes the format"},
	{"golang.org/x/term", []string{"cmd/..."}, "terminals are the commands' business"},
	{"golang.org/x/sys", []string{"can/socketcan", "sensors/...", "uplink/spool", "uplink/kafka", "uplink/uplinktest/volatiledisk", "cmd/..."}, "system calls stay where the system is the peer"},
	{"go.einride.tech/can", []string{"can/cantest", "can/socketcan", "cmd/internal/bench"}, "its frames hold 8 bytes only: it is a peer to compare with, and is used where it is sound"},
	{"github.com/mdlayher/netlink", []string{"can/socketcan"}, "rtnetlink belongs to the interfaces of buses"},
	{"github.com/warthog618/go-gpiocdev", []string{"sensors/gpio", "cmd/milepost-lab/..."}, "lines belong to the driver of GPIO sensors, and to virtual boards"},
	{"periph.io/", []string{"sensors/..."}, "client libraries appear only in the package named after their technology"},
	{"github.com/warthog618/go-gpiocdev", []string{"sensors/gpio", "cmd/milepost-lab/board/guest"}, "client libraries appear only in the package named after their technology"},
	{"github.com/google/go-cmp", nil, "for tests only"},
	{"pgregory.net/rapid", nil, "for tests only"},
}

// standardRules are about the standard library: where it is not to be imported, and
// where it is all the same.
var standardRules = []struct {
	library  string
	packages string
	but      []string
	why      string
}{
	{"log/slog", "can/...", []string{"can/socketcan"}, "pure packages never log: they return errors and count; a live bus waits by itself for what nobody else sees"},
	{"log/slog", "aggregate/...", nil, "pure packages never log: they return errors and count"},
	{"log", "...", nil, "what logs is given a *slog.Logger"},
	{"unsafe", "...", []string{"can/socketcan"}, "nothing here has been slow enough for it; recvmmsg(2) cannot be had without, and saves a system call a frame"},
	{"C", "...", nil, "the binary is static and cross-compiled with Go alone"},
}

// goPackage is what `go list -json` says of a package.
type goPackage struct {
	ImportPath string
	Standard   bool
	Module     *struct{ Path, Version string }
	Imports    []string
}

// goList runs go list, for a target such as linux/arm.
func goList(t *testing.T, target string, args ...string) (packages []goPackage) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command to ask")
	}
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Standard,Module,Imports"}, args...)...)
	cmd.Dir = root(t)
	system, machine, _ := strings.Cut(target, "/")
	cmd.Env = append(cmd.Environ(), "GOOS="+system, "GOARCH="+machine, "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
	out, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v: %s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p goPackage
		if err := decoder.Decode(&p); err == io.EOF {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// fits says whether a path is in a tree such as "can" or "can/...".
func fits(tree, path string) bool {
	base, all := strings.CutSuffix(tree, "...")
	if !all {
		return path == tree
	}
	return strings.HasPrefix(path+"/", base)
}

func fitsAny(trees []string, path string) bool {
	return slices.ContainsFunc(trees, func(tree string) bool { return fits(tree, path) })
}

// ours is a path below the module, and whether it is there.
func ours(path string) (string, bool) { return strings.CutPrefix(path, module+"/") }

// targets have different files, and so perhaps different imports.
var targets = []string{"linux/amd64", "linux/arm", "linux/arm64", "linux/386", "windows/amd64", "darwin/arm64"}

func TestImports(t *testing.T) {
	t.Parallel()
	said := make(map[string]bool)
	wrong := func(from, to, why string) {
		if line := from + " imports " + to + ": " + why; !said[line] {
			said[line] = true
			t.Error(line)
		}
	}
	for _, target := range []string{"linux/amd64", "windows/amd64"} {
		for _, p := range goList(t, target, "./...") {
			name, _ := ours(p.ImportPath)
			for _, imported := range p.Imports {
				for _, rule := range standardRules {
					if imported == rule.library && fits(rule.packages, name) && !fitsAny(rule.but, name) {
						wrong(name, imported, rule.why)
					}
				}
				if path, our := ours(imported); our {
					checkOurs(name, path, wrong)
				} else if strings.Contains(strings.SplitN(imported, "/", 2)[0], ".") {
					checkLibrary(name, imported, wrong)
				}
			}
		}
	}
}

func checkOurs(from, to string, wrong func(from, to, why string)) {
	for _, rule := range importRules {
		if fits(rule.packages, from) {
			if !fitsAny(rule.may, to) {
				wrong(from, to, rule.why)
			}
			return
		}
	}
	wrong(from, to, "there is no rule for "+from+" yet: say in importRules what it may import, and why")
}

func checkLibrary(from, to string, wrong func(from, to, why string)) {
	for _, rule := range libraryRules {
		if strings.HasPrefix(to+"/", strings.TrimSuffix(rule.library, "/")+"/") {
			if !fitsAny(rule.may, from) {
				wrong(from, to, rule.why)
			}
			return
		}
	}
	wrong(from, to, "there is no rule for this library yet: say in libraryRules where it belongs, and in docs/dependencies.md why it is needed")
}
