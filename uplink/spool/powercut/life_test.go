//go:build linux

package powercut

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"milepost/uplink/spool"
	"milepost/uplink/uplinktest/volatiledisk"
)

// scenario is what the cuts of one spool's life have in common.
type scenario struct {
	fs      volatiledisk.FileSystem
	disk    volatiledisk.Options
	noFsync bool
	task    task
	// hurried has the kernel write to the disk soon what nobody has synced, so
	// that more of it is in the disk's cache when the power goes.
	hurried bool
	// least is how many requests the disk serves at least until the power goes.
	least int
}

func (s scenario) String() string {
	sync := fmt.Sprintf("sync %v and after %d", s.task.Sync, s.task.SyncEvery)
	switch s.task.Sync {
	case spool.SyncAlways:
		sync = "sync always"
	case spool.SyncNever:
		sync = fmt.Sprint("sync after ", s.task.SyncEvery)
	}
	return fmt.Sprintf("%s, %s, quota %d, acknowledging %v, hurried %v", s.fs, sync, s.task.MaxBytes, s.task.Acks, s.hurried)
}

// tally sums up what happened.
type tally struct {
	lives, cuts, mounting, checks int
	kept, stale, lost             int // blocks in the disk's cache
	looked                        int // for durable entries
	findings, skipped, missing    int // reported at the openings after cuts
	evicted, uncounted            uint64
	ghosts                        int
	merged                        int // entries read that were merged from others
}

func (t *tally) String() string {
	return fmt.Sprintf("%d spools, %d checks, %d cuts while mounting; of what was in the disk's cache %d blocks were kept, %d stale, %d lost; "+
		"durable entries looked for: %d; reported at openings: %d torn tails and the like, %d ranges missing, %d ranges skipped; evicted %d, of which %d not counted so after the cut; called durable after the cut, and not counted: %d; merged entries read: %d",
		t.lives, t.checks, t.mounting, t.kept, t.stale, t.lost, t.looked, t.findings, t.missing, t.skipped, t.evicted, t.uncounted, t.ghosts, t.merged)
}

// life is one spool on one disk, through some power cuts.
type life struct {
	scenario
	*volatiledisk.Machine
	*ledger
	*tally
	random *rand.Rand
	run    uint32
}

// newLife makes a life that follows from a seed, but for the time that things
// take.
func newLife(s scenario, seed uint64, t *tally) (*life, error) {
	l := &life{scenario: s, ledger: newLedger(), tally: t, random: rand.New(rand.NewPCG(seed, 1))}
	l.scenario.disk.Seed = seed
	t.lives++
	if err := volatiledisk.HurryWriteback(s.hurried); err != nil {
		return nil, err
	}
	var err error
	l.Machine, err = volatiledisk.NewMachine("disk", s.fs, l.scenario.disk)
	return l, err
}

func (l *life) spoolDir() string { return filepath.Join(l.Dir, "spool") }

// cut lets a writer write until the power goes. Errors are of the harness; what
// is wrong with the spool or its file system goes to the ledger.
func (l *life) cut() error {
	l.tally.cuts++
	seed := l.random.Uint64()
	// A boot and an opening take a few dozen.
	requests := l.random.IntN(200)
	if l.random.IntN(3) == 0 {
		requests = l.random.IntN(40)
	}
	requests += l.least
	early := l.least == 0 && l.random.IntN(6) == 0
	if early {
		l.Disk.CutAfter(requests%12, seed)
	}
	err := l.Start()
	var unmountable *volatiledisk.MountError
	switch {
	case err == nil:
		switch {
		case early:
		case l.random.IntN(2) == 0:
			l.Disk.CutBeforeFlush(requests, seed)
		default:
			l.Disk.CutAfter(requests, seed)
		}
		if err := l.write(seed); err != nil {
			return err
		}
		if err := l.Stop(); err != nil {
			return err
		}
	case !errors.As(err, &unmountable):
		return err
	case !l.IsCut():
		l.complain("%v", err)
		return nil
	default:
		l.mounting++
	}
	report := l.Disk.Report()
	l.kept += report.Kept
	l.stale += report.Stale
	l.tally.lost += report.Lost
	return l.Restart()
}

// write runs a writer until the power goes, or until it has written enough and
// the power goes then.
func (l *life) write(seed uint64) error {
	l.run++
	job := l.scenario.task
	job.Dir, job.Run, job.Seed = l.spoolDir(), l.run, seed
	text, err := json.Marshal(job)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), taskVariable+"="+string(text))
	if l.noFsync {
		cmd.Env = append(cmd.Env, noFsyncVariable+"=1")
	}
	cmd.Stderr = os.Stderr
	words, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	done, heard := make(chan struct{}), make(chan []utterance, 1)
	go func() { heard <- listen(words, sync.OnceFunc(func() { close(done) })) }()
	select {
	case <-l.Disk.Gone():
	case <-done:
	case <-time.After(20 * time.Second): // a very busy machine: the cut comes now
	}
	cut := l.Disk.Cut(seed)
	cmd.Process.Kill()
	l.take(l.run, <-heard, cut.At)
	cmd.Wait()
	return nil
}

// end adds to the tally what is known in the end.
func (l *life) end() {
	l.tally.evicted += l.ledger.evicted
	l.tally.uncounted += l.ledger.uncounted
	l.tally.ghosts += l.ledger.ghosts
	l.tally.merged += l.ledger.merged
}

// check boots the machine, opens the spool and compares it with the ledger; goes
// on appending; closes it and opens it again, which must find nothing to repair.
func (l *life) check() error {
	l.checks++
	if err := l.Start(); err != nil {
		var unmountable *volatiledisk.MountError
		if errors.As(err, &unmountable) {
			l.complain("%v", err)
			return nil
		}
		return err
	}
	if err := l.checkTwice(); err != nil {
		l.complain("%v", err)
	}
	return l.Stop()
}

func (l *life) checkTwice() error {
	opts := l.scenario.task.options()
	s, err := spool.Open(l.spoolDir(), opts)
	if err != nil {
		return err
	}
	l.report(s)
	if err := errors.Join(l.checkSpool(s, opts.MaxBytes), l.goOn(s), s.Close()); err != nil {
		return err
	}
	if s, err = spool.Open(l.spoolDir(), opts); err != nil {
		return err
	}
	if r := s.Report(); r.Created || r.Unclean || len(r.Findings) > 0 || len(r.Missing) > 0 || len(r.Skipped) > 0 || r.BytesQuarantined > 0 {
		l.complain("the second opening finds something: %+v", r)
	}
	if err := errors.Join(l.checkSpool(s, opts.MaxBytes), s.Close()); err != nil {
		return err
	}
	return l.checkFiles(l.spoolDir())
}

// goOn appends some entries.
func (l *life) goOn(s *spool.Spool) error {
	l.run++
	for range 3 {
		index := s.Stats().Next
		l.hear(l.run, wordAppends, index)
		got, err := s.Append(payload(index, l.run))
		if err != nil {
			return err
		}
		if got != index {
			l.complain("index %d was announced, the entry got %d", index, got)
		}
	}
	if err := s.Sync(); err != nil {
		return err
	}
	l.hear(l.run, wordDurable, s.Durable())
	return nil
}

// report adds what an opening says to the tally.
func (l *life) report(s *spool.Spool) {
	r := s.Report()
	l.findings += len(r.Findings)
	l.skipped += len(r.Skipped)
	l.missing += len(r.Missing)
	l.looked += len(l.durable)
}
