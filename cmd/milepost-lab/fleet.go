package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"

	"milepost/cmd/internal/gateway"
	"milepost/uplink"
)

const fleetHelp = `milepost-lab fleet simulates what a fleet does to its broker when that comes
back: each gateway has noticed within a second that the broker was gone, and has
tried to connect ever since, with the pauses that milepost makes. The broker takes
so many connections a second; who comes beyond that is refused and tries again.
The same is done without jitter, to compare.

example: milepost-lab fleet -o fleet.svg

`

// fleet is what is simulated.
type fleet struct {
	gateways int
	outage   time.Duration
	accept   int // connections that the broker takes a second
	seed     uint64
}

func runFleet(inv *invocation, args []string) error {
	var f fleet
	var path string
	flags := flag.NewFlagSet("fleet", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&path, "o", "", "draw the rates as a picture (SVG) into this `file`")
	flags.IntVar(&f.gateways, "gateways", 200_000, "how `many` there are")
	flags.DurationVar(&f.outage, "outage", 10*time.Minute, "how `long` the broker is gone")
	flags.IntVar(&f.accept, "accept", 2000, "how `many` connections a second the broker takes")
	flags.Uint64Var(&f.seed, "seed", 1, "of the random numbers")
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			fmt.Fprint(inv.stdout, fleetHelp)
			flags.SetOutput(inv.stdout)
			flags.PrintDefaults()
			return err
		}
		return usagef("%v", err)
	}
	switch {
	case flags.NArg() > 0:
		return usagef("%q is too much", flags.Arg(0))
	case f.gateways < 100 || f.gateways > 10_000_000:
		return usagef("%d gateways are not between 100 and 10,000,000", f.gateways)
	case f.accept < 10:
		return usagef("a broker that takes %d connections a second is not there; 10 are the least", f.accept)
	case f.outage < time.Second || f.outage > 24*time.Hour:
		return usagef("an outage of %v is not between 1s and 24h", f.outage)
	}
	before, after := f.simulate(false), f.simulate(true)
	f.tell(inv.stdout, &before, &after)
	if path == "" {
		return nil
	}
	return os.WriteFile(path, f.draw(&before, &after), 0o666)
}

// returning is how a fleet comes back. Seconds are counted from the moment that
// the broker does.
type returning struct {
	lead     int   // seconds before it that are in connects
	connects []int // tries to connect in each second, those that were refused included
	back     []int // gateways that are back at the end of each second from then on
}

// fleetLead is how much of the outage is looked at, in seconds.
const fleetLead = 60

// slot is the grid of the simulation's time. The wheel has to hold the longest
// pause.
const (
	slot      = time.Millisecond
	wheelSize = 1 << 15
	second    = int(time.Second / slot)
)

// simulate runs until the whole fleet is back.
func (f *fleet) simulate(jitter bool) returning {
	random := rand.New(rand.NewPCG(f.seed, uint64(f.gateways)))
	draw := random.Int64N
	if !jitter {
		draw = func(n int64) int64 { return n - 1 }
	}
	backoffs := make([]uplink.Backoff, f.gateways)
	// A wheel of slots, each with the list of the gateways that try then.
	var wheel [wheelSize]int32
	for i := range wheel {
		wheel[i] = -1
	}
	next := make([]int32, f.gateways)
	at := func(slot int, gateway int32) {
		next[gateway] = wheel[slot%wheelSize]
		wheel[slot%wheelSize] = gateway
	}
	for i := range backoffs {
		backoffs[i].Random = draw
		at(random.IntN(second), int32(i)) // it sends once a second, and then notices
	}
	start := time.Unix(0, 0)
	outage := int(f.outage / slot)
	r := returning{lead: min(fleetLead, outage/second)}
	due := func(slots int) int { return int(int64(slots) * int64(f.accept) / int64(second)) }
	back, room := 0, 0
	for now := 0; back < f.gateways; now++ {
		passed := now - outage // since the broker is back
		if passed >= -r.lead*second && (passed+r.lead*second)%second == 0 {
			r.connects = append(r.connects, 0)
		}
		if passed >= 0 {
			// A broker does not work ahead by more than a tenth of a second.
			room = min(room, f.accept/10) + due(passed+1) - due(passed)
		}
		gateway := wheel[now%wheelSize]
		wheel[now%wheelSize] = -1
		for gateway >= 0 {
			following := next[gateway]
			if len(r.connects) > 0 {
				r.connects[len(r.connects)-1]++
			}
			if passed >= 0 && room > 0 {
				room--
				back++
			} else {
				pause := backoffs[gateway].Failed(start.Add(time.Duration(now)*slot), nil)
				at(now+int((pause+slot-1)/slot), gateway)
			}
			gateway = following
		}
		if passed >= 0 && (passed+1)%second == 0 {
			r.back = append(r.back, back)
		}
	}
	r.back = append(r.back, back) // the last second is not over
	return r
}

// peak is the most connects in a second after the broker is back.
func (r *returning) peak() int {
	most := 0
	for _, n := range r.connects[r.lead:] {
		most = max(most, n)
	}
	return most
}

// refused is how many connects were, after the broker is back.
func (r *returning) refused() int {
	all := 0
	for _, n := range r.connects[r.lead:] {
		all += n
	}
	return all - r.back[len(r.back)-1]
}

// until is when a share of the fleet is back.
func (r *returning) until(share float64) time.Duration {
	want := share * float64(r.back[len(r.back)-1])
	for i, n := range r.back {
		if float64(n) >= want {
			return time.Duration(i+1) * time.Second
		}
	}
	return time.Duration(len(r.back)) * time.Second
}

func (f *fleet) tell(w io.Writer, before, after *returning) {
	var out bytes.Buffer
	fmt.Fprintf(&out, "%s gateways have been without their broker for %v. It takes %s connections a second.\n\n",
		gateway.Grouped(uint64(f.gateways)), f.outage, gateway.Grouped(uint64(f.accept)))
	row := func(what string, value func(r *returning) string) {
		fmt.Fprintf(&out, "%-38s %16s %16s\n", what, value(before), value(after))
	}
	number := func(n int) string { return gateway.Grouped(uint64(n)) }
	fmt.Fprintf(&out, "%-38s %16s %16s\n", "", "without jitter", "milepost")
	row("most connects in a second", func(r *returning) string { return number(r.peak()) })
	row("connects refused", func(r *returning) string { return number(r.refused()) })
	for _, share := range []float64{.5, .9, .99, 1} {
		row(fmt.Sprintf("%.0f %% of the fleet are back after", 100*share), func(r *returning) string { return r.until(share).String() })
	}
	w.Write(out.Bytes())
}
