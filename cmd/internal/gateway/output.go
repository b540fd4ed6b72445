package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"milepost/aggregate"
	"milepost/uplink"
	"milepost/uplink/spool"
)

// pendingEntries is how many entries a replay stores ahead of its slowest sink
// where the spool is temporary and nobody counts on it.
const pendingEntries = 256

// output is where a replay's windows go: nowhere, or through a spool to the
// targets.
type output struct {
	replay *Replay
	cancel context.CancelCauseFunc

	windows, corrections uint64 // without a store
	summaries            uint64

	dir       string
	spool     *spool.Spool
	temporary string // the folder to remove in the end, if any
	store     *Store
	delivery  *Delivery
	resumed   uint64
}

// replayState says in a spool's folder which replay it belongs to.
type replayState struct {
	Version int           `json:"version"`
	Device  string        `json:"device"`
	Boot    uplink.BootID `json:"boot"`
}

const replayStateFile = "replay.json"

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
	store := StoreOptions{Device: r.Device, Boot: boot, Refresh: int64(r.Refresh), EachWindow: r.Speed > 0}
	notes := map[string][]byte{}
	if dir == "" {
		if dir, err = os.MkdirTemp("", "milepost-replay-"); err != nil {
			return out, err
		}
		out.temporary = dir
		options.Sync = spool.SyncNever
		store.MaxPending = pendingEntries
	} else if store.Resume, notes, err = r.prepareDir(dir, boot); err != nil {
		return out, err
	}
	out.dir, out.resumed = dir, store.Resume
	options.Logger = r.Logger
	if out.spool, err = spool.Open(dir, options); err != nil {
		return out, fmt.Errorf("spool %s: %w", dir, err)
	}
	out.store = NewStore(out.spool, store)
	var targets []Target
	if r.Targets != nil {
		if targets, err = r.Targets(func(name string) []byte { return notes[name] }); err != nil {
			return out, err
		}
	}
	out.delivery, err = NewDelivery(out.spool, targets, out.store, r.Logger)
	return out, err
}

// prepareDir sees to it that the folder is this replay's, or becomes it.
func (r *Replay) prepareDir(dir string, boot uplink.BootID) (resume uint64, notes map[string][]byte, err error) {
	path := filepath.Join(dir, replayStateFile)
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if entries, _ := os.ReadDir(dir); len(entries) > 0 {
			return 0, nil, fmt.Errorf("%s is not empty and holds no replay; give --spool a folder of its own", dir)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return 0, nil, err
		}
		text, err := json.Marshal(replayState{1, r.Device, boot})
		if err != nil {
			return 0, nil, err
		}
		return 0, nil, writeDurably(path, append(text, '\n'))
	case err != nil:
		return 0, nil, err
	}
	var state replayState
	if err := json.Unmarshal(text, &state); err != nil {
		return 0, nil, fmt.Errorf("%s: %w; remove the folder %s to start over", path, err, dir)
	}
	if state.Version != 1 {
		return 0, nil, fmt.Errorf("%s was made by a newer milepost (version %d)", path, state.Version)
	}
	if !r.Resume {
		return 0, nil, fmt.Errorf("%s holds a replay already; go on with it with --resume, or give --spool another folder", dir)
	}
	if state.Boot != boot || state.Device != r.Device {
		return 0, nil, fmt.Errorf("%s holds the replay of other logs, or with other databases or options; give --spool another folder", dir)
	}
	if resume, err = LastStored(dir); err != nil {
		return 0, nil, fmt.Errorf("resume from %s: %w", dir, err)
	}
	info, err := spool.Inspect(dir)
	if err != nil {
		return 0, nil, err
	}
	notes = make(map[string][]byte)
	for _, c := range info.Cursors {
		_, notes[c.Name] = splitNote(c.Note)
	}
	return resume, notes, nil
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
		return o.store.Put(ctx, w)
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
		errs = append(errs, o.store.Flush(ctx))
		errs = append(errs, o.spool.Sync())
	}
	if !whole && ctx.Err() == nil {
		// What was summarised before the break is still delivered.
		o.replay.Logger.Debug("the replay broke off; delivering what there is")
	}
	errs = append(errs, o.spool.End())
	deliveryErr := o.delivery.Wait()
	errs = append(errs, o.close())
	switch {
	case deliveryErr == nil:
	case ctx.Err() != nil:
		errs = append(errs, context.Cause(ctx))
	case o.temporary == "":
		errs = append(errs, fmt.Errorf("%w\nthe records are kept in %s: run the same command again with --resume", deliveryErr, o.replay.SpoolDir))
	default:
		errs = append(errs, deliveryErr)
	}
	return errors.Join(errs...)
}

func (o *output) close() error {
	var err error
	if o.spool != nil {
		err = o.spool.Close()
	}
	if o.temporary != "" {
		err = errors.Join(err, os.RemoveAll(o.temporary))
	}
	return err
}

func (o *output) addTo(result *ReplayResult) {
	result.Resumed = o.resumed
	if o.store == nil {
		result.Ledger.Windows, result.Ledger.Corrections = o.windows, o.corrections
		result.Ledger.Summaries, result.Ledger.Records = o.summaries, o.summaries
		return
	}
	o.store.addTo(&result.Ledger)
	result.Deliveries = o.delivery.Stats()
}
