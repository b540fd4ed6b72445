package board_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
	"milepost/firmware/debian"
	"milepost/uplink/uplinktest/volatiledisk"
)

// TestUpdateCuts cuts the power while systems are updated, restarted, tried and
// kept: the image's own kernel, stage and boot partition, and `milepost update`
// itself, in systems that are up in a second because they have little else. The
// disk forgets, tears and reorders what was not flushed. After every cut the whole
// old system or the whole new one starts, and what was durable on the data
// partition is there. MILEPOST_UPDATE_CUTS says how many (50); none is begun in the
// last two minutes of the test's time.
func TestUpdateCuts(t *testing.T) {
	boardtest.Require(t)
	b := newBareBoard(t, board.ARM64)
	b.until("BARE idle", "") // the first start grows the data partition
	b.off()
	before := b.requests()
	b.until("BARE idle", newVersion)
	b.off()
	span := b.requests() - before
	t.Logf("an update, a restart and a trial take %d writes and flushes", span)
	if b.version != newVersion || b.sums[oldVersion] == b.sums[newVersion] {
		t.Fatalf("%s runs; checksums: %v", b.version, b.sums)
	}
	b.cut(cutsWanted(t, "MILEPOST_UPDATE_CUTS", 50), span)
}

// cutsWanted is how many cuts there are to be.
func cutsWanted(t *testing.T, variable string, cuts int) int {
	t.Helper()
	if text := os.Getenv(variable); text != "" {
		var err error
		if cuts, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	return cuts
}

// bareBoard is a board whose systems are bare ones (cmd/milepost-lab/board/bare).
type bareBoard struct {
	*testing.T
	machine board.Machine
	dir     string
	image   string
	disk    *volatiledisk.Disk
	device  *board.Appliance

	version string            // that was up last
	sums    map[string]string // of the systems, by version
	durable int               // the last number that the board has said is durable
	atStart int               // what that was before this start
	phase   string            // what the board did last
	kept    bool              // it has said that it keeps itself
	done    uint64            // requests of disks that are no more

	// arm sets the cut when the board comes to a phase; it may be nil.
	arm func(phase string)
}

func (b *bareBoard) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func newBareBoard(t *testing.T, m board.Machine) *bareBoard {
	b := &bareBoard{T: t, machine: m, dir: t.TempDir(), sums: map[string]string{}}
	path := func(name string) string { return filepath.Join(b.dir, name) }
	b.image = path("image")
	began := time.Now()
	b.must(boardtest.Firmware(t.Context(), "key", "-o", path("fleet")))
	b.must(boardtest.BuildImage(t.Context(), m, b.image, "--version", oldVersion, "--system", path("full")))
	release, err := exec.CommandContext(t.Context(), "unsquashfs", "-cat", path("full"), "etc/milepost-release").Output()
	b.must(err)
	b.must(board.Build(t.Context(), m, "milepost/cmd/milepost-lab/board/bare", path("bare")))
	milepost := boardtest.Milepost(t, m)
	for _, version := range []string{oldVersion, newVersion} {
		b.makeSystem(path(version), strings.Replace(string(release), oldVersion, version, 1), map[string]string{
			"usr/lib/systemd/systemd": path("bare"), "usr/bin/milepost": milepost, "usr/share/milepost/update-keys/fleet.pem": path("fleet.pem"),
		})
		b.must(boardtest.Firmware(t.Context(), "bundle", "--key", path("fleet.key"), "-o", path(version+".mpb"), path(version)))
		body, err := os.ReadFile(path(version + ".mpb"))
		b.must(err)
		b.must(board.WriteBootFile(t.Context(), b.image, version+".mpb", body))
	}
	image, err := os.ReadFile(b.image)
	b.must(err)
	system, err := os.ReadFile(path(oldVersion))
	b.must(err)
	slotA := int64(binary.LittleEndian.Uint32(image[446+16+8:])) * 512 // of the partition table's second entry
	copy(image[slotA:], system)
	b.disk, err = volatiledisk.New(append(image, make([]byte, 64<<20)...), volatiledisk.Options{})
	b.must(err)
	t.Logf("image and bundles made in %.0f s", time.Since(began).Seconds())
	return b
}

// makeSystem packs files and the folders that the stage needs.
func (b *bareBoard) makeSystem(out, release string, files map[string]string) {
	b.Helper()
	root := out + ".root"
	for _, name := range []string{"boot", "data", "dev", "etc/milepost", "proc", "run", "sys", "tmp", "var/lib/milepost", "var/lib/systemd", "usr/lib/systemd", "usr/bin", "usr/share/milepost/update-keys"} {
		b.must(os.MkdirAll(filepath.Join(root, name), 0o755))
	}
	for name, from := range files {
		body, err := os.ReadFile(from)
		b.must(err)
		b.must(os.WriteFile(filepath.Join(root, name), body, 0o755))
	}
	b.must(os.WriteFile(filepath.Join(root, "etc/milepost-release"), []byte(release), 0o644))
	b.must(os.WriteFile(filepath.Join(root, "usr/lib/release"), []byte(release), 0o644)) // where nothing is mounted over it
	b.must(os.WriteFile(filepath.Join(root, "etc/group"), []byte("milepost:x:200:\n"), 0o644))
	program, err := debian.FindProgram("mksquashfs", "squashfs-tools")
	b.must(err)
	if said, err := exec.CommandContext(b.Context(), program, root, out, "-quiet", "-no-progress", "-all-root", "-comp", "zstd").CombinedOutput(); err != nil {
		b.Fatalf("mksquashfs: %v: %s", err, said)
	}
}

// requests is how many writes and flushes there have been.
func (b *bareBoard) requests() uint64 {
	s := b.disk.Stats()
	return b.done + s.Writes + s.Flushes
}

func (b *bareBoard) off() { b.device.Stop() }

var (
	upLine      = regexp.MustCompile(`BARE up version=(\S+) sum=([0-9a-f]{64})`)
	dataLine    = regexp.MustCompile(`BARE data (\d+)\r?\n`)
	durableLine = regexp.MustCompile(`BARE durable (\d+)\r?\n`)
)

// until runs the board until it says something, through its restarts; false if the
// power was cut before.
func (b *bareBoard) until(words, target string) bool {
	b.Helper()
	deadline := time.Now().Add(imagePatience)
	for start := 0; ; start++ {
		if start > 4 {
			b.Fatalf("restarts again and again, and does not say %q", words)
		}
		var arguments []string
		if target != "" {
			arguments = []string{"bare.target=" + target}
		}
		b.phase, b.kept, b.atStart = "before the system starts", false, b.durable
		if start > 0 {
			b.reach("restart")
		}
		b.device = boardtest.StartAppliance(b.T, board.ApplianceOptions{Machine: b.machine, Image: b.image, Disk: b.disk, KernelArguments: arguments})
		for running := true; running; {
			select {
			case <-b.disk.Gone():
				b.look(target)
				return false
			case <-b.device.Ended():
				select {
				case <-b.disk.Gone(): // which ends the board
					b.look(target)
					return false
				default:
				}
				b.look(target)
				if !strings.Contains(b.device.Console(), "BARE up") {
					b.Fatal("the board ends before its system is up")
				}
				running = false
			case <-time.After(20 * time.Millisecond):
				if b.look(target); strings.Contains(b.device.Console(), words) {
					return true
				}
			}
			if time.Now().After(deadline) {
				b.Fatalf("does not say %q", words)
			}
		}
		b.device.Stop()
	}
}

// reach tells whoever waits for it that the board has come to a phase.
func (b *bareBoard) reach(phase string) {
	if b.arm != nil {
		b.arm(phase)
	}
}

// look takes in what the board has said in this start, and checks it.
func (b *bareBoard) look(target string) {
	b.Helper()
	console := b.device.Console()
	if at := strings.Index(console, "BARE failed"); at >= 0 {
		line, _, _ := strings.Cut(console[at:], "\n")
		if b.disk.Report().At.IsZero() || !strings.Contains(line, "input/output") {
			b.Fatal(line)
		}
	}
	up := upLine.FindStringSubmatch(console)
	if up == nil {
		return
	}
	b.version = up[1]
	switch sum := b.sums[up[1]]; {
	case sum == "":
		b.sums[up[1]] = up[2]
	case sum != up[2]:
		b.Errorf("version %s has checksum %s, and had %s", up[1], up[2], sum)
	}
	if data := dataLine.FindStringSubmatch(console); data != nil {
		if n, _ := strconv.Atoi(data[1]); n < b.atStart {
			b.Fatalf("%d numbers are there; %d were durable", n, b.atStart)
		}
	}
	if all := durableLine.FindAllStringSubmatch(console, -1); len(all) > 0 {
		b.durable, _ = strconv.Atoi(all[len(all)-1][1])
	}
	b.kept = strings.Contains(console, "BARE kept")
	if up[1] == target {
		b.reach("trial")
	}
	switch {
	case strings.Contains(console, "BARE idle"):
		b.phase = "after all"
	case up[1] == target:
		b.phase = "on trial"
	case target != "":
		b.phase = "while the slot is written"
	}
}

// plan sets the next cut: somewhere in all of it, in the restart and what the stage
// writes in it, or in the trial and what keeps it.
func (b *bareBoard) plan(random *rand.Rand, seed, span uint64) {
	set, disk := b.disk.CutAfter, b.disk
	if random.IntN(3) == 0 {
		set = b.disk.CutBeforeFlush
	}
	at, soon := random.IntN(int(span)), random.IntN(150)
	if soon > 24 && random.IntN(2) == 0 { // sooner: what the stage writes
		soon %= 24
	}
	b.arm = nil
	switch when := []string{"", "restart", "trial"}[random.IntN(3)]; when {
	case "":
		set(at, seed)
	default:
		b.arm = func(phase string) {
			if phase == when && b.disk == disk {
				b.arm = nil
				set(soon, seed)
			}
		}
	}
}

// cut cuts the power so often.
func (b *bareBoard) cut(cuts int, span uint64) {
	deadline, limited := b.Deadline()
	outcomes := map[string]int{}
	kept, n := b.version, 0
	for ; n < cuts; n++ {
		if limited && time.Until(deadline) < 2*time.Minute {
			break
		}
		seed := uint64(n) + 1
		random := rand.New(rand.NewPCG(seed, 5))
		target := newVersion
		if kept == newVersion {
			target = oldVersion
		}
		b.plan(random, seed, span)
		if b.until("BARE nothing", target) { // which it never says: the cut comes, at the latest when it idles
			b.Fatal("BUG: said nothing")
		}
		phase, mustStay := b.phase, b.kept && b.version == target
		report := b.disk.Report()
		b.off()
		b.done += b.disk.Stats().Writes + b.disk.Stats().Flushes
		disk, err := b.disk.Restart(volatiledisk.Options{})
		b.must(err)
		b.disk = disk
		b.arm = nil
		b.until("BARE idle", "")
		b.off()
		if b.version != kept && b.version != target {
			b.Errorf("version %s starts, neither %s nor %s", b.version, kept, target)
		}
		if mustStay && b.version != target {
			b.Errorf("version %s was kept, and %s starts", target, b.version)
		}
		what := "the old system"
		if b.version == target {
			what = "the new system"
		}
		outcomes[phase+": "+what]++
		b.Logf("cut %d %s, %v: %s, %d numbers durable", n+1, phase, report, what, b.durable)
		kept = b.version
		if b.Failed() {
			b.FailNow()
		}
	}
	text := ""
	for what, times := range outcomes {
		text += fmt.Sprintf("\n%5d  %s", times, what)
	}
	b.Logf("%d of %d power cuts; every one started:%s", n, cuts, text)
	if n == 0 {
		b.Error("there was no time for a single cut")
	}
}
