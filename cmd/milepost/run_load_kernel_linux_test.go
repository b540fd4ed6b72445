package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"milepost/can"
	"milepost/can/cantest"
	"milepost/cmd/internal/status"
)

const (
	loadBuses = 4
	// loadRate is how many frames a second each bus carries: 500 kbit/s full of
	// frames of eight bytes.
	loadRate = 4000
	// loadSlice is how many frames of a bus are sent at once, each millisecond.
	loadSlice = loadRate / 1000
)

// TestKernelLoad has a gateway as it is configured by default, a process of its
// own, read four full buses: it counts every frame, and its cost is compared with
// that of a process that does nothing but recvmmsg with time stamps, in the same
// run. That is printed and not judged: a guest has one processor, and counts CPU
// time in ticks of 10 ms.
//
// `make load` makes its phases longer, and compares the cost.
func TestKernelLoad(t *testing.T) {
	inGuest(t)
	phase, traced, rounds := time.Second, time.Second/4, 0
	if text := os.Getenv("MILEPOST_LOAD"); text != "" {
		var err error
		if phase, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
		traced, rounds = phase, 2
	}
	dir := t.TempDir()
	database := filepath.Join(dir, "workload.dbc")
	if err := os.WriteFile(database, cantest.WorkloadDBC(), 0o644); err != nil {
		t.Fatal(err)
	}
	var names []string
	var listed strings.Builder
	for i := range loadBuses {
		name := fmt.Sprintf("load%d", i)
		ip(t, "link add dev "+name+" type vcan")
		t.Cleanup(func() { exec.Command("ip", "link", "del", name).Run() })
		ip(t, "link set up dev "+name)
		names = append(names, name)
		fmt.Fprintf(&listed, "{name: %s},", name)
	}
	traffic := newTraffic(t, names, 5*time.Second)

	var bare [2]float64 // without and with a pause
	for i, pause := range []time.Duration{0, 10 * time.Millisecond}[:rounds] {
		reader := startBareReader(t, names, pause)
		before := usageOf(t, reader.Process.Pid)
		n := traffic.play(phase)
		bare[i] = usageOf(t, reader.Process.Pid).since(before).perFrame(n)
		reader.Process.Kill()
		reader.Wait()
	}

	path := gatewayConfig(t, dir, database, "buses: ["+listed.String()+"]\n")
	gateway := startProcess(t, path)
	defer gateway.kill()
	clear(traffic.sent)
	pid := gateway.command.Process.Pid

	if rounds > 0 {
		time.Sleep(2 * time.Second) // what the start has to do is no idleness
	}
	before, began := usageOf(t, pid), time.Now()
	time.Sleep(phase)
	idle, idleTime := usageOf(t, pid).since(before), time.Since(began)

	before, began = usageOf(t, pid), time.Now()
	sent := traffic.play(phase)
	busy, busyTime := usageOf(t, pid).since(before), time.Since(began)

	// await waits until all that was sent is received, or will not be.
	await := func() (buses []status.Bus) {
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			report, err := status.Ask(context.Background(), filepath.Join(dir, "spool"))
			if err != nil {
				t.Fatal(err)
			}
			n := uint64(0)
			for _, b := range report.Buses {
				n += b.Received + b.Dropped
			}
			if n >= sent || time.Now().After(deadline) {
				return report.Buses
			}
		}
	}
	for i, b := range await() {
		if b.Received != traffic.sent[i] || b.Dropped != 0 {
			t.Errorf("%s: %d frames were sent, %d received and %d dropped by the kernel", b.Name, traffic.sent[i], b.Received, b.Dropped)
		}
	}
	peak := usageOf(t, pid).peak
	rate := float64(sent) / busyTime.Seconds()
	cost := busy.perFrame(sent)

	anonymous, file := statusField(fmt.Sprintf("/proc/%d/status", pid), "RssAnon:"), statusField(fmt.Sprintf("/proc/%d/status", pid), "RssFile:")
	account := gateway.terminate()

	for _, r := range jsonLines(t, filepath.Join(dir, "records.jsonl")) {
		if r["message"] != "ledger" || r["sum"] == nil {
			continue
		}
		switch r["signal"] {
		case "dropped", "kernel_dropped", "readings_dropped", "late":
			if r["sum"].(float64) != 0 {
				t.Errorf("%v: %v", r["signal"], r["sum"])
			}
		}
	}
	if want := groupDigits(sent) + "  frames in\n"; !strings.Contains(account, want) || !strings.Contains(account, groupDigits(sent)+"  decoded\n") {
		t.Errorf("%d frames were sent; the gateway says:\n%s", sent, account)
	}
	// Another one has its system calls counted, which makes it so slow that there
	// may be no room for frames.
	calls := -1.0
	if _, err := exec.LookPath("strace"); err == nil {
		gateway = startProcess(t, path)
		n := uint64(0)
		calls = float64(systemCalls(t, gateway.command.Process.Pid, func() { n = traffic.play(traced) })) / float64(n)
		gateway.terminate()
		if calls > 1.0/8 {
			t.Errorf("%.3f system calls a frame; want at most 1/8", calls)
		}
	}
	compared := "not compared without MILEPOST_LOAD"
	if rounds > 0 {
		compared = fmt.Sprintf("bare recvmmsg %.0f ns (%.2f of it), with the same pause between reads %.0f ns (%.2f of it)",
			bare[0], cost/bare[0], bare[1], cost/bare[1])
	}
	t.Logf(`%d buses, %d series, %.0f frames/s for %v (intended: %d); all of %d frames counted
CPU %.0f ns a frame; %s
%.3f system calls a frame without clock_gettime, which is one in a guest only (strace; -1: there is none)
wake-ups %.0f/s under load, %.0f/s idle (4 silent buses); idle CPU %.2f %%
peak RSS %.1f MiB; now %.1f MiB are its own, %.1f MiB the program's file`,
		loadBuses, 432*loadBuses, rate, busyTime.Round(time.Millisecond), loadBuses*loadRate, sent,
		cost, compared,
		calls,
		float64(busy.switches)/busyTime.Seconds(), float64(idle.switches)/idleTime.Seconds(), 100*idle.cpu.Seconds()/idleTime.Seconds(),
		float64(peak)/(1<<20), float64(anonymous)/(1<<10), float64(file)/(1<<10))
	if os.Getenv("MILEPOST_BINARY") != "" && peak > 30<<20 { // the tests' own program is larger
		t.Errorf("peak RSS %d KiB; want at most 30 MiB", peak>>10)
	}
}

// groupDigits is a number as the account has it.
func groupDigits(n uint64) string {
	text := strconv.FormatUint(n, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// usage is what the kernel counts of a process.
type usage struct {
	cpu      time.Duration
	switches uint64 // voluntary, of all threads: wake-ups
	peak     uint64 // resident memory, bytes
}

func (u usage) since(before usage) usage {
	return usage{u.cpu - before.cpu, u.switches - before.switches, u.peak}
}

func (u usage) perFrame(n uint64) float64 { return float64(u.cpu.Nanoseconds()) / float64(n) }

func usageOf(t testing.TB, pid int) (u usage) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d", pid)
	text, err := os.ReadFile(proc + "/stat")
	if err != nil {
		t.Fatal(err)
	}
	// proc(5): utime and stime are the 14th and 15th; the 2nd may have blanks.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+2:]))
	for _, f := range fields[11:13] {
		ticks, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		u.cpu += time.Duration(ticks) * 10 * time.Millisecond
	}
	threads, _ := filepath.Glob(proc + "/task/*/status")
	for _, path := range threads {
		u.switches += statusField(path, "voluntary_ctxt_switches:")
	}
	u.peak = statusField(proc+"/status", "VmHWM:") << 10
	return u
}

// statusField is a number of a status file of proc(5); of a thread that has ended, 0.
func statusField(path, field string) (n uint64) {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, field); ok {
			fmt.Sscan(rest, &n)
		}
	}
	return n
}

// traffic is what the buses carry, over and over.
type traffic struct {
	t       testing.TB
	sockets []int
	frames  [][][16]byte // of each bus, struct can_frame
	next    []int
	sent    []uint64 // frames of each bus
}

// newTraffic prepares so much of the benchmark workload; buses beyond the second
// carry it at other times.
func newTraffic(t testing.TB, names []string, length time.Duration) *traffic {
	tr := &traffic{t: t, sent: make([]uint64, len(names)), next: make([]int, len(names)), frames: make([][][16]byte, len(names))}
	drive := cantest.NewWorkload(cantest.DriveOptions{Duration: length})
	batch := make([]can.Frame, 64)
	for {
		n, err := drive.Read(batch)
		for i := range batch[:n] {
			f := &batch[i]
			var b [16]byte
			id := f.ID
			if f.Is(can.Extended) {
				id |= unix.CAN_EFF_FLAG
			}
			binary.NativeEndian.PutUint32(b[:], id)
			b[4] = f.Len
			copy(b[8:], f.Data[:8])
			for bus := int(f.Bus); bus < len(names); bus += 2 {
				tr.frames[bus] = append(tr.frames[bus], b)
			}
		}
		if err != nil {
			break
		}
	}
	for i, name := range names {
		tr.next[i] = i / 2 * len(tr.frames[i]) / 3
		tr.sockets = append(tr.sockets, newSender(t, name).fd)
	}
	return tr
}

// play sends frames for a while, those of a millisecond at a time, and returns how
// many there were. What cannot be sent in time is sent late, not left out.
func (tr *traffic) play(length time.Duration) (n uint64) {
	tr.t.Helper()
	type message struct {
		header unix.Msghdr
		size   uint32
	}
	var messages [loadSlice]message
	var vectors [loadSlice]unix.Iovec
	began := time.Now()
	for slice := range int(length / time.Millisecond) {
		if wait := time.Until(began.Add(time.Duration(slice) * time.Millisecond)); wait > 0 {
			time.Sleep(wait)
		}
		for bus, fd := range tr.sockets {
			for i := range messages {
				frames := tr.frames[bus]
				vectors[i].Base = &frames[tr.next[bus]][0]
				vectors[i].SetLen(16)
				messages[i].header.Iov = &vectors[i]
				messages[i].header.SetIovlen(1)
				tr.next[bus] = (tr.next[bus] + 1) % len(frames)
			}
			for done := 0; done < len(messages); {
				k, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), uintptr(unsafe.Pointer(&messages[done])), uintptr(len(messages)-done), 0, 0, 0)
				if errno != 0 && errno != unix.ENOBUFS {
					tr.t.Fatal(errno)
				}
				if errno == 0 {
					done += int(k)
				}
			}
			tr.sent[bus] += loadSlice
			n += loadSlice
		}
	}
	return n
}

// bareReader in the environment makes TestKernelBareReader the process that the
// gateway is compared with: names of interfaces and the pause between reads.
const bareReader = "MILEPOST_TEST_BARE_READER"

func startBareReader(t testing.TB, names []string, pause time.Duration) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command(self, "-test.run", "^TestKernelBareReader$")
	command.Env = append(os.Environ(), bareReader+"="+strings.Join(names, ",")+","+pause.String())
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	start(t, command)
	ready := make([]byte, 5)
	if _, err := io.ReadFull(out, ready); err != nil || string(ready) != "ready" {
		t.Fatalf("%q, %v", ready, err)
	}
	return command
}

// TestKernelBareReader is a part of TestKernelLoad: a goroutine for each interface
// that does nothing but recvmmsg, with time stamps, until it is killed.
func TestKernelBareReader(t *testing.T) {
	arguments := strings.Split(os.Getenv(bareReader), ",")
	if len(arguments) < 2 {
		t.Skip("a part of TestKernelLoad")
	}
	pause, err := time.ParseDuration(arguments[len(arguments)-1])
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for _, name := range arguments[:len(arguments)-1] {
		fd := newSender(t, name).fd
		for option, value := range map[int]int{unix.SO_TIMESTAMPNS: 1, unix.SO_RCVBUFFORCE: 4 << 20} {
			if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, value); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.SetNonblock(fd, true); err != nil { // so that Go's poller waits, as for the gateway
			t.Fatal(err)
		}
		conn, err := os.NewFile(uintptr(fd), name).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		readers.Go(func() { t.Error(readBare(conn, pause)) })
	}
	fmt.Print("ready")
	readers.Wait()
}

func readBare(conn syscall.RawConn, pause time.Duration) error {
	const batch, size, control = 64, 72, 128
	var headers [batch]struct {
		unix.Msghdr
		n uint32
	}
	var vectors [batch]unix.Iovec
	var data [batch][size]byte
	var controls [batch][control]byte
	for i := range headers {
		vectors[i].Base = &data[i][0]
		vectors[i].SetLen(size)
		headers[i].Iov = &vectors[i]
		headers[i].SetIovlen(1)
		headers[i].Control = &controls[i][0]
	}
	var got int
	var errno unix.Errno
	receive := func(fd uintptr) bool {
		for i := range headers {
			headers[i].SetControllen(control)
		}
		var n uintptr
		n, _, errno = unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&headers)), batch, unix.MSG_DONTWAIT, 0, 0)
		got = int(n)
		return errno != unix.EAGAIN
	}
	for {
		if err := conn.Read(receive); err != nil {
			return err
		}
		if errno != 0 {
			return errno
		}
		if got < batch && pause > 0 {
			time.Sleep(pause)
		}
	}
}

// systemCalls counts those of a process while f runs.
func systemCalls(t testing.TB, pid int, f func()) (calls uint64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "strace")
	command := exec.Command("strace", "-f", "-c", "-U", "calls,name", "-o", path, "-p", strconv.Itoa(pid))
	command.Stderr = os.Stderr
	start(t, command)
	time.Sleep(500 * time.Millisecond) // it says nothing when it has begun; frames are sent either way
	f()
	command.Process.Signal(os.Interrupt)
	var exit *exec.ExitError
	if err := command.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("strace:\n%s", text)
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 2 || f[1] == "total" || f[1] == "clock_gettime" { // that needs no call where there is a vDSO
			continue
		}
		if n, err := strconv.ParseUint(f[0], 10, 64); err == nil {
			calls += n
		}
	}
	if calls == 0 {
		t.Fatalf("strace has counted nothing:\n%s", text)
	}
	return calls
}
