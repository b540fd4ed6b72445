package update

import (
	"errors"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"
)

// Restart restarts the device: in order, or, where that cannot even be asked for,
// at once. It returns as soon as the restart is under way.
func Restart() error {
	out, err := exec.Command("systemctl", "reboot").CombinedOutput()
	if err == nil {
		return nil
	}
	unix.Sync()
	if e := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART); e != nil {
		return errors.Join(fmt.Errorf("systemctl reboot: %w: %s", err, out), fmt.Errorf("reboot(2): %w", e))
	}
	return nil
}
