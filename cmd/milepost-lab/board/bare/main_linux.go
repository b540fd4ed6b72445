// Command bare stands for systemd in a system that has nothing else but milepost:
// a system that is up in a second, so that its updates can be interrupted often. It
// tells the host on the console what it is, takes the update that the kernel's
// command line asks for, and keeps itself where it is on trial. All along it
// appends numbers to a file on the data partition, and tells which are durable.
//
//	BARE up version=v1.0.0 sum=…                 what runs: the checksum of all its files
//	BARE data 41                                 the file holds 1 to 41
//	BARE durable 42
//	BARE kept
//	BARE idle                                    there is nothing more to do
package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// targetWord is the kernel's parameter with the version that is wanted.
const targetWord = "bare.target="

const numbersFile = "/data/numbers"

func main() {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "bare is the first process of a system for tests, and nothing else")
		os.Exit(2)
	}
	err := run()
	fmt.Println("BARE failed:", err)
	time.Sleep(time.Second)
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

func run() error {
	feedWatchdog()
	version, err := release()
	if err != nil {
		return err
	}
	sum, err := checksum()
	if err != nil {
		return err
	}
	fmt.Printf("BARE up version=%s sum=%x\n", version, sum)
	if err := appendNumbers(); err != nil {
		return err
	}
	if said, err := milepost("update", "keep"); err == nil {
		fmt.Println("BARE kept")
	} else if !strings.Contains(said, "not on trial") {
		return fmt.Errorf("keep: %w: %s", err, said)
	}
	if target := wanted(); target != "" && target != version {
		if said, err := milepost("update", "--downgrade", "/boot/"+target+".mpb"); err != nil {
			return fmt.Errorf("update: %w: %s", err, said)
		}
		return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART) // without a sync: the update is durable by itself
	}
	fmt.Println("BARE idle")
	select {}
}

// feedWatchdog takes over from the stage, as systemd does.
func feedWatchdog() {
	f, err := os.OpenFile("/dev/watchdog0", os.O_WRONLY, 0)
	if err != nil {
		return // a board without one
	}
	go func() {
		for ; ; time.Sleep(time.Second) {
			f.Write([]byte{0})
		}
	}()
}

func milepost(args ...string) (string, error) {
	said, err := exec.Command("/usr/bin/milepost", args...).CombinedOutput()
	return strings.TrimSpace(string(said)), err
}

func release() (version string, err error) {
	text, err := os.ReadFile("/etc/milepost-release")
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "MILEPOST_VERSION="); ok {
			version = strings.TrimSpace(v)
		}
	}
	return version, err
}

func wanted() string {
	text, _ := os.ReadFile("/proc/cmdline")
	for word := range strings.FieldsSeq(string(text)) {
		if target, ok := strings.CutPrefix(word, targetWord); ok {
			return target
		}
	}
	return ""
}

// checksum is that of all files of the root file system, with their names.
func checksum() ([]byte, error) {
	var root unix.Stat_t
	if err := unix.Stat("/", &root); err != nil {
		return nil, err
	}
	all := sha256.New()
	err := filepath.WalkDir("/", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if info.Sys().(*syscall.Stat_t).Dev != root.Dev {
			return fs.SkipDir
		}
		fmt.Fprintf(all, "%s\x00", path)
		if !entry.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(all, f)
		return err
	})
	return all.Sum(nil), err
}

// appendNumbers reads the numbers that are there, which must be 1 to n, and goes on
// with n+1. What a power cut has left of a line is cut off.
func appendNumbers() error {
	f, err := os.OpenFile(numbersFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	n, end := 0, int64(0)
	in := bufio.NewReader(f)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if want := fmt.Appendf(nil, "%d\n", n+1); !bytes.Equal(line, want) {
			return fmt.Errorf("%s: %q stands where %q should", numbersFile, line, want)
		}
		n++
		end += int64(len(line))
	}
	if err := f.Truncate(end); err != nil {
		return err
	}
	if _, err := f.Seek(end, io.SeekStart); err != nil {
		return err
	}
	fmt.Println("BARE data", n)
	go func() {
		for ; ; time.Sleep(20 * time.Millisecond) {
			n++
			_, err := fmt.Fprintf(f, "%d\n", n)
			if err == nil {
				err = f.Sync()
			}
			if err != nil {
				fmt.Println("BARE failed:", err)
				return
			}
			fmt.Println("BARE durable", n)
		}
	}()
	return nil
}
