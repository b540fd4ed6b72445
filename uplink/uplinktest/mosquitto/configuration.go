package mosquitto

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
)

// configure writes the files that mosquitto reads.
func (b *Broker) configure() error {
	var c strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&c, format+"\n", args...) }
	line("log_dest stderr")
	line("log_type error")
	line("log_type warning")
	line("log_type notice")
	line("log_type information")
	line("persistence true")
	line("persistence_location %s/", filepath.ToSlash(b.o.Dir))
	line("autosave_interval 0") // when asked to, and at the end
	line("max_queued_messages 0")
	if u, err := user.Current(); err == nil { // root would become someone who may not write here
		line("user %s", u.Username)
	}
	if len(b.o.Users) == 0 {
		line("allow_anonymous true")
	} else if err := b.writeUsers(); err != nil {
		return err
	} else {
		line("allow_anonymous false")
		line("password_file %s", b.path("users"))
	}
	if b.o.Rules != "" {
		if err := os.WriteFile(b.path("rules"), []byte(b.o.Rules), 0o600); err != nil {
			return err
		}
		line("acl_file %s", b.path("rules"))
	}
	for _, setting := range b.o.Settings {
		line("%s", setting)
	}
	for _, l := range []struct {
		addr     string
		tls, web bool
	}{{b.Addr, false, false}, {b.TLS, true, false}, {b.WS, false, true}, {b.WSS, true, true}} {
		if l.addr == "" {
			continue
		}
		host, port, err := net.SplitHostPort(l.addr)
		if err != nil {
			return err
		}
		line("listener %s %s", port, host)
		if l.web {
			line("protocol websockets")
		}
		if l.tls {
			line("certfile %s", b.o.Certificate)
			line("keyfile %s", b.o.Key)
			if b.o.Authority != "" {
				line("cafile %s", b.o.Authority)
				line("require_certificate true")
			}
		}
	}
	return os.WriteFile(b.path("mosquitto.conf"), []byte(c.String()), 0o600)
}

// writeUsers writes the password file, hashed by the program that comes with
// mosquitto.
func (b *Broker) writeUsers() error {
	var plain strings.Builder
	for name, password := range b.o.Users {
		fmt.Fprintf(&plain, "%s:%s\n", name, password)
	}
	if err := os.WriteFile(b.path("users"), []byte(plain.String()), 0o600); err != nil {
		return err
	}
	if out, err := exec.Command("mosquitto_passwd", "-U", b.path("users")).CombinedOutput(); err != nil {
		return fmt.Errorf("mosquitto_passwd: %w: %s", err, out)
	}
	return nil
}

func (b *Broker) path(name string) string { return filepath.Join(b.o.Dir, name) }
