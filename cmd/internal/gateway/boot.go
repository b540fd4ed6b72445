package gateway

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"milepost/uplink"
)

// kernelBootFile names the run of the kernel, random(4).
const kernelBootFile = "/proc/sys/kernel/random/boot_id"

// runState says in a spool's folder how often the program was started in this run
// of the kernel.
type runState struct {
	Version int           `json:"version"`
	Kernel  uplink.BootID `json:"kernel_boot"`
	Runs    uint32        `json:"runs"`
}

const (
	runStateFile    = "run.json"
	runStateVersion = 1
)

// KernelBoot is the ID of the kernel's run; of systems that have none, a random one.
func KernelBoot() (boot uplink.BootID) {
	text, err := os.ReadFile(kernelBootFile)
	if err == nil {
		boot, err = uplink.ParseBootID(strings.TrimSpace(string(text)))
	}
	if err != nil {
		rand.Read(boot[:])
		mark(&boot)
	}
	return boot
}

// NewBoot gives a start of the program in a run of the kernel the boot ID of its
// records, and durably notes that in the spool's folder.
//
// The first start has the kernel's. A later one, as after a crash, has another,
// made of that: its records are numbered from 1 again, as it cannot be told how
// many of the earlier ones were made, and perhaps delivered, that are not stored.
func NewBoot(dir string, kernel uplink.BootID) (boot uplink.BootID, err error) {
	path := filepath.Join(dir, runStateFile)
	state := runState{Version: runStateVersion}
	text, err := os.ReadFile(path)
	switch {
	case err == nil:
		if err = json.Unmarshal(text, &state); err == nil && state.Version > runStateVersion {
			err = fmt.Errorf("%s was made by a newer milepost (version %d)", path, state.Version)
		}
	case errors.Is(err, fs.ErrNotExist):
		if _, replay := os.Stat(filepath.Join(dir, replayStateFile)); replay == nil {
			return boot, fmt.Errorf("%s is the spool of a replay; give the gateway another folder (spool.dir)", dir)
		}
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		// Whatever it is, no key may be used twice.
		state = runState{}
		rand.Read(state.Kernel[:])
		mark(&state.Kernel)
		return state.Kernel, err
	}
	if state.Kernel != kernel {
		state = runState{Version: runStateVersion, Kernel: kernel}
	}
	state.Runs++
	if text, err = json.Marshal(state); err == nil {
		err = writeDurably(path, append(text, '\n'))
	}
	if state.Runs == 1 && err == nil {
		return kernel, nil
	}
	if err != nil { // the count may be used again
		rand.Read(boot[:])
	} else {
		sum := sha256.Sum256(binary.LittleEndian.AppendUint32(kernel[:], state.Runs))
		copy(boot[:], sum[:])
	}
	mark(&boot)
	return boot, err
}

// mark makes a UUID of version 8, of our own making (RFC 9562).
func mark(boot *uplink.BootID) {
	boot[6] = boot[6]&0x0f | 0x80
	boot[8] = boot[8]&0x3f | 0x80
}
