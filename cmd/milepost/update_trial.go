package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"milepost/cmd/internal/config"
	"milepost/cmd/internal/slots"
	"milepost/cmd/internal/status"
	"milepost/cmd/internal/update"
)

// updateStatus is what `update status --json` prints.
type updateStatus struct {
	Running  string       `json:"running"` // slots are A, B or none
	Active   string       `json:"active"`
	Trial    string       `json:"trial"`
	Tries    uint8        `json:"tries_left"`
	Outcome  string       `json:"last_trial"` // none, kept, rolled back, fell back
	Reason   string       `json:"reason,omitempty"`
	Slots    []slotStatus `json:"slots"`
	Findings string       `json:"findings,omitempty"` // what is wrong with the boot state
}

type slotStatus struct {
	Slot      string `json:"slot"`
	Partition string `json:"partition"`
	Whole     bool   `json:"whole"` // it could be started
	Version   string `json:"version,omitempty"`
}

func (f *updateFlags) status(inv *invocation) error {
	machine, err := update.OpenMachine(f.booted, f.lock, false)
	if err != nil {
		return err
	}
	defer machine.Close()
	state, findings := machine.State()
	running := machine.Booted.Started
	s := updateStatus{
		Running: running.String(), Active: state.Active.String(), Trial: state.Trial.String(), Tries: state.TriesLeft,
		Outcome: state.Outcome.String(), Reason: state.Reason,
	}
	if findings != nil {
		s.Findings = findings.Error()
	}
	for _, slot := range []slots.Slot{slots.A, slots.B} {
		system := state.System(slot)
		if slot == running {
			if device, err := update.ReadRelease(f.release); err == nil {
				system.Version = device.Version
			}
		}
		s.Slots = append(s.Slots, slotStatus{slot.String(), machine.Booted.Partition(slot), system.Whole, system.Version})
	}
	if f.asJSON {
		encoder := json.NewEncoder(inv.stdout)
		encoder.SetIndent("", "  ")
		return encoder.Encode(s)
	}
	s.write(inv.stdout)
	return nil
}

func (s *updateStatus) write(w io.Writer) {
	for _, slot := range s.Slots {
		what := "empty"
		if slot.Whole {
			what = "version " + cmp.Or(slot.Version, "not known")
		}
		for _, note := range []struct {
			slot, text string
		}{{s.Running, "runs"}, {s.Active, "is started"}} {
			if slot.Slot == note.slot {
				what += ", " + note.text
			}
		}
		if slot.Slot == s.Trial {
			switch {
			case s.Running == s.Trial:
				what += " on trial"
			case s.Tries > 0:
				what += ", is tried at the next start"
			default:
				what += ", was tried"
			}
		}
		fmt.Fprintf(w, "slot %s  %-16s %s\n", slot.Slot, slot.Partition, what)
	}
	if s.Outcome != slots.NoTrialYet.String() {
		fmt.Fprintf(w, "the last trial: %s: %s\n", s.Outcome, s.Reason)
	}
	if s.Findings != "" {
		fmt.Fprintf(w, "TROUBLE: %s\n", s.Findings)
	}
}

// onTrial opens the machine if the running system is on trial; nil if it is not.
func (f *updateFlags) onTrial() (*update.Machine, slots.State, error) {
	machine, err := update.OpenMachine(f.booted, f.lock, true)
	if err != nil {
		return nil, slots.State{}, err
	}
	state, _ := machine.State() // what is damaged is not on trial
	if state.Trial == slots.None || state.Trial != machine.Booted.Started {
		machine.Close()
		return nil, state, nil
	}
	return machine, state, nil
}

func (f *updateFlags) keep(inv *invocation) error {
	machine, state, err := f.onTrial()
	if err != nil {
		return err
	}
	if machine == nil {
		return errors.New("the running system is not on trial: there is nothing to keep")
	}
	defer machine.Close()
	if err := machine.SetState(state.Keep("by hand")); err != nil {
		return err
	}
	fmt.Fprintf(inv.stdout, "slot %v is kept\n", state.Trial)
	return nil
}

// confirm watches the gateway of a system on trial. Where there is no trial it ends
// well: the image starts it every time.
func (f *updateFlags) confirm(ctx context.Context, inv *invocation) error {
	if _, err := slots.ReadBooted(f.booted); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(inv.stdout, "no image of milepost's was started: there is no trial")
		return nil
	}
	machine, state, err := f.onTrial()
	if err != nil {
		return err
	}
	if machine == nil {
		fmt.Fprintln(inv.stdout, "the running system is not on trial")
		return nil
	}
	machine.Close() // so that `update keep` can have the lock meanwhile
	fmt.Fprintf(inv.stdout, "version %s is on trial in slot %v: it has %v to be healthy for %v\n", state.System(state.Trial).Version, state.Trial, f.within, f.healthy)
	dir := f.spool
	if dir == "" {
		dir = config.Default().Spool.Dir
		if c, err := config.Load(defaultConfig); err == nil { // what is wrong with it, the gateway says
			dir = c.Spool.Dir
		}
	}
	verdict := update.Watch(ctx, func(ctx context.Context) (status.Report, error) { return f.ask(ctx, dir) }, f.healthy, f.within, func(trouble string) {
		fmt.Fprintln(inv.stdout, cmp.Or(trouble, "healthy"))
	})
	if ctx.Err() != nil {
		return ctx.Err() // the restart of somebody else; the trial is over with it
	}
	return f.conclude(inv, verdict)
}

// conclude ends the trial.
func (f *updateFlags) conclude(inv *invocation, verdict error) error {
	machine, state, err := f.onTrial()
	switch {
	case err == nil && machine == nil:
		fmt.Fprintln(inv.stdout, "the trial has ended meanwhile")
		return nil
	case err == nil:
		defer machine.Close()
		if verdict == nil {
			if err = machine.SetState(state.Keep(fmt.Sprintf("healthy for %v", f.healthy))); err != nil {
				return err
			}
			fmt.Fprintf(inv.stdout, "slot %v is kept\n", state.Trial)
			return nil
		}
		err = machine.SetState(state.RollBack(verdict.Error()))
	case verdict == nil:
		return err
	}
	// Should the reason not be written, the old system is started all the same: the
	// try was paid for before it began.
	fmt.Fprintf(inv.stderr, "milepost update confirm: rolled back, restarting: %v\n", verdict)
	return errors.Join(verdict, err, f.reboot())
}
