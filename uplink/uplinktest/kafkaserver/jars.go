package kafkaserver

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Version is that of Apache Kafka (its Scala 2.13 build). The brokers of 4.x need
// Java 17.
const Version = "4.1.1"

// plugin is Maven's, which copies what a project depends on into a folder.
const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

// project depends on the broker, and on a logger that writes to standard error.
const project = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>milepost</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + Version + `</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
`

// sums has the SHA-256 and the name of every jar, a line each, as sha256sum
// writes them.
//
//go:embed jars.sha256
var sums string

// ErrMissing is wrapped by errors about what this machine lacks: Java, or Maven
// while the jars are not there yet. Tests skip then.
var ErrMissing = errors.New("not installed")

// Jars returns the folder with Kafka's jars, of which every one has the SHA-256
// that it had when this package was written. Where they are not there yet, the
// machine's own Maven, with its own settings, fetches them (43 MB) into the
// user's cache directory.
func Jars(ctx context.Context) (dir string, err error) {
	if _, err := exec.LookPath("java"); err != nil {
		return "", fmt.Errorf("kafka server: java, at least 17, is %w", ErrMissing)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("kafka server: %w", err)
	}
	cache = filepath.Join(cache, "milepost")
	dir = filepath.Join(cache, "kafka-"+Version)
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		if err := fetch(ctx, cache, dir); err != nil {
			return "", fmt.Errorf("kafka server: %w", err)
		}
	}
	if err := verify(dir, sums); err != nil {
		return "", fmt.Errorf("kafka server: %w; nothing of it is run: look at it, then delete the folder, and it is fetched again", err)
	}
	return dir, nil
}

// fetch makes dir, as a whole or not at all.
func fetch(ctx context.Context, cache, dir string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("mvn (Maven), to fetch Kafka's jars with, is %w", ErrMissing)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(cache, "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "pom.xml"), []byte(project), 0o644); err != nil {
		return err
	}
	jars := filepath.Join(work, "jars")
	mvn := exec.CommandContext(ctx, "mvn", "-B", "-q", plugin, "-DincludeScope=runtime", "-DoutputDirectory="+jars)
	mvn.Dir = work
	if out, err := mvn.CombinedOutput(); err != nil {
		return fmt.Errorf("fetch Kafka's jars with mvn: %w: %s", err, lastLines(string(out), 5))
	}
	if err := verify(jars, sums); err != nil {
		return fmt.Errorf("what mvn fetched is not what it was: %w", err)
	}
	if err := os.Rename(jars, dir); err != nil {
		if _, other := os.Stat(dir); other == nil { // another process was faster
			return nil
		}
		return err
	}
	return nil
}

// verify compares the files of a folder with the lines of sums: no other, none
// missing, none changed.
func verify(dir, sums string) error {
	want := make(map[string]string)
	for line := range strings.Lines(sums) {
		sum, name, _ := strings.Cut(strings.TrimSpace(line), "  ")
		want[name] = sum
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name())
		sum, ok := want[f.Name()]
		if !ok {
			return fmt.Errorf("%s does not belong there", path)
		}
		delete(want, f.Name())
		got, err := sumOf(path)
		if err != nil {
			return err
		}
		if got != sum {
			return fmt.Errorf("%s has the SHA-256 %s, not %s", path, got, sum)
		}
	}
	for name := range want {
		return fmt.Errorf("%s is missing in %s", name, dir)
	}
	return nil
}

func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// lastLines are the last n lines of a text.
func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
