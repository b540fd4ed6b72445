// Package mosquitto runs a real Eclipse Mosquitto on the loopback interface, for
// tests: it can be killed, paused and started again at the same ports.
package mosquitto

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"milepost/uplink/uplinktest/loopback"
)

// ErrMissing says that the program is not installed.
var ErrMissing = errors.New("mosquitto is not installed (Debian: apt-get install mosquitto)")

// Options configure a Broker.
type Options struct {
	// Dir holds the configuration, the persistent sessions and log.txt. It is
	// required.
	Dir string
	// Users are names with their passwords. Without any, everyone is let in.
	Users map[string]string
	// Rules is the text of an acl_file, if not empty.
	Rules string
	// Certificate, Key and, for those of clients, Authority are PEM files for the
	// listeners with TLS, of which there are none without. They are read at each
	// start.
	Certificate, Key, Authority string
	// WebSockets makes listeners for them.
	WebSockets bool
	// Settings are lines of the configuration.
	Settings []string
	// FileLimit is the size of a file from which on writing fails, if not 0.
	FileLimit int64
}

// Broker is a mosquitto. It is not safe for concurrent use, but for its
// addresses and Log.
type Broker struct {
	o       Options
	program string
	// The addresses of the listeners; TLS and WebSockets where they were asked for.
	Addr, TLS, WS, WSS string

	cmd   *exec.Cmd
	ended chan struct{} // closed when the process has

	mu  sync.Mutex
	log []string
}

// startTimeout is for a slow machine under load: 20 ms are usual.
const startTimeout = time.Minute

// Program is where mosquitto is.
func Program() (string, error) {
	for _, name := range []string{"mosquitto", "/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", ErrMissing
}

// Start makes a broker and waits until it listens.
func Start(o Options) (*Broker, error) {
	program, err := Program()
	if err != nil {
		return nil, err
	}
	b := &Broker{o: o, program: program}
	if b.o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("mosquitto: %w", err)
	}
	ports, err := loopback.Addresses(4)
	if err != nil {
		return nil, fmt.Errorf("mosquitto: %w", err)
	}
	b.Addr = ports[0]
	if o.Certificate != "" {
		b.TLS = ports[1]
	}
	if o.WebSockets {
		b.WS = ports[2]
		if o.Certificate != "" {
			b.WSS = ports[3]
		}
	}
	return b, b.Restart()
}

// Set replaces the further lines of the configuration, for the next Restart.
func (b *Broker) Set(settings ...string) { b.o.Settings = settings }

// Restart ends the broker as Kill does, if it runs, and starts it with the
// sessions that are stored.
func (b *Broker) Restart() error {
	if err := b.Kill(); err != nil {
		return err
	}
	if err := b.configure(); err != nil {
		return fmt.Errorf("mosquitto: %w", err)
	}
	cmd := exec.Command(b.program, "-c", filepath.Join(b.o.Dir, "mosquitto.conf"))
	if b.o.FileLimit > 0 {
		var err error
		if cmd, err = withFileLimit(cmd, b.o.FileLimit); err != nil {
			return fmt.Errorf("mosquitto: %w", err)
		}
	}
	cmd.Dir = b.o.Dir
	dieWithParent(cmd)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return fmt.Errorf("mosquitto: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("mosquitto: %w", err)
	}
	b.cmd, b.ended = cmd, make(chan struct{})
	running := make(chan struct{})
	go func() {
		defer close(b.ended)
		ready := running
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			b.mu.Lock()
			b.log = append(b.log, lines.Text())
			b.mu.Unlock()
			if ready != nil && strings.HasSuffix(lines.Text(), " running") {
				close(ready)
				ready = nil
			}
		}
		cmd.Wait()
	}()
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-running:
		return nil
	case <-b.ended:
		b.cmd = nil
		return fmt.Errorf("mosquitto has ended at once:\n%s", b.lastLines(10))
	case <-timer.C:
		b.Kill()
		return fmt.Errorf("mosquitto is not running after %v:\n%s", startTimeout, b.lastLines(10))
	}
}

// Stop ends the broker in good order: it stores its sessions.
func (b *Broker) Stop() error {
	if b.cmd == nil {
		return nil
	}
	if err := b.cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("mosquitto: stop: %w", err)
	}
	<-b.ended
	b.cmd = nil
	return nil
}

// Kill ends the broker at once, and with it what it has not stored.
func (b *Broker) Kill() error {
	if b.cmd == nil {
		return nil
	}
	if err := b.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("mosquitto: kill: %w", err)
	}
	<-b.ended
	b.cmd = nil
	return nil
}

// Pause stops the process where it is: connections stay, nothing answers.
func (b *Broker) Pause() error { return signalPause(b.cmd.Process) }

// Resume undoes Pause.
func (b *Broker) Resume() error { return signalResume(b.cmd.Process) }

// SetRules replaces the rules; the broker reads them soon.
func (b *Broker) SetRules(rules string) error {
	b.o.Rules = rules
	if err := b.configure(); err != nil {
		return fmt.Errorf("mosquitto: %w", err)
	}
	return signalReload(b.cmd.Process)
}

// Save stores the sessions and waits until that is done.
func (b *Broker) Save(ctx context.Context) error {
	path := filepath.Join(b.o.Dir, "mosquitto.db")
	before, _ := os.Stat(path)
	if err := signalSave(b.cmd.Process); err != nil {
		return fmt.Errorf("mosquitto: %w", err)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		if after, err := os.Stat(path); err == nil && (before == nil || !os.SameFile(before, after)) { // a new one, renamed
			return nil
		}
		if half, err := os.Stat(path + ".new"); err == nil && b.o.FileLimit > 0 && half.Size() >= b.o.FileLimit {
			return errors.New("mosquitto cannot store its sessions: the file limit is reached")
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("mosquitto has not stored its sessions: %w", ctx.Err())
		case <-tick.C:
		}
	}
}

// Log is what the broker has written so far, over all starts.
func (b *Broker) Log() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.log, "\n")
}

func (b *Broker) lastLines(n int) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.log[max(0, len(b.log)-n):], "\n")
}
