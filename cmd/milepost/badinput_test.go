package main

import (
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestReplayBadInput says for each fault what is wrong, where, and what to do.
func TestReplayBadInput(t *testing.T) {
	log, database := shortDrive(t)
	dir := t.TempDir()
	text := readFile(t, filepath.Dir(log), filepath.Base(log))
	binary := writeFile(t, dir, "binary.log", "\x7fELF\x02\x01\x01"+strings.Repeat("\x00\xfe", 5000))
	empty := writeFile(t, dir, "empty.log", "")
	prose := writeFile(t, dir, "prose.log", "Dear diary,\ntoday I drove.\n")
	torn := writeFile(t, dir, "torn.gz", "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x01\x02")
	typo := writeFile(t, dir, "typo.yaml", "device: car\nsinks:\n  - name: rows\n    type: file\n    path: x.csv\n    fromat: csv\n")
	foreign := filepath.Join(dir, "foreign")
	if err := os.Mkdir(foreign, 0o755); err != nil {
		t.Fatal(err)
	}
	writeFile(t, foreign, "holiday.jpg", "not a spool")
	with := func(args ...string) []string { return append([]string{"--dbc", database}, args...) }

	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"binary":           {with(binary), exitFailed, []string{binary, "not a known CAN log", "binary"}},
		"binary database":  {[]string{"--dbc", binary, log}, exitFailed, []string{binary, "not a DBC file"}},
		"empty":            {with(empty), exitFailed, []string{empty, "no CAN frame"}},
		"empty database":   {[]string{"--dbc", empty, log}, exitFailed, []string{empty}},
		"prose":            {with(prose), exitFailed, []string{prose, "candump"}},
		"torn gzip":        {with(torn), exitFailed, []string{torn}},
		"folder":           {with(dir), exitFailed, []string{dir, "is a folder"}},
		"no log":           {with(filepath.Join(dir, "missing.log")), exitFailed, []string{"missing.log", "no such file"}},
		"one log missing":  {with(log, filepath.Join(dir, "missing.log")), exitFailed, []string{"missing.log", "no such file"}},
		"no database":      {[]string{"--dbc", filepath.Join(dir, "missing.dbc"), log}, exitFailed, []string{"missing.dbc", "no such file"}},
		"typo":             {with("--config", typo, log), exitFailed, []string{typo + ":6:5", "fromat", "format"}},
		"no config":        {with("--config", filepath.Join(dir, "missing.yaml"), log), exitFailed, []string{"missing.yaml", "check --default"}},
		"foreign folder":   {with("--spool", foreign, log), exitFailed, []string{foreign, "not empty", "--spool"}},
		"file as folder":   {with("--spool", empty, log), exitFailed, []string{empty}},
		"folder as result": {with("--to", "csv", "-o", dir, log), exitFailed, []string{dir, "directory"}},
		"result nowhere":   {with("--to", "csv", "-o", filepath.Join(dir, "no/such.csv"), log), exitFailed, []string{"no/such.csv"}},
		"refused by MQTT":  {with("--to", "mqtt://127.0.0.1:1", "--give-up", "1ms", log), exitFailed, []string{"127.0.0.1:1", "refused", "--spool DIR"}},
		"refused by Kafka": {with("--to", "kafka://127.0.0.1:1", "--give-up", "1ms", log), exitFailed, []string{"127.0.0.1:1", "refused", "--spool DIR"}},

		"no arguments":      {nil, exitUsage, []string{"which LOG"}},
		"unknown flag":      {with("--speedy", "3", log), exitUsage, []string{"speedy"}},
		"unknown --to":      {with("--to", "xml", log), exitUsage, []string{"xml", "csv, jsonl, mqtt://"}},
		"unknown broker":    {with("--to", "ftp://host", log), exitUsage, []string{"mqtt://", "kafka://"}},
		"broker nowhere":    {with("--to", "mqtt://", log), exitUsage, []string{"mqtt://"}},
		"password in URL":   {with("--to", "mqtt://me:secret@host", log), exitUsage, []string{"credentials"}},
		"-o alone":          {with("-o", "x.csv", log), exitUsage, []string{"-o goes with --to"}},
		"-o with a broker":  {with("-o", "x.csv", "--to", "mqtt://host", log), exitUsage, []string{"-o goes with --to"}},
		"--resume alone":    {with("--resume", log), exitUsage, []string{"--resume goes with --spool"}},
		"stdin twice":       {with("-", "-"), exitUsage, []string{"once"}},
		"no speed":          {with("--speed", "fast", log), exitUsage, []string{"fast"}},
		"speed backwards":   {with("--speed", "-1", log), exitUsage, []string{"-1"}},
		"speed NaN":         {with("--speed", "NaN", log), exitUsage, []string{"NaN"}},
		"speed infinite":    {with("--speed", "Inf", log), exitUsage, []string{"Inf"}},
		"workers":           {with("--workers", "-1", log), exitUsage, []string{"--workers"}},
		"lateness":          {with("--lateness", "-1s", log), exitUsage, []string{"--lateness"}},
		"window":            {with("--window", "7s", log), exitUsage, []string{"--window 7s"}},
		"match":             {with("--match", "fuzzy", log), exitUsage, []string{"auto, exact or j1939"}},
		"not available":     {with("--not-available", "drop", log), exitUsage, []string{"missing or keep"}},
		"bus without name":  {[]string{"--dbc", "=x.dbc", log}, exitUsage, []string{"no bus"}},
		"bus without files": {[]string{"--dbc", "can0=", log}, exitUsage, []string{"no file"}},
	} {
		got := milepost(nil, append([]string{"replay"}, c.args...)...)
		if got.code != c.code {
			t.Errorf("%s: exit code %d, want %d", name, got.code, c.code)
		}
		for _, want := range c.says {
			if !strings.Contains(got.stderr, want) {
				t.Errorf("%s: %q is not in %q", name, want, got.stderr)
			}
		}
		for _, never := range []string{"secret", "panic", "BUG", "goroutine", "kept in"} {
			if strings.Contains(got.stderr, never) {
				t.Errorf("%s: %q is in %q", name, never, got.stderr)
			}
		}
		if c.code == exitUsage && !strings.Contains(got.stderr, "milepost replay -h") {
			t.Errorf("%s: no pointer to the help in %q", name, got.stderr)
		}
	}

	// A log that was cut off is as good as it is long.
	cut := writeFile(t, dir, "cut.log", text[:strings.LastIndex(text[:len(text)/2], "#")])
	got := milepost(nil, "replay", "--dbc", database, "--to", "csv", cut)
	if got.code != exitFailed || !strings.Contains(got.stderr, cut) || !strings.Contains(got.stderr, "cut off") {
		t.Errorf("exit code %d, stderr %q", got.code, got.stderr)
	}
	whole := replayed(t, nil, "--dbc", database, "--to", "csv", log)
	if n := commonPrefix(got.stdout, whole); n < len(got.stdout)/2 {
		t.Errorf("only %d of %d bytes are those of the whole log", n, len(got.stdout))
	}

	// So is a compressed one.
	packed := gzipped(t, text)
	cut = writeFile(t, dir, "cut.log.gz", packed[:len(packed)/2])
	for _, workers := range []string{"1", "2"} {
		got = milepost(nil, "replay", "--dbc", database, "--to", "csv", "--workers", workers, cut)
		if got.code != exitFailed || !strings.Contains(got.stderr, cut) || !strings.Contains(got.stderr, "end too early") || strings.Count(got.stdout, "\n") < 100 {
			t.Errorf("exit code %d, %d bytes, stderr %q", got.code, len(got.stdout), got.stderr)
		}
	}
}

// TestReplayEndlessLine gives logs with a line of a gigabyte: in bounded memory,
// the frames around it are summarised.
func TestReplayEndlessLine(t *testing.T) {
	size := int64(1 << 30)
	if testing.Short() {
		size = 128 << 20
	}
	log, database := shortDrive(t)
	text := readFile(t, filepath.Dir(log), filepath.Base(log))
	half := strings.LastIndex(text[:len(text)/2], "\n") + 1
	for name, c := range map[string]struct {
		before, after string
		code          int
		says          string
	}{
		"no log":     {"", "", exitFailed, "not a known CAN log"},
		"one line":   {"(1.0) can0 ", "", exitFailed, "no CAN frame"},
		"in a drive": {text[:half], "\n" + text[half:], exitDone, "line of more than"},
	} {
		t.Run(name, func(t *testing.T) {
			command, stdout, stderr := process(t, "replay", "--dbc", database, "--to", "csv", "-")
			command.Stdin = io.MultiReader(strings.NewReader(c.before), io.LimitReader(ones{}, size), strings.NewReader(c.after))
			start(t, command)
			if code := exitCode(t, command); code != c.code || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit code %d, stderr %.500s", code, stderr)
			}
			if c.code == exitDone {
				equalText(t, "the drive", stdout.String(), replayed(t, nil, "--dbc", database, "--to", "csv", log))
			}
			const limit = 64 << 20
			if peak := peakMemory(command.ProcessState); peak > limit && !raceEnabled {
				t.Errorf("%d MiB of memory", peak>>20)
			}
		})
	}
}

// ones is a reader of a digit without end.
type ones struct{}

func (ones) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '1'
	}
	return len(p), nil
}

// TestReplaySpoolOfAnother refuses a folder that a replay of other records has,
// or still has in use.
func TestReplaySpoolOfAnother(t *testing.T) {
	log, database := shortDrive(t)
	spool := filepath.Join(t.TempDir(), "spool")
	args := []string{"replay", "--dbc", database, "--to", "mqtt://127.0.0.1:1", "--spool", spool}
	command, _, stderr := process(t, append(args, "--give-up", "0", log)...)
	start(t, command)
	waitForFile(t, filepath.Join(spool, "LOCK"), command)
	got := milepost(nil, append(args, "--resume", log)...)
	if want := strconv.Itoa(command.Process.Pid); got.code != exitFailed || !strings.Contains(got.stderr, "in use by process "+want) {
		t.Errorf("exit code %d, stderr %q, want process %s", got.code, got.stderr, want)
	}
	command.Process.Kill()
	if code := exitCode(t, command); code != -1 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	long, _ := longDrive(t)
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"without --resume": {[]string{log}, "--resume"},
		"another log":      {[]string{"--resume", long}, "other logs"},
		"another window":   {[]string{"--resume", "--window", "2s", log}, "options"},
		"another device":   {[]string{"--resume", "--device", "bus", log}, "options"},
		"another database": {[]string{"--resume", "--dbc", carDBC, log}, "databases"},
		"keep":             {[]string{"--resume", "--not-available", "keep", log}, "options"},
	} {
		got := milepost(nil, append(args, c.args...)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, spool) || !strings.Contains(got.stderr, c.says) {
			t.Errorf("%s: exit code %d, stderr %q", name, got.code, got.stderr)
		}
	}
}

// TestReplayBrokerComesBack is refused by a broker, gives up, and delivers
// everything once there is one.
func TestReplayBrokerComesBack(t *testing.T) {
	for name, begin := range map[string]func(*testing.T) receiver{"mqtt": startMQTT, "kafka": startKafka} {
		t.Run(name, func(t *testing.T) {
			k := killable{receiver: begin(t), device: "refused"}
			stopper := k.receiver.(interface {
				Stop() error
				Restart() error
			})
			if err := stopper.Stop(); err != nil {
				t.Fatal(err)
			}
			k.dir = filepath.Join(t.TempDir(), "spool")
			log, database := longDrive(t)
			args := []string{"replay", "--dbc", database, "--device", k.device, "--to", k.receiver.to(), "--spool", k.dir, "--resume", log}
			got := milepost(nil, append(args, "--give-up", "1ms")...)
			for _, want := range []string{"refused", k.dir, "--resume", "kept in the spool"} {
				if got.code != exitFailed || !strings.Contains(got.stderr, want) {
					t.Errorf("exit code %d, %q is not in %s", got.code, want, got.stderr)
				}
			}
			if err := stopper.Restart(); err != nil {
				t.Fatal(err)
			}
			if got := milepost(nil, args...); got.code != exitDone {
				t.Fatalf("exit code %d: %s", got.code, got.stderr)
			}
			k.check(t)
		})
	}
}

// TestReplayFullDevice writes to a device that is full.
func TestReplayFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip("needs /dev/full, which is not here")
	}
	defer full.Close()
	log, database := shortDrive(t)
	const says = "no space left on device"
	for _, to := range []string{"csv", "jsonl"} {
		got := milepost(nil, "replay", "--dbc", database, "--to", to, "-o", "/dev/full", "--give-up", "1ms", log)
		if got.code != exitFailed || !strings.Contains(got.stderr, says) || !strings.Contains(got.stderr, "2,680  not delivered, lost") {
			t.Errorf("--to %s: exit code %d, stderr %s", to, got.code, got.stderr)
		}
	}
	for _, args := range [][]string{{}, {"--to", "csv", "--give-up", "1ms"}} {
		command, _, stderr := process(t, append([]string{"replay", "--dbc", database, log}, args...)...)
		command.Stdout = full
		start(t, command)
		if code := exitCode(t, command); code != exitFailed || !strings.Contains(stderr.String(), says) {
			t.Errorf("%q: exit code %d, stderr %s", args, code, stderr)
		}
	}
}
