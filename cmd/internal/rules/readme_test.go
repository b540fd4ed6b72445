package rules

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The pages whose ```console blocks are run, from top to bottom, each command in a
// bash of its own in the project's folder. A line that begins with "$ " is a
// command, the lines below it are all that it prints; "..." stands for any lines.
// Times are not compared, and no numbers at all behind <!-- numbers vary -->.
// Files are written below out/, which is a temporary folder here, the same for
// all pages. Blocks of another kind are not run.
var pages = []string{"README.md", "docs/replay.md"}

// notRun are commands that are not run here.
var notRun = map[string]string{
	"make test": "it is what runs this test",
	"go run ./cmd/milepost-lab demo --keep out/demo >out/demo.txt": "demoDir has done so",
}

// block is a command of a page and what it shows.
type block struct {
	line    int
	command string
	want    []string
	vary    bool
}

func TestPages(t *testing.T) {
	if testing.Short() {
		t.Skip("the demo takes some seconds")
	}
	for _, program := range []string{"bash", "make", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s to run the commands with", program)
		}
	}
	out, err := demoDir()
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range pages {
		t.Run(page, func(t *testing.T) {
			blocks := commands(read(t, page))
			if len(blocks) == 0 {
				t.Error("there is no command in it")
			}
			for _, b := range blocks {
				if notRun[b.command] != "" {
					continue
				}
				if line, beyond := b.missing(run(t, out, b.command)); line != "" {
					t.Errorf("%s:%d: %s does not print the line\n%s\nbut\n%.2000s", page, b.line, b.command, line, beyond)
				} else if beyond != "" {
					t.Errorf("%s:%d: %s prints more than the page shows:\n%.2000s", page, b.line, b.command, beyond)
				}
			}
		})
	}
}

// commands finds the commands of a page.
func commands(page string) (blocks []block) {
	inside, vary := false, false
	var current *block
	number := 0
	for line := range strings.Lines(page) {
		number++
		line = strings.TrimSuffix(line, "\n")
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case line == "<!-- numbers vary -->":
			vary = true
		case line == "```console":
			inside = true
		case strings.HasPrefix(line, "```"):
			inside, vary, current = false, false, nil
		case inside && isCommand:
			blocks = append(blocks, block{line: number, command: command, vary: vary})
			current = &blocks[len(blocks)-1]
		case current != nil:
			current.want = append(current.want, line)
		}
	}
	return blocks
}

// run runs a command and returns what it prints to both outputs.
func run(t *testing.T, out, command string) string {
	t.Helper()
	here := strings.NewReplacer("out/", out+"/")
	there := strings.NewReplacer(out+"/", "out/")
	shell := exec.Command("bash", "-eu", "-c", here.Replace(command))
	shell.Dir = root(t)
	shell.Env = append(os.Environ(), "PATH="+filepath.Join(root(t), "bin")+":"+os.Getenv("PATH"), "MAKEFLAGS=", "MAKELEVEL=0")
	var printed bytes.Buffer
	shell.Stdout, shell.Stderr = &printed, &printed
	if err := shell.Run(); err != nil {
		t.Errorf("%s: %v", command, err)
	}
	return there.Replace(strings.TrimRight(printed.String(), "\n"))
}

var (
	// times and what follows from them
	timing = regexp.MustCompile(` *[0-9.]+ s\b|[0-9.]+ million frames a second|[0-9,]+ frames a second|[0-9,]+ times as fast`)
	// numbers, grouped and aligned
	numbers = regexp.MustCompile(` *[0-9][0-9,.]*`)
)

// missing is the first line of the page that was not printed where it should have
// been, or what was printed beyond the last; both are empty if all is well.
func (b *block) missing(printed string) (line, beyond string) {
	var got []string
	if printed != "" {
		got = strings.Split(printed, "\n")
	}
	want := slices.Clone(b.want)
	for len(want) > 0 && want[len(want)-1] == "" { // between commands
		want = want[:len(want)-1]
	}
	any := false
	for _, line := range want {
		if line == "..." {
			any = true
			continue
		}
		at := slices.IndexFunc(got, func(g string) bool { return b.masked(g) == b.masked(line) })
		if at < 0 || at > 0 && !any {
			return line, strings.Join(got, "\n")
		}
		got, any = got[at+1:], false
	}
	if any {
		return "", ""
	}
	return "", strings.Join(got, "\n")
}

// masked is a line without what may differ.
func (b *block) masked(line string) string {
	line = timing.ReplaceAllString(strings.TrimRight(line, " "), " TIME")
	if b.vary {
		line = numbers.ReplaceAllString(line, " N")
	}
	return line
}
