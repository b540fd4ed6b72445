package gateway

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"sync"
	"time"

	"milepost/cmd/internal/config"
	"milepost/uplink/spool"
)

// Spools are the open spools of one folder, one for each class: what has the
// same priority. The folder itself is the spool of what is normal; its subfolders
// high and low are those of the other classes. They share their quota, of which
// the less important gives way.
//
// All methods are safe for concurrent use but for Close, after which there is
// Stats only.
type Spools struct {
	dir     string
	options spool.Options

	mu      sync.Mutex
	classes []*classSpool // the most important first; replaced, never changed
}

// list is the open spools, the most important first.
func (s *Spools) list() []*classSpool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.classes
}

// classSpool is the spool of a class.
type classSpool struct {
	*spool.Spool
	priority config.Priority
	// shared says that it can find the quota taken up by what is more important.
	shared bool
}

// priorities are the classes, the most important first.
var priorities = [...]config.Priority{config.PriorityHigh, config.PriorityNormal, config.PriorityLow}

// SpoolFolder is where the spool of a class is.
type SpoolFolder struct {
	Priority config.Priority
	Dir      string
}

// SpoolFolders are the folders of the spools in dir, the most important first:
// that of what is normal is always among them, there or not. The others have
// chapters: without, a process was killed while it made them.
func SpoolFolders(dir string) (folders []SpoolFolder) {
	for _, p := range priorities {
		f := spoolFolder(dir, p)
		if _, err := os.Stat(filepath.Join(f.Dir, "chapters")); p == config.PriorityNormal || err == nil {
			folders = append(folders, f)
		}
	}
	return folders
}

func spoolFolder(dir string, p config.Priority) SpoolFolder {
	if p != config.PriorityNormal {
		dir = filepath.Join(dir, string(p))
	}
	return SpoolFolder{p, dir}
}

// OpenSpools opens, or makes, the spools in a folder: that of what is normal,
// those of the priorities that a rule gives, and those that are there. The
// options are those of one spool; MaxBytes is for all together.
func OpenSpools(dir string, o spool.Options, rules []config.PriorityRule) (*Spools, error) {
	folders := SpoolFolders(dir)
	for _, p := range priorities {
		if used(rules, p) && !slices.ContainsFunc(folders, func(f SpoolFolder) bool { return f.Priority == p }) {
			folders = append(folders, spoolFolder(dir, p))
		}
	}
	sort.Slice(folders, func(i, j int) bool { return folders[i].Priority.Level() > folders[j].Priority.Level() })
	if len(folders) > 1 && o.MaxBytes > 0 {
		o.Quota, o.MaxBytes = spool.NewQuota(o.MaxBytes), 0
	}
	s := &Spools{dir: dir, options: o}
	// The normal one comes first: its folder holds the others'.
	sort.SliceStable(folders, func(i, j int) bool { return len(folders[i].Dir) < len(folders[j].Dir) })
	for _, f := range folders {
		o.Priority = f.Priority.Level()
		open, err := spool.Open(f.Dir, o)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.classes = append(s.classes, &classSpool{open, f.Priority, o.Quota != nil})
	}
	slices.SortFunc(s.classes, func(a, b *classSpool) int { return b.priority.Level() - a.priority.Level() })
	return s, nil
}

// Ensure opens, or makes, the spools that the rules need beside those that are
// open, and says whether there was one. They must share a Quota, or have none.
func (s *Spools) Ensure(rules []config.PriorityRule) (added bool, err error) {
	for _, p := range priorities {
		if !used(rules, p) || s.class(p) != nil {
			continue
		}
		o := s.options
		o.Priority = p.Level()
		open, err := spool.Open(spoolFolder(s.dir, p).Dir, o)
		if err != nil {
			return added, err
		}
		added = true
		classes := append(slices.Clone(s.list()), &classSpool{open, p, o.Quota != nil})
		slices.SortFunc(classes, func(a, b *classSpool) int { return b.priority.Level() - a.priority.Level() })
		s.mu.Lock()
		s.classes = classes
		s.mu.Unlock()
	}
	return added, nil
}

// used reports whether a rule gives a priority.
func used(rules []config.PriorityRule, p config.Priority) bool {
	return slices.ContainsFunc(rules, func(r config.PriorityRule) bool { return r.Priority == p })
}

// Sync makes durable what was appended. Entries for which more important ones
// leave no room stay in memory; that is no error.
func (s *Spools) Sync() error {
	return s.each(func(c *classSpool) error { return c.Sync() })
}

// End says that nothing more will be appended.
func (s *Spools) End() error {
	return s.each(func(c *classSpool) error { return c.End() })
}

// Close closes the spools. What found no room until now is not stored, which
// Stats tells as Waiting.
func (s *Spools) Close() error {
	err := s.Sync()
	// The least important first: its share of the quota goes with it, and those
	// that close later have nothing left to write.
	for _, c := range slices.Backward(s.list()) {
		err = errors.Join(err, c.tolerate(c.Spool.Close()))
	}
	return err
}

// each calls do for each spool, the most important first: it may need the room of
// the others.
func (s *Spools) each(do func(*classSpool) error) error {
	var errs []error
	for _, c := range s.list() {
		errs = append(errs, c.tolerate(do(c)))
	}
	return errors.Join(errs...)
}

// tolerate makes nothing of an error that says that the quota is taken up by what
// is more important: that is as it should be, and counted.
func (c *classSpool) tolerate(err error) error {
	if c.shared && errors.Is(err, spool.ErrQuota) {
		return nil
	}
	if err != nil && c.priority != config.PriorityNormal {
		return fmt.Errorf("class %s: %w", c.priority, err)
	}
	return err
}

// class is the spool of a priority.
func (s *Spools) class(p config.Priority) *classSpool {
	for _, c := range s.list() {
		if c.priority == p {
			return c
		}
	}
	return nil
}

// Stored is the sequence of the last record that each class in a folder has, or
// had when it was delivered. What is missing in it has none.
type Stored map[config.Priority]uint64

// LastStored finds out how far an earlier run has stored the classes in a folder.
// The error is fs.ErrNotExist where there is no spool.
func LastStored(dir string) (Stored, error) {
	stored := make(Stored)
	for _, f := range SpoolFolders(dir) {
		sequence, err := lastStored(f.Dir)
		if err != nil {
			return nil, err
		}
		stored[f.Priority] = sequence
	}
	return stored, nil
}

// Last is the highest sequence of all classes.
func (s Stored) Last() (sequence uint64) {
	for _, n := range s {
		sequence = max(sequence, n)
	}
	return sequence
}

// Stats are those of all spools together, but for the cursors. The indexes First,
// Next and Durable are those of the spool of what is normal.
func (s *Spools) Stats() (sum spool.Stats) {
	sum = s.class(config.PriorityNormal).Stats()
	sum.Cursors = nil
	for _, c := range s.list() {
		if c.priority == config.PriorityNormal {
			continue
		}
		st := c.Stats()
		sum.Entries += st.Entries
		sum.Waiting += st.Waiting
		sum.Bytes += st.Bytes
		sum.Chapters += st.Chapters
		sum.Appended += st.Appended
		sum.PayloadBytes += st.PayloadBytes
		sum.SegmentBytes += st.SegmentBytes
		sum.Released += st.Released
		sum.Missing += st.Missing
		if st.State > sum.State {
			sum.State, sum.Cause, sum.Since = st.State, st.Cause, st.Since
		}
		sum.Dropped += st.Dropped
		sum.DroppedBytes += st.DroppedBytes
		sum.DroppedFrom, sum.DroppedUntil = rangeOfBoth(sum.DroppedFrom, sum.DroppedUntil, st.DroppedFrom, st.DroppedUntil)
		sum.EvictedEntries += st.EvictedEntries
		sum.EvictedBytes += st.EvictedBytes
		sum.EvictedFrom, sum.EvictedUntil = rangeOfBoth(sum.EvictedFrom, sum.EvictedUntil, st.EvictedFrom, st.EvictedUntil)
		sum.ThinnedEntries += st.ThinnedEntries
		sum.ThinnedBytes += st.ThinnedBytes
		sum.ThinnedFrom, sum.ThinnedUntil = rangeOfBoth(sum.ThinnedFrom, sum.ThinnedUntil, st.ThinnedFrom, st.ThinnedUntil)
		sum.QuarantinedBytes += st.QuarantinedBytes
		sum.DiscardedBytes += st.DiscardedBytes
		sum.WrittenBytes += st.WrittenBytes
		sum.Syncs += st.Syncs
		sum.SyncErrors += st.SyncErrors
		sum.WriteErrors += st.WriteErrors
	}
	if sum.PayloadBytes > 0 {
		sum.Amplification = float64(sum.WrittenBytes) / float64(sum.PayloadBytes)
	}
	return sum
}

// rangeOfBoth is the range of times that has both ranges in it; zero times are
// none.
func rangeOfBoth(from, until, from2, until2 time.Time) (time.Time, time.Time) {
	if from.IsZero() || !from2.IsZero() && from2.Before(from) {
		from = from2
	}
	if until2.After(until) {
		until = until2
	}
	return from, until
}
