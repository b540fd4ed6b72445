package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// brought are the files of the boot partition that are the gateway's
// configuration, in lower case.
var brought = []string{
	"milepost.yaml", "environment", authorizedKeys,
	"*.dbc", "*.pem", "*.crt", "*.key", "*.network", "*.link", "*.netdev",
}

const authorizedKeys = "authorized_keys"

// maxBrought is more than any of them has; a file that is larger is a mistake.
const maxBrought = 16 << 20

// configuration brings what changed on the boot partition into the configuration.
type configuration struct {
	boot   string // where the boot partition is
	config string // the folder of the configuration
	record string // a file that says what was brought last
	gid    int    // of the group that may read the configuration; negative to leave it
}

// bring copies the files of the boot partition that are new there or have changed
// since they were brought last, and says which. One that was changed in the
// configuration itself stays as it is until the one on the boot partition changes.
// A key that was taken off the boot partition is taken off here, too; whatever else
// vanishes there stays, as a FAT file system can lose a file.
//
// Each file comes under another name first and is then renamed, so that a power
// cut leaves the old one or the new one.
func (c *configuration) bring() (said []string, err error) {
	entries, err := os.ReadDir(c.boot)
	if err != nil {
		return nil, err
	}
	last, err := c.readRecord()
	if err != nil {
		said = append(said, fmt.Sprintf("what was brought last is not known (%v): all is brought again", err))
	}
	now := map[string]string{}
	var failures []error
	for _, entry := range entries {
		name := strings.ToLower(entry.Name())
		if !entry.Type().IsRegular() || !isBrought(name) {
			continue
		}
		body, err := readBrought(filepath.Join(c.boot, entry.Name()))
		if err != nil {
			failures = append(failures, err)
			now[name] = last[name]
			continue
		}
		sum := fmt.Sprintf("%x", sha256.Sum256(body))
		now[name] = sum
		path := filepath.Join(c.config, name)
		if _, err := os.Stat(path); last[name] == sum && err == nil {
			continue
		}
		if err := writeDurably(path, body, 0o640, c.gid); err != nil {
			failures = append(failures, err)
			now[name] = last[name]
			continue
		}
		said = append(said, name+" is taken from the boot partition")
	}
	if _, was := last[authorizedKeys]; was && now[authorizedKeys] == "" {
		if err := os.Remove(filepath.Join(c.config, authorizedKeys)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failures = append(failures, err)
			now[authorizedKeys] = last[authorizedKeys]
		} else {
			said = append(said, authorizedKeys+" is gone from the boot partition, and so from here")
		}
	}
	for name, sum := range last { // one that comes back unchanged is not new
		if now[name] == "" && name != authorizedKeys {
			now[name] = sum
		}
	}
	if text := formatRecord(now); text != formatRecord(last) {
		if err := writeDurably(c.record, []byte(text), 0o600, -1); err != nil {
			failures = append(failures, err)
		}
	}
	return said, errors.Join(failures...)
}

func isBrought(name string) bool {
	return slices.ContainsFunc(brought, func(pattern string) bool {
		ok, _ := filepath.Match(pattern, name)
		return ok && !strings.HasPrefix(name, ".")
	})
}

func readBrought(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxBrought {
		return nil, fmt.Errorf("%s has %d MiB, more than the %d that are taken", filepath.Base(path), info.Size()>>20, maxBrought>>20)
	}
	return os.ReadFile(path)
}

// readRecord reads the record: a line a file, with SHA-256 and name.
func (c *configuration) readRecord() (map[string]string, error) {
	last := map[string]string{}
	text, err := os.ReadFile(c.record)
	if errors.Is(err, fs.ErrNotExist) {
		return last, nil
	}
	for line := range bytes.Lines(text) {
		sum, name, ok := strings.Cut(strings.TrimSpace(string(line)), " ")
		if ok {
			last[name] = sum
		}
	}
	return last, err
}

func formatRecord(sums map[string]string) string {
	var lines []string
	for name, sum := range sums {
		if sum != "" {
			lines = append(lines, sum+" "+name+"\n")
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "")
}

// writeDurably replaces a file so that after a power cut it is the old or the new
// one, and after the return the new one.
func writeDurably(path string, body []byte, mode fs.FileMode, gid int) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(body)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil && gid >= 0 {
		err = f.Chown(0, gid)
	}
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, removeIfThere(temporary))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
