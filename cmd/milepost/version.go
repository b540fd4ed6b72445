package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"runtime"
	"runtime/debug"
)

// version overrides the version that the Go tool embeds, for builds outside of
// version control: go build -ldflags "-X main.version=v1.2.3".
var version string

var versionCommand = &command{
	name:    "version",
	summary: "say which version this is and how it was built",
	usage:   "[--json]",
	example: `milepost version --json`,
	run:     runVersion,
}

// buildFacts is what version --json prints.
type buildFacts struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	// Variant is that of the architecture, such as 6 for GOARM=6.
	Variant string `json:"variant,omitempty"`
	// Revision and Time are those of the commit; Modified says that there were
	// changes that it does not have.
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
}

func runVersion(_ context.Context, inv *invocation, c *command, args []string) error {
	var asJSON bool
	rest, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.BoolVar(&asJSON, "json", false, "print a JSON object")
	})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("unexpected %q", rest[0])
	}
	facts := thisBuild()
	if asJSON {
		return json.NewEncoder(inv.stdout).Encode(facts)
	}
	_, err = fmt.Fprintln(inv.stdout, facts)
	return err
}

// thisBuild are the facts of the running program.
func thisBuild() buildFacts {
	info, _ := debug.ReadBuildInfo()
	return factsOf(info, version)
}

// factsOf collects what a binary knows of its build. info is nil for one that
// was built without modules; override, if not empty, is the version.
func factsOf(info *debug.BuildInfo, override string) buildFacts {
	facts := buildFacts{Version: override, Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH}
	if info != nil {
		if facts.Version == "" {
			facts.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			switch s.Key {
			case "GOARM", "GOAMD64", "GOARM64", "GO386", "GOMIPS", "GOMIPS64", "GOPPC64", "GORISCV64":
				facts.Variant = s.Value
			case "vcs.revision":
				facts.Revision = s.Value
			case "vcs.time":
				facts.Time = s.Value
			case "vcs.modified":
				facts.Modified = s.Value == "true"
			}
		}
	}
	if facts.Version == "" {
		facts.Version = "(devel)"
	}
	return facts
}

// String gives a line such as
//
//	milepost v1.2.3 (go1.26.0, linux/arm 6, revision 0123456789ab of 2026-11-02T10:00:00Z)
func (f buildFacts) String() string {
	platform := f.OS + "/" + f.Arch
	if f.Variant != "" {
		platform += " " + f.Variant
	}
	text := fmt.Sprintf("milepost %s (%s, %s", f.Version, f.Go, platform)
	if f.Revision != "" {
		text += ", revision " + f.Revision[:min(len(f.Revision), 12)]
		if f.Time != "" {
			text += " of " + f.Time
		}
		if f.Modified {
			text += " and later changes"
		}
	}
	return text + ")"
}
