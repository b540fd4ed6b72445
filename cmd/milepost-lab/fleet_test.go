package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var updateFleet = flag.Bool("update-fleet", false, "write docs/fleet.svg anew")

// fleetFigures are of a fleet of a tenth, with a broker of a tenth.
const fleetFigures = `20,000 gateways have been without their broker for 2m0s. It takes 200 connections a second.

                                         without jitter         milepost
most connects in a second                        18,018            1,367
connects refused                                940,372           53,540
50 % of the fleet are back after                 23m22s              50s
90 % of the fleet are back after                 43m52s            1m31s
99 % of the fleet are back after                 49m22s            1m47s
100 % of the fleet are back after                50m22s            1m59s
`

func runLab(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	inv := &invocation{args: args, stdout: &stdout, stderr: &stderr}
	if code := inv.run(context.Background()); code != exitDone {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	return stdout.String()
}

func TestFleetFigures(t *testing.T) {
	if got := runLab(t, "fleet", "--gateways", "20000", "--accept", "200", "--outage", "2m"); got != fleetFigures {
		t.Errorf("got\n%s\nwant\n%s", got, fleetFigures)
	}
}

// TestFleetPicture: docs/fleet.svg is what the simulation gives today.
func TestFleetPicture(t *testing.T) {
	if testing.Short() {
		t.Skip("200,000 gateways take some seconds")
	}
	path := filepath.Join(t.TempDir(), "fleet.svg")
	runLab(t, "fleet", "-o", path)
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for decoder := xml.NewDecoder(bytes.NewReader(got)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	const picture = "../../docs/fleet.svg"
	if *updateFleet {
		if err := os.WriteFile(picture, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what the simulation gives today; look at it after `go test ./cmd/milepost-lab -run FleetPicture -update-fleet`", picture)
	}
}

// TestFleetReturns: with jitter the broker is never idle while there is someone
// to return, and everyone does.
func TestFleetReturns(t *testing.T) {
	f := fleet{gateways: 5000, outage: 3 * time.Minute, accept: 50, seed: 7}
	for _, jitter := range []bool{false, true} {
		r := f.simulate(jitter)
		if last := r.back[len(r.back)-1]; last != f.gateways {
			t.Errorf("jitter %t: %d of %d are back", jitter, last, f.gateways)
		}
		for i, n := range r.back {
			before := 0
			if i > 0 {
				before = r.back[i-1]
			}
			if n-before > f.accept*11/10 || n < before {
				t.Errorf("jitter %t: in second %d the broker took %d, it can take %d", jitter, i, n-before, f.accept)
			}
			if jitter && n < f.gateways/2 && n-before < f.accept*9/10 {
				t.Errorf("in second %d the broker took only %d, though half of the fleet was missing", i, n-before)
			}
		}
	}
}

func TestFleetUsage(t *testing.T) {
	for _, args := range [][]string{{"x"}, {"--gateways", "3"}, {"--accept", "0"}, {"--outage", "0s"}, {"--nonsense"}} {
		inv := &invocation{args: append([]string{"fleet"}, args...), stdout: io.Discard, stderr: io.Discard}
		if code := inv.run(context.Background()); code != exitUsage {
			t.Errorf("fleet %q: exit code %d, want %d", args, code, exitUsage)
		}
	}
}
