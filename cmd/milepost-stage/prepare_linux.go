package main

import (
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// prepare brings configuration, spool and identity of the device in place.
func (s *stage) prepare() {
	const data = root + "/data"
	gid, err := account(root+"/etc/group", "milepost")
	s.try("the group of the configuration", err)
	if err != nil {
		gid = -1
	}
	for _, d := range []struct {
		path string
		mode os.FileMode
	}{{"config", 0o750}, {"spool", 0o750}, {"system", 0o755}, {"system/systemd", 0o755}} {
		s.try("the data partition", os.MkdirAll(filepath.Join(data, d.path), d.mode))
	}
	if gid >= 0 {
		s.try("the group of the configuration", os.Chown(data+"/config", 0, gid))
	}
	c := configuration{boot: root + "/boot", config: data + "/config", record: data + "/system/brought", gid: gid}
	said, err := c.bring()
	for _, line := range said {
		s.say("%s", line)
	}
	s.try("bringing the configuration from the boot partition", err)

	for _, b := range []struct{ from, to string }{
		{data + "/config", root + "/etc/milepost"}, {data + "/spool", root + "/var/lib/milepost"}, {data + "/system/systemd", root + "/var/lib/systemd"},
	} {
		s.try(b.to, mount{b.from, b.to, "", unix.MS_BIND, ""}.mount())
	}
	s.identify(data)
	s.bringNetworks(data + "/config")
}

// identify gives the device its ID and its name.
func (s *stage) identify(data string) {
	id, err := machineID(data + "/system/machine-id")
	s.try("the machine's ID", err)
	s.try("the machine's ID", os.WriteFile(root+"/etc/machine-id", []byte(id+"\n"), 0o444))
	config, _ := os.ReadFile(data + "/config/milepost.yaml")    // there may be none
	serial, _ := os.ReadFile("/proc/device-tree/serial-number") // not all boards have one
	name := hostName(config, serial, id)
	s.try("the machine's name", os.WriteFile(root+"/etc/hostname", []byte(name+"\n"), 0o644))
}

// bringNetworks gives systemd-networkd and udev the files of the configuration that
// are theirs. They are read by users who may not read the configuration.
func (s *stage) bringNetworks(config string) {
	const dir = "/run/systemd/network"
	for _, pattern := range []string{"*.network", "*.link", "*.netdev"} {
		files, _ := filepath.Glob(filepath.Join(config, pattern)) // the patterns are right
		for _, file := range files {
			body, err := os.ReadFile(file)
			if err == nil {
				err = os.MkdirAll(dir, 0o755)
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, filepath.Base(file)), body, 0o644)
			}
			s.try(file, err)
		}
	}
}
