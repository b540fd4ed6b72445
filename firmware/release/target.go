// Package release builds milepost for all machines and says what is in the
// binaries: checksums, the software bill of materials and the licences of what
// is linked.
package release

import (
	"debug/buildinfo"
	"fmt"
	"slices"
	"time"
)

// Target is a kind of machine, as the Go tool names them.
type Target struct {
	Name   string // of folders and files: linux-armv6
	GOOS   string
	GOARCH string
	// Variant is the value of the architecture's own variable, such as GOARM; empty
	// where there is none or it does not matter.
	Variant string
	// Debian and RPM are their names for the architecture; empty for no package.
	Debian, RPM string
	// OpenWrt are the names of the architectures of OpenWrt that it is for.
	OpenWrt []string
	// Gateway says that its size is recorded, and that `package` has it.
	Gateway bool
}

// Targets are all that a release has. The first ones are what gateways have;
// nobody drives with the last ones, but analysts sit at them.
var Targets = []Target{
	{Name: "linux-amd64", GOOS: "linux", GOARCH: "amd64", Variant: "v1", Debian: "amd64", RPM: "x86_64", OpenWrt: []string{"x86_64"}, Gateway: true},
	{Name: "linux-arm64", GOOS: "linux", GOARCH: "arm64", Variant: "v8.0", Debian: "arm64", RPM: "aarch64", OpenWrt: []string{"aarch64_generic", "aarch64_cortex-a53", "aarch64_cortex-a72"}, Gateway: true},
	{Name: "linux-armv6", GOOS: "linux", GOARCH: "arm", Variant: "6", OpenWrt: []string{"arm_arm1176jzf-s_vfp"}, Gateway: true},
	{Name: "linux-armv7", GOOS: "linux", GOARCH: "arm", Variant: "7", Debian: "armhf", RPM: "armv7hl", OpenWrt: []string{"arm_cortex-a7_neon-vfpv4", "arm_cortex-a9_vfpv3-d16"}, Gateway: true},
	{Name: "linux-386", GOOS: "linux", GOARCH: "386", Variant: "sse2", Debian: "i386", RPM: "i686", OpenWrt: []string{"i386_pentium4"}, Gateway: true},
	{Name: "linux-riscv64", GOOS: "linux", GOARCH: "riscv64", Variant: "rva20u64", Debian: "riscv64", RPM: "riscv64", OpenWrt: []string{"riscv64_riscv64"}, Gateway: true},
	{Name: "linux-mipsle", GOOS: "linux", GOARCH: "mipsle", Variant: "softfloat", OpenWrt: []string{"mipsel_24kc"}, Gateway: true},
	{Name: "windows-amd64", GOOS: "windows", GOARCH: "amd64", Variant: "v1"},
	{Name: "windows-arm64", GOOS: "windows", GOARCH: "arm64", Variant: "v8.0"},
	{Name: "darwin-amd64", GOOS: "darwin", GOARCH: "amd64", Variant: "v1"},
	{Name: "darwin-arm64", GOOS: "darwin", GOARCH: "arm64", Variant: "v8.0"},
}

// variants are the variables of architectures, by GOARCH.
var variants = map[string]string{
	"amd64": "GOAMD64", "arm64": "GOARM64", "arm": "GOARM", "386": "GO386", "riscv64": "GORISCV64", "mipsle": "GOMIPS",
}

// FindTarget finds a target by its name.
func FindTarget(name string) (Target, error) {
	i := slices.IndexFunc(Targets, func(t Target) bool { return t.Name == name })
	if i < 0 {
		var names []string
		for _, t := range Targets {
			names = append(names, t.Name)
		}
		return Target{}, fmt.Errorf("there is no target %q; there are %q", name, names)
	}
	return Targets[i], nil
}

// Environment are the variables with which the Go tool builds for the target and
// nothing else decides: neither the machine's defaults nor a user's.
func (t Target) Environment() []string {
	return []string{
		"GOOS=" + t.GOOS, "GOARCH=" + t.GOARCH, variants[t.GOARCH] + "=" + t.Variant,
		"CGO_ENABLED=0", "GOFLAGS=", "GOEXPERIMENT=", "GOWORK=off",
	}
}

// Program is the name of the binary.
func (t Target) Program() string {
	if t.GOOS == "windows" {
		return "milepost.exe"
	}
	return "milepost"
}

// Binary is what a binary says of itself.
type Binary struct {
	Path    string
	Target  Target
	Version string // v1.2.3, or a pseudo-version
	// Revision is the commit, Time its time; both are empty for a build outside of
	// version control.
	Revision string
	Time     time.Time
	Info     *buildinfo.BuildInfo
}

// Inspect reads what a binary says of itself.
func Inspect(path string) (*Binary, error) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b := &Binary{Path: path, Info: info, Version: info.Main.Version}
	settings := make(map[string]string)
	for _, s := range info.Settings {
		settings[s.Key] = s.Value
	}
	b.Revision = settings["vcs.revision"]
	if text := settings["vcs.time"]; text != "" {
		if b.Time, err = time.Parse(time.RFC3339, text); err != nil {
			return nil, fmt.Errorf("%s: time of the commit: %w", path, err)
		}
	}
	i := slices.IndexFunc(Targets, func(t Target) bool {
		return t.GOOS == settings["GOOS"] && t.GOARCH == settings["GOARCH"] && t.Variant == settings[variants[t.GOARCH]]
	})
	if i < 0 {
		return nil, fmt.Errorf("%s is built for %s/%s %s, which is none of the targets", path, settings["GOOS"], settings["GOARCH"], settings[variants[settings["GOARCH"]]])
	}
	b.Target = Targets[i]
	if settings["CGO_ENABLED"] != "0" {
		return nil, fmt.Errorf("%s is not static: it was built with CGO_ENABLED=%s", path, settings["CGO_ENABLED"])
	}
	return b, nil
}
