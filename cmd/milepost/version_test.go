package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestVersion(t *testing.T) {
	got := milepost(nil, "version")
	if got.code != exitDone || !strings.HasPrefix(got.stdout, "milepost ") || !strings.Contains(got.stdout, runtime.GOOS+"/"+runtime.GOARCH) {
		t.Errorf("exit code %d, printed %q", got.code, got.stdout)
	}
	got = milepost(nil, "version", "--json")
	var facts buildFacts
	if err := json.Unmarshal([]byte(got.stdout), &facts); err != nil || facts.Version == "" || facts.Go != runtime.Version() {
		t.Errorf("printed %q: %v", got.stdout, err)
	}
	if got := milepost(nil, "version", "1.2"); got.code != exitUsage {
		t.Errorf("with an argument: exit code %d", got.code)
	}
}

func TestBuildFacts(t *testing.T) {
	info := &debug.BuildInfo{Settings: []debug.BuildSetting{
		{Key: "GOARM", Value: "6"},
		{Key: "vcs.revision", Value: "0123456789abcdef0123"},
		{Key: "vcs.time", Value: "2026-11-02T10:00:00Z"},
		{Key: "vcs.modified", Value: "true"},
	}}
	info.Main.Version = "v1.2.3"
	got := factsOf(info, "")
	want := buildFacts{
		Version: "v1.2.3", Go: runtime.Version(), OS: runtime.GOOS, Arch: runtime.GOARCH, Variant: "6",
		Revision: "0123456789abcdef0123", Time: "2026-11-02T10:00:00Z", Modified: true,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	text := got.String()
	if !strings.HasPrefix(text, "milepost v1.2.3 (go") || !strings.HasSuffix(text, " 6, revision 0123456789ab of 2026-11-02T10:00:00Z and later changes)") {
		t.Errorf("in a line: %s", text)
	}
	if v := factsOf(info, "v9").Version; v != "v9" {
		t.Errorf("overridden by v9: %s", v)
	}
	if v := factsOf(nil, "").Version; v != "(devel)" {
		t.Errorf("without information: %s", v)
	}
}
