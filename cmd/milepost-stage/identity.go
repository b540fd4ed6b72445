package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
)

// machineID returns the ID of this device (machine-id(5)), which it makes at the
// first start and keeps in a file.
func machineID(file string) (string, error) {
	text, err := os.ReadFile(file)
	if id := strings.TrimSpace(string(text)); err == nil && validID.MatchString(id) {
		return id, nil
	}
	var random [16]byte
	rand.Read(random[:])
	random[6], random[8] = random[6]&0x0f|0x40, random[8]&0x3f|0x80 // a UUID of version 4
	id := fmt.Sprintf("%x", random)
	return id, writeDurably(file, []byte(id+"\n"), 0o444, -1)
}

var validID = regexp.MustCompile(`^[0-9a-f]{32}$`)

// hostName is the device's name in its configuration, or else made of what the
// hardware says of itself, or of the machine's ID. The configuration is only looked
// at for a plain line "device: NAME": milepost itself reads it in earnest.
func hostName(config, serial []byte, id string) string {
	if m := deviceLine.FindSubmatch(config); m != nil && !strings.Contains(string(m[1]), "$") {
		if name := cleanName(strings.Trim(string(m[1]), `"'`)); name != "" {
			return name
		}
	}
	if name := cleanName(strings.TrimRight(string(serial), "\x00")); strings.Trim(name, "0") != "" {
		return "milepost-" + name[max(0, len(name)-8):]
	}
	return "milepost-" + id[:8]
}

var deviceLine = regexp.MustCompile(`(?m)^device:[ \t]+("[^"\n]*"|'[^'\n]*'|[^ \t\n#"']+)`)

// cleanName makes a text a name that a host may have (hostname(7)).
func cleanName(text string) string {
	text = notInNames.ReplaceAllString(strings.ToLower(text), "-")
	return strings.Trim(text[:min(len(text), 63)], "-")
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// account finds a number in a file such as /etc/group: the third field of the line
// of a name.
func account(file, name string) (int, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) > 2 && f[0] == name {
			return strconv.Atoi(f[2])
		}
	}
	return 0, errors.New(file + " does not know " + name)
}
