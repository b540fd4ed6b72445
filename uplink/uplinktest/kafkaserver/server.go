// Package kafkaserver runs a real Apache Kafka on the loopback interface, for
// tests and the lab: one node that is broker and controller (KRaft), of a pinned
// version, from jars with pinned checksums. It needs Java, and Maven once.
package kafkaserver

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"milepost/uplink/uplinktest/loopback"
)

// Options configure a Server.
type Options struct {
	// Dir holds data, configuration and log.txt. It is required.
	Dir string
	// Port of the client's listener; 0 is a free one, as are the others.
	Port int
	// Via, if set, is told the address of the client's listener before the
	// broker starts, and returns the one that clients are to use instead, such as
	// that of a proxy.
	Via func(target string) (string, error)
	// NoAutoCreation makes unknown topics an error.
	NoAutoCreation bool
	// MaxMessageBytes is message.max.bytes, if not 0.
	MaxMessageBytes int
	// Plain and Scram are users with their passwords, who have to log in with
	// SASL PLAIN and with SCRAM (both hashes).
	Plain, Scram map[string]string
	// TLS makes clients use TLS.
	TLS *TLS
	// Properties of the broker, as they stand in server.properties.
	Properties map[string]string
}

// TLS are PEM files. They are read at each start.
type TLS struct {
	// KeyAndCertificate has a PKCS #8 key and the broker's certificate.
	KeyAndCertificate string
	// ClientCA, if set, has the authority that clients' certificates need.
	ClientCA string
}

func (o *Options) users() bool { return len(o.Plain)+len(o.Scram) > 0 }

// Server is a Kafka. It is not safe for concurrent use but for its addresses.
type Server struct {
	o                         Options
	jars                      string
	controller, admin, client string // addresses of the listeners
	told                      string // what clients are told
	process                   *process
}

// startTimeout is for a slow machine under load: two seconds are usual.
const startTimeout = 2 * time.Minute

// Start makes a server and waits until it is ready. Where Java or Maven are not
// installed, the error is ErrMissing.
func Start(ctx context.Context, o Options) (*Server, error) {
	jars, err := Jars(ctx)
	if err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, fmt.Errorf("kafka server: %w", err)
	}
	s := &Server{o: o, jars: jars}
	if err := s.prepare(ctx); err != nil {
		return nil, fmt.Errorf("kafka server: %w", err)
	}
	return s, s.Restart(ctx)
}

// prepare chooses the ports and formats the data directory.
func (s *Server) prepare(ctx context.Context) error {
	if err := os.MkdirAll(s.o.Dir, 0o755); err != nil {
		return err
	}
	ports, err := loopback.Addresses(3)
	if err != nil {
		return err
	}
	s.controller, s.admin, s.client = ports[0], ports[1], ports[2]
	if s.o.Port != 0 {
		s.client = fmt.Sprintf("127.0.0.1:%d", s.o.Port)
	}
	s.told = s.client
	if s.o.Via != nil {
		if s.told, err = s.o.Via(s.client); err != nil {
			return err
		}
	}
	if err := os.WriteFile(s.config(), []byte(s.properties()), 0o600); err != nil {
		return err
	}
	args := []string{"kafka.tools.StorageTool", "format", "--ignore-formatted", "-t", "bWlsZXBvc3QtbGFiLTAwMQ", "-c", s.config()}
	for name, password := range s.o.Scram {
		for _, hash := range []string{"256", "512"} {
			args = append(args, "--add-scram", fmt.Sprintf("SCRAM-SHA-%s=[name=%s,password=%s]", hash, name, password))
		}
	}
	if out, err := s.java(ctx, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("format the data directory: %w: %s", err, lastLines(string(out), 5))
	}
	return nil
}

func (s *Server) config() string { return filepath.Join(s.o.Dir, "server.properties") }
func (s *Server) log() string    { return filepath.Join(s.o.Dir, "log.txt") }

// java is a command with Kafka's classes: a small heap, and a compiler that
// prefers a quick start to a fast run.
func (s *Server) java(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "java", append([]string{
		"-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
		"-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
		"-Dorg.slf4j.simpleLogger.showDateTime=true",
		"-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
		"-cp", filepath.Join(s.jars, "*"),
	}, args...)...)
}

// Addr is what clients connect to; it survives a Restart.
func (s *Server) Addr() string { return s.told }

// AdminAddr is another listener of the broker's, without TLS, without users and
// past whatever Via has put in between.
func (s *Server) AdminAddr() string { return s.admin }

// PID is the broker's process, 0 while there is none.
func (s *Server) PID() int {
	if s.process == nil {
		return 0
	}
	return s.process.cmd.Process.Pid
}

// Ended returns a channel that is closed when the broker that runs has ended; nil
// while there is none.
func (s *Server) Ended() <-chan struct{} {
	if s.process == nil {
		return nil
	}
	return s.process.done
}

// Restart stops the broker if it runs, and starts it at the ports and with the
// data that it had.
func (s *Server) Restart(ctx context.Context) error {
	if err := s.Stop(); err != nil {
		return err
	}
	if err := os.WriteFile(s.config(), []byte(s.properties()), 0o600); err != nil {
		return fmt.Errorf("kafka server: %w", err)
	}
	p, err := s.start()
	if err != nil {
		return fmt.Errorf("kafka server: %w", err)
	}
	s.process = p
	timer := time.NewTimer(startTimeout)
	defer timer.Stop()
	select {
	case <-p.ready:
		return nil
	case <-p.done:
		s.process = nil
		return fmt.Errorf("kafka server: it ended before it was ready: %s", s.LastLog())
	case <-timer.C:
		err = fmt.Errorf("kafka server: not ready after %v: %s", startTimeout, s.LastLog())
	case <-ctx.Done():
		err = ctx.Err()
	}
	return errors.Join(err, s.Kill())
}

// Stop ends the broker in an orderly way (SIGTERM, where there are signals).
func (s *Server) Stop() error { return s.end(terminate) }

// Kill ends the broker at once (SIGKILL).
func (s *Server) Kill() error { return s.end((*os.Process).Kill) }

func (s *Server) end(how func(*os.Process) error) error {
	p := s.process
	if p == nil {
		return nil
	}
	s.process = nil
	if err := how(p.cmd.Process); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kafka server: end the broker: %w", err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(startTimeout):
		p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("kafka server: it did not end within %v and was killed: %s", startTimeout, s.LastLog())
	}
}

// Pause makes the broker hang: connections stay, and new ones are accepted by the
// kernel, but nobody answers (SIGSTOP). Resume undoes it.
func (s *Server) Pause() error { return s.signal(pause) }

// Resume lets a broker that hangs go on (SIGCONT).
func (s *Server) Resume() error { return s.signal(resume) }

func (s *Server) signal(send func(*os.Process) error) error {
	if s.process == nil {
		return errors.New("kafka server: it is stopped")
	}
	if err := send(s.process.cmd.Process); err != nil {
		return fmt.Errorf("kafka server: %w", err)
	}
	return nil
}

// Memory is the broker's resident memory in bytes, where the system tells.
func (s *Server) Memory() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.PID()))
	if err != nil {
		return 0, fmt.Errorf("kafka server: %w", err)
	}
	for line := range strings.Lines(string(status)) {
		var kilobytes int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kilobytes); n == 1 {
			return kilobytes << 10, nil
		}
	}
	return 0, errors.New("kafka server: the system does not tell its memory")
}

// LastLog is the end of what the broker has logged.
func (s *Server) LastLog() string {
	text, err := os.ReadFile(s.log())
	if err != nil {
		return err.Error()
	}
	return "the end of " + s.log() + ":\n" + lastLines(string(text), 10)
}

// process is one run of the broker.
type process struct {
	cmd   *exec.Cmd
	ready chan struct{} // closed when it serves
	done  chan struct{} // closed when it has ended
}

// readyLine is in the line that Kafka logs when it serves.
const readyLine = "Kafka Server started"

// start starts the broker. What it says goes to log.txt.
func (s *Server) start() (*process, error) {
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	cmd := s.java(context.Background(), "kafka.Kafka", s.config())
	cmd.Dir = s.o.Dir
	dieWithParent(cmd)
	out, in, err := os.Pipe()
	if err != nil {
		log.Close()
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	p := &process{cmd: cmd, ready: make(chan struct{}), done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel ends the broker when the thread ends that started it: that
		// has to be when this process does.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		in.Close()
		started <- err
		if err != nil {
			return
		}
		cmd.Wait()
		close(p.done)
	}()
	if err := <-started; err != nil {
		out.Close()
		log.Close()
		return nil, err
	}
	var once sync.Once
	go func() {
		defer log.Close()
		defer out.Close()
		lines := bufio.NewReader(out)
		for {
			line, err := lines.ReadString('\n')
			log.WriteString(line)
			if strings.Contains(line, readyLine) {
				once.Do(func() { close(p.ready) })
			}
			if err != nil {
				return
			}
		}
	}()
	return p, nil
}

// terminate asks a process to end.
func terminate(p *os.Process) error {
	if runtime.GOOS == "windows" {
		return p.Kill()
	}
	return p.Signal(syscall.SIGTERM)
}
