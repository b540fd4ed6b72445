package packages

import (
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// contents has the default configuration that docs has.
func contents(t *testing.T) *Contents {
	t.Helper()
	config, err := os.ReadFile(filepath.Join("..", "..", "docs", "milepost.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return &Contents{
		Binary: []byte("\x7fELF"), Version: "v1.2.3", Time: sampleTime, Maintainer: "A Person <a@example.org>",
		Config: config, Schema: []byte("{}"), Manual: []byte(".TH"),
		Licences: []byte("MIT"), SBOM: []byte("{}"),
	}
}

func (p *Package) file(t *testing.T, path string) File {
	t.Helper()
	i := slices.IndexFunc(p.Files, func(f File) bool { return f.Path == path })
	if i < 0 {
		t.Fatalf("%s is not in the package", path)
	}
	return p.Files[i]
}

func TestContents(t *testing.T) {
	for name, c := range map[string]struct {
		p     *Package
		write func(*Package) ([]byte, error)
		has   []string
	}{
		"deb": {contents(t).Deb("arm64"), (*Package).Deb, []string{
			"/usr/lib/systemd/system/milepost.service", "/usr/share/man/man1/milepost.1.gz", "/usr/share/man/man5/milepost.yaml.5.gz",
			"/usr/share/zsh/vendor-completions/_milepost", "/usr/share/doc/milepost/copyright", "/usr/share/doc/milepost/changelog.gz",
		}},
		"rpm": {contents(t).RPM("aarch64"), (*Package).RPM, []string{"/usr/lib/systemd/system/milepost.service", "/usr/share/zsh/site-functions/_milepost"}},
		"ipk": {contents(t).IPK("aarch64_generic"), (*Package).IPK, []string{"/etc/init.d/milepost"}},
	} {
		if _, err := c.write(c.p); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, path := range c.has {
			c.p.file(t, path)
		}
		if f := c.p.file(t, "/usr/bin/milepost"); f.Mode != 0o755 {
			t.Errorf("%s: the program has mode %o", name, f.Mode)
		}
		for _, f := range c.p.Files {
			if etc := path.Dir(f.Path) == "/etc/milepost"; f.Config != etc {
				t.Errorf("%s: %s is a configuration: %t, want %t", name, f.Path, f.Config, etc)
			}
			if strings.HasSuffix(f.Path, ".1.gz") && placeholder.Match(gunzip(t, f.Body)) {
				t.Errorf("%s: %s has a placeholder left", name, f.Path)
			}
		}
	}
}

var placeholder = regexp.MustCompile(`@[A-Z]+@`)

func TestDebianVersion(t *testing.T) {
	// In the order of Go, oldest first.
	versions := [][2]string{
		{"v0.0.0-20261121150405-0123456789ab", "0.0.0~20261121150405.0123456789ab"},
		{"v1.2.3-rc.1", "1.2.3~rc.1"},
		{"v1.2.3-rc.1.0.20261121150405-0123456789ab", "1.2.3~rc.1.0.20261121150405.0123456789ab"},
		{"v1.2.3", "1.2.3"},
		{"v1.2.3+dirty", "1.2.3+dirty"},
		{"v1.2.4-0.20261121150405-0123456789ab", "1.2.4~0.20261121150405.0123456789ab"},
		{"v1.2.4-0.20261121150405-0123456789ab+dirty", "1.2.4~0.20261121150405.0123456789ab+dirty"},
		{"v1.2.4", "1.2.4"},
	}
	_, err := exec.LookPath("dpkg")
	for i, v := range versions {
		got := DebianVersion(v[0])
		if got != v[1] {
			t.Errorf("%s: %s, want %s", v[0], got, v[1])
		}
		if i > 0 && err == nil && exec.Command("dpkg", "--compare-versions", versions[i-1][1], "lt", got).Run() != nil {
			t.Errorf("dpkg does not think that %s is older than %s", versions[i-1][1], got)
		}
	}
}

// TestScripts: shells understand the scripts and completions, and systemd the unit,
// where they are here.
func TestScripts(t *testing.T) {
	dir := t.TempDir()
	for name, shell := range map[string]string{
		"deb.postinst": "sh", "deb.prerm": "sh", "deb.postrm": "sh", "rpm.post": "sh", "rpm.preun": "sh", "rpm.postun": "sh",
		"ipk.postinst": "sh", "ipk.prerm": "sh", "milepost.init": "sh", "milepost.bash": "bash", "milepost.zsh": "zsh",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := exec.LookPath(shell); err != nil {
				t.Skip("there is no", shell, "here")
			}
			if out, err := exec.Command(shell, "-n", filepath.Join("files", name)).CombinedOutput(); err != nil {
				t.Errorf("%s -n: %v\n%s", shell, err, out)
			}
		})
	}
	t.Run("completion", func(t *testing.T) {
		if _, err := exec.LookPath("bash"); err != nil {
			t.Skip("there is no bash here")
		}
		for line, want := range map[string]string{
			"milepost sp":            "spool",
			"milepost help che":      "check",
			"milepost spool v":       "verify",
			"milepost check --def":   "--default",
			"milepost version --js":  "--json",
			"milepost nothing --xyz": "",
		} {
			script := `source files/milepost.bash; compopt() { :; }; COMP_WORDS=($1); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _milepost; echo "${COMPREPLY[*]}"`
			cmd := exec.Command("bash", "-c", script, "-", line)
			out, err := cmd.Output()
			if got := strings.TrimSpace(string(out)); err != nil || got != want {
				t.Errorf("%s: %q, want %q (%v)", line, got, want, err)
			}
		}
	})
	t.Run("systemd-analyze", func(t *testing.T) {
		if _, err := exec.LookPath("systemd-analyze"); err != nil {
			t.Skip("there is no systemd-analyze here")
		}
		unit := filepath.Join(dir, "milepost.service")
		// verify wants the program to be there; true is everywhere.
		text := strings.NewReplacer("/usr/bin/milepost", "/bin/true").Replace(text("milepost.service"))
		if err := os.WriteFile(unit, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("systemd-analyze", "verify", "--man=no", unit).CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("verify: %v\n%s", err, out)
		}
		if out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=20", "--no-pager", unit).CombinedOutput(); err != nil {
			t.Errorf("the exposure is more than 2.0: %v\n%s", err, out)
		}
	})
}

// The kernel is asked whether NTP has set the clock (adjtimex), and for its ID of
// the boot; a hardening that forbids that changes records without a word.
func TestUnitLeavesWhatIsNeeded(t *testing.T) {
	unit := text("milepost.service")
	for _, never := range []string{"\nProtectClock=yes", "\nProcSubset=pid", "\nPrivateDevices=yes", "\nPrivateNetwork=yes"} {
		if strings.Contains(unit, never) {
			t.Errorf("the unit has %q", never[1:])
		}
	}
	last := unit[strings.LastIndex(unit, "SystemCallFilter="):]
	if !strings.HasPrefix(last, "SystemCallFilter=adjtimex\n") {
		t.Error("adjtimex is not allowed behind ~@privileged, which forbids it")
	}
}
