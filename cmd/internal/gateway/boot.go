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

// ErrReplay says that a folder is not a gateway's.
var ErrReplay = errors.New("this is the spool of a replay")

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
// records, and durably notes that in the spool's folder. Earlier are those of the
// starts before it in the same run of the kernel, the last ones if they are many.
//
// The first start has the kernel's. A later one, as after a crash, has another,
// made of that: its records are numbered from 1 again, as it cannot be told how
// many of the earlier ones were made, and perhaps delivered, that are not stored.
func NewBoot(dir string, kernel uplink.BootID) (boot uplink.BootID, earlier []uplink.BootID, err error) {
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
			return boot, nil, fmt.Errorf("%s: %w; give the gateway another folder (spool.dir)", dir, ErrReplay)
		}
		err = os.MkdirAll(dir, 0o755)
	}
	if err != nil {
		// Whatever it is, no key may be used twice.
		state = runState{}
		rand.Read(state.Kernel[:])
		mark(&state.Kernel)
		return state.Kernel, nil, err
	}
	if state.Kernel != kernel {
		state = runState{Version: runStateVersion, Kernel: kernel}
	}
	state.Runs++
	if text, err = json.Marshal(state); err == nil {
		err = writeDurably(path, append(text, '\n'))
	}
	if err != nil { // the count may be used again
		rand.Read(boot[:])
		mark(&boot)
		return boot, nil, err
	}
	for run := max(1, int64(state.Runs)-maxEarlier); run < int64(state.Runs); run++ {
		earlier = append(earlier, bootOf(kernel, uint32(run)))
	}
	return bootOf(kernel, state.Runs), earlier, nil
}

// maxEarlier is how many earlier starts are of interest: their records may wait.
const maxEarlier = 16

// bootOf is the boot ID of a start in a run of the kernel, the first one being 1.
func bootOf(kernel uplink.BootID, run uint32) (boot uplink.BootID) {
	if run == 1 {
		return kernel
	}
	sum := sha256.Sum256(binary.LittleEndian.AppendUint32(kernel[:], run))
	copy(boot[:], sum[:])
	mark(&boot)
	return boot
}

// mark makes a UUID of version 8, of our own making (RFC 9562).
func mark(boot *uplink.BootID) {
	boot[6] = boot[6]&0x0f | 0x80
	boot[8] = boot[8]&0x3f | 0x80
}
