package kafkaserver

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func TestVerify(t *testing.T) {
	line := func(name, content string) string {
		sum := sha256.Sum256([]byte(content))
		return hex.EncodeToString(sum[:]) + "  " + name + "\n"
	}
	sums := line("a.jar", "alpha") + line("b.jar", "beta")
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string // in the error; "" is none
	}{
		{"all as they should be", map[string]string{"a.jar": "alpha", "b.jar": "beta"}, ""},
		{"one is changed", map[string]string{"a.jar": "alpha", "b.jar": "bet4"}, "b.jar has the SHA-256"},
		{"one is empty", map[string]string{"a.jar": "", "b.jar": "beta"}, "a.jar has the SHA-256"},
		{"one is missing", map[string]string{"a.jar": "alpha"}, "b.jar is missing"},
		{"one too many", map[string]string{"a.jar": "alpha", "b.jar": "beta", "c.jar": ""}, "c.jar does not belong there"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			err := verify(dir, sums)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestSums checks the list itself: it is all that stands between the cache and a
// process with the user's rights.
func TestSums(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(sums), "\n")
	if len(lines) < 40 {
		t.Errorf("%d sums, want those of all jars", len(lines))
	}
	for _, line := range lines {
		sum, name, ok := strings.Cut(line, "  ")
		if raw, err := hex.DecodeString(sum); !ok || err != nil || len(raw) != sha256.Size || filepath.Ext(name) != ".jar" || name != filepath.Base(name) {
			t.Errorf("%q is not a sum of a jar", line)
		}
	}
}

// start starts a server, or skips the test where that is not asked for or cannot
// be.
func start(t *testing.T, o Options) *Server {
	t.Helper()
	if os.Getenv("MILEPOST_KAFKA") == "" {
		t.Skip("a real Kafka is started only with MILEPOST_KAFKA=1 in the environment (it needs java and mvn)")
	}
	o.Dir = t.TempDir()
	begun := time.Now()
	s, err := Start(t.Context(), o)
	if errors.Is(err, ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Kill() })
	t.Logf("started within %v", time.Since(begun).Round(time.Millisecond))
	return s
}

// TestLife takes a server through all that may happen to it: what was
// acknowledged is there afterwards.
func TestLife(t *testing.T) {
	s := start(t, Options{})
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Addr()), kgo.DefaultProduceTopic("life"), kgo.AllowAutoTopicCreation(),
		kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var want []string
	produce := func(value string) {
		t.Helper()
		if err := client.ProduceSync(t.Context(), kgo.StringRecord(value)).FirstErr(); err != nil {
			t.Fatal(err)
		}
		want = append(want, value)
	}
	took := func(what string, do func() error) {
		t.Helper()
		begun := time.Now()
		if err := do(); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		t.Logf("%s: %v", what, time.Since(begun).Round(time.Millisecond))
	}
	produce("a")
	took("stop", s.Stop)
	took("start", func() error { return s.Restart(t.Context()) })
	took("produce", func() error { produce("b"); return nil })
	took("kill", s.Kill)
	took("start", func() error { return s.Restart(t.Context()) })
	took("produce", func() error { produce("c"); return nil })
	took("pause", s.Pause)
	done := make(chan error, 1)
	go func() { done <- client.ProduceSync(t.Context(), kgo.StringRecord("d")).FirstErr() }()
	select {
	case err := <-done:
		t.Fatalf("a broker that hangs has answered: %v", err)
	case <-time.After(300 * time.Millisecond): // long enough for one that does not
	}
	took("resume", s.Resume)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	want = append(want, "d")
	messages, err := s.Messages(t.Context(), "life")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range messages {
		got = append(got, string(m.Value))
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("messages %v, want %v", got, want)
	}
	if n, err := s.Memory(); err == nil {
		t.Logf("the broker has %d MiB resident", n>>20)
	}
	if messages, err := s.Messages(t.Context(), "nothing"); err != nil || len(messages) > 0 {
		t.Errorf("a topic that is not there: %d messages, %v", len(messages), err)
	}
}
