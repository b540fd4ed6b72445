package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// pendingEntries is how many entries a replay stores ahead of its slowest sink
// where the spool is temporary and nobody counts on it.
const pendingEntries = 128

// output is where a replay's windows go: nowhere, or through a spool to the
// targets.
type output struct {
	replay *Replay
	cancel context.CancelCauseFunc

	windows, corrections uint64 // without a store
	summaries            uint64

	dir       string
	spools    *Spools
	temporary string // the folder to remove in the end, if any
	store     *Store
	delivery  *Delivery
	// broken says that something could not be stored or delivered.
	broken bool
}

// replayState says in a spool's folder which replay it belongs to.
type replayState struct {
	Version int           `json:"version"`
	Device  string        `json:"device"`
	Boot    uplink.BootID `json:"boot"`
}

const replayStateFile = "replay.json"

// stateVersion is 2 since the notes of cursors hold counts, and a folder may hold
// several spools: who knows nothing of these must not go on with it.
const stateVersion = 2

func (r *Replay) openOutput(boot uplink.BootID, cancel context.CancelCauseFunc) (out *output, err error) {
	out = &output{replay: r, cancel: cancel}
	if r.Targets == nil && r.SpoolDir == "" {
		return out, nil
	}
	defer func() {
		if err != nil {
			out.close()
		}
	}()
	dir, options := r.SpoolDir, r.Spool
	store := StoreOptions{Device: r.Device, Boot: boot, Priorities: r.Priorities, Refresh: int64(r.Refresh), Span: int64(r.Span)}
	if r.Speed > 0 {
		store.Span = 1 // at the pace of life nobody waits for a batch to be full
	}
	var earlier []spool.Info
	if dir == "" {
		if dir, err = os.MkdirTemp("", "milepost-replay-"); err != nil {
			return out, err
		}
		out.temporary = dir
		options.Sync = spool.SyncNever
		store.MaxPending = pendingEntries
	} else if store.Resume, earlier, err = r.prepareDir(dir, boot); err != nil {
		return out, err
	}
	out.dir = dir
	options.Logger = r.Logger
	if out.spools, err = OpenSpools(dir, options, r.Priorities); err != nil {
		return out, err
	}
	out.store = NewStore(out.spools, store)
	var targets []Target
	if r.Targets != nil {
		noteOf := func(name string) []byte { return newestNote(earlier, name) }
		if targets, err = r.Targets(TargetOptions{Device: r.Device, Boot: boot, Dir: dir}, noteOf); err != nil {
			return out, err
		}
		for i := range earlier {
			if err = sameTargets(dir, &earlier[i], targets); err != nil {
				return out, err
			}
		}
	}
	out.delivery, err = NewDelivery(out.spools, targets, out.store, r.Logger)
	return out, err
}

// newestNote is what the sink of that name kept with its last acknowledgement, in
// whatever class that was.
func newestNote(spools []spool.Info, name string) (own []byte) {
	number := uint64(0)
	for i := range spools {
		for _, c := range spools[i].Cursors {
			if n := parseNote(c.Note); c.Name == name && (own == nil || n.number > number) {
				own, number = n.sink, n.number
			}
		}
	}
	return own
}

// prepareDir sees to it that the folder is this replay's, or becomes it.
// Earlier is what an interrupted run left in it, a spool a class.
func (r *Replay) prepareDir(dir string, boot uplink.BootID) (resume Stored, earlier []spool.Info, err error) {
	path := filepath.Join(dir, replayStateFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := claimable(dir); err != nil {
			return nil, nil, err
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, nil, err
		}
		text, err := json.Marshal(replayState{stateVersion, r.Device, boot})
		if err != nil {
			return nil, nil, err
		}
		return nil, nil, writeDurably(path, append(text, '\n'))
	case err != nil:
		return nil, nil, err
	}
	var state replayState
	if err := json.Unmarshal(text, &state); err != nil {
		return nil, nil, fmt.Errorf("%s: %w; remove the folder %s to start over", path, err, dir)
	}
	if state.Version < 1 || state.Version > stateVersion {
		return nil, nil, fmt.Errorf("%s was made by a newer milepost (version %d)", path, state.Version)
	}
	if !r.Resume {
		return nil, nil, fmt.Errorf("%s holds a replay already; go on with it with --resume, or give --spool another folder", dir)
	}
	if state.Boot != boot || state.Device != r.Device {
		return nil, nil, fmt.Errorf("%s holds the replay of other logs, or with other databases or options; give --spool another folder", dir)
	}
	resume, err = LastStored(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil // killed before it had a spool
	}
	if err != nil {
		return nil, nil, fmt.Errorf("resume from %s: %w", dir, err)
	}
	for priority := range resume {
		info, err := spool.Inspect(spoolFolder(dir, priority).Dir)
		if err != nil {
			return nil, nil, err
		}
		earlier = append(earlier, info)
	}
	if state.Version < stateVersion {
		state.Version = stateVersion
		if text, err = json.Marshal(state); err == nil {
			err = writeDurably(path, append(text, '\n'))
		}
	}
	return resume, earlier, err
}

// sameTargets refuses to resume with a target that the interrupted run did not
// have, once records are gone that only the others have got.
func sameTargets(dir string, earlier *spool.Info, targets []Target) error {
	var names []string
	acknowledged := uint64(0)
	for _, c := range earlier.Cursors {
		names = append(names, c.Name)
		acknowledged = max(acknowledged, c.Acked)
	}
	if acknowledged == 0 || len(earlier.Chapters) > 0 && earlier.Chapters[0].First == 1 {
		return nil
	}
	for _, t := range targets {
		if !slices.Contains(names, t.Name) {
			return fmt.Errorf("%s cannot go on with sink %s: a part of its records went to %s and is deleted; resume with that, or give --spool another folder to start over", dir, t.Name, strings.Join(names, " and "))
		}
	}
	return nil
}

// claimable says whether a folder without a replay may become one: it has to be
// empty, but for what a process left that was killed while it began.
func claimable(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), replayStateFile) {
			return fmt.Errorf("%s is not empty and holds no replay; give --spool a folder of its own", dir)
		}
	}
	for _, e := range entries {
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// writeDurably makes a file appear whole or not at all.
func writeDurably(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

func (o *output) put(ctx context.Context, w *aggregate.Window) error {
	if o.store != nil {
		err := o.store.Put(ctx, w)
		o.broken = o.broken || err != nil
		return err
	}
	o.windows++
	if w.Revision != 0 {
		o.corrections++
	}
	for i := range w.Groups {
		for j := range w.Groups[i].Summaries {
			if w.Groups[i].Summaries[j].Count != 0 {
				o.summaries++
			}
		}
	}
	w.Release()
	return nil
}

// start begins to deliver. A target that fails for good ends the replay, unless
// the spool keeps what it would have got.
func (o *output) start(ctx context.Context) {
	if o.delivery == nil {
		return
	}
	o.delivery.Start(ctx, func(err error) {
		if o.temporary != "" || errors.Is(err, uplink.ErrGone) {
			o.cancel(err)
		}
	})
}

// finish stores what is left, waits until it is delivered and closes all. With
// whole false the replay was broken off.
func (o *output) finish(ctx context.Context, whole bool) error {
	if o.store == nil {
		return nil
	}
	var errs []error
	if ctx.Err() == nil {
		if whole {
			errs = append(errs, o.store.End(ctx))
		}
		errs = append(errs, o.store.Flush(ctx))
		errs = append(errs, o.spools.Sync())
	}
	if !whole && ctx.Err() == nil {
		// What was summarised before the break is still delivered.
		o.replay.Logger.Debug("the replay broke off; delivering what there is")
	}
	errs = append(errs, o.spools.End())
	deliveryErr := o.delivery.Wait()
	errs = append(errs, o.close())
	if ctx.Err() != nil {
		o.broken = true
		if deliveryErr != nil {
			deliveryErr = context.Cause(ctx)
		}
	}
	err := errors.Join(append(errs, deliveryErr)...)
	o.broken = o.broken || err != nil
	return err
}

// advise adds to the error of a run that was interrupted, or could not store or
// deliver, what can be done about it. Logs that cannot be read are another matter.
func (o *output) advise(err error) error {
	switch {
	case err == nil || !o.broken:
		return err
	case o.temporary == "":
		return fmt.Errorf("%w\nwhat is not delivered is kept in %s: run the same command again with --resume", err, o.dir)
	}
	return fmt.Errorf("%w\nwhat is not delivered is not kept: with --spool DIR it would be, to go on with --resume", err)
}

func (o *output) close() error {
	var err error
	if o.spools != nil {
		err = o.spools.Close()
	}
	if o.store != nil {
		o.store.closed()
	}
	if o.temporary != "" {
		err = errors.Join(err, os.RemoveAll(o.temporary))
	}
	return err
}

func (o *output) addTo(result *ReplayResult) {
	if o.store == nil {
		result.Ledger.Windows, result.Ledger.Corrections = o.windows, o.corrections
		result.Ledger.Summaries, result.Ledger.Records = o.summaries, o.summaries
		return
	}
	o.store.addTo(&result.Ledger)
	result.Resumed = o.store.counts.Resumed
	result.Kept = o.temporary == ""
	if o.delivery == nil { // it could not be made
		return
	}
	result.Deliveries = o.delivery.Stats()
	for i := range result.Deliveries {
		d := &result.Deliveries[i]
		d.Undelivered = result.Ledger.Records - min(d.Done, result.Ledger.Records)
		for j := range d.Entries {
			d.Entries[j].Appended = o.store.classes[j].appended
		}
	}
}
