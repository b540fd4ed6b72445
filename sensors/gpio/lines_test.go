package gpio

import (
	"errors"
	"strings"
	"testing"
	"time"
)

var someLines = []Line{
	{Chip: "gpiochip0", Label: "pinctrl-bcm2835", Number: 0, Name: "ID_SDA"},
	{Chip: "gpiochip0", Label: "pinctrl-bcm2835", Number: 1, Name: "GPIO17", Used: true, Consumer: "relay"},
	{Chip: "gpiochip0", Label: "pinctrl-bcm2835", Number: 2, Name: "PWM0_OUT", Output: true},
	{Chip: "gpiochip0", Label: "pinctrl-bcm2835", Number: 3},
	{Chip: "gpiochip1", Label: "expander", Number: 0, Name: "ignition"},
	{Chip: "gpiochip1", Label: "expander", Number: 1, Name: "ID_SDA"},
}

func TestFind(t *testing.T) {
	good := func(chip, line, want string) {
		t.Helper()
		got, err := find(someLines, &LineOptions{Chip: chip, Line: line})
		if err != nil || got.Place() != want {
			t.Errorf("%s, %s: %s, %v", chip, line, got.Place(), err)
		}
	}
	good("", "ignition", "gpiochip1/0")
	good("gpiochip1", "ID_SDA", "gpiochip1/1")
	good("/dev/gpiochip0", "ID_SDA", "gpiochip0/0")
	good("gpiochip0", "3", "gpiochip0/3")
	good("gpiochip0", "03", "gpiochip0/3")
	good("expander", "0", "gpiochip1/0")

	bad := func(chip, line string, is error, says ...string) {
		t.Helper()
		_, err := find(someLines, &LineOptions{Chip: chip, Line: line})
		if !errors.Is(err, is) {
			t.Errorf("%s, %s: %v", chip, line, err)
			return
		}
		for _, s := range says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s, %s: %q does not say %q", chip, line, err, s)
			}
		}
	}
	bad("", "ignitoin", ErrNoLine, `"ignition" meant`)
	bad("", "gpio18", ErrNoLine, `"GPIO17" meant`)
	bad("", "something else", ErrNoLine, "ID_SDA, GPIO17, PWM0_OUT, ignition")
	bad("", "ID_SDA", ErrNoLine, "gpiochip0/0 and gpiochip1/1")
	bad("gpiochip0", "4", ErrNoLine, "0 to 3")
	bad("gpiochip0", "ignition", ErrNoLine, "gpiochip0")
	bad("gpiochip3", "0", ErrNoChip, "gpiochip0 [pinctrl-bcm2835], gpiochip1 [expander]")
	bad("pinctrl-bcm2711", "0", ErrNoChip, "pinctrl-bcm2835 meant")

	if _, err := find(nil, &LineOptions{Line: "ignition"}); !errors.Is(err, ErrNoChip) {
		t.Errorf("without chips: %v", err)
	}
	if _, err := find(someLines[3:4], &LineOptions{Line: "ignition"}); !errors.Is(err, ErrNoLine) || !strings.Contains(err.Error(), "names no lines") {
		t.Errorf("without names: %v", err)
	}
}

func TestLineString(t *testing.T) {
	for line, want := range map[Line]string{
		someLines[1]: `gpiochip0/1 "GPIO17" input, held by "relay"`,
		someLines[2]: `gpiochip0/2 "PWM0_OUT" output`,
		{Chip: "gpiochip2", Number: 7, Used: true, ActiveLow: true, Bias: BiasPullUp}: "gpiochip2/7 input active-low pull-up, held by the kernel or a program that gives no name",
	} {
		if got := line.String(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

func TestOptions(t *testing.T) {
	edges := func(o LineOptions) error { _, err := NewEdges(EdgeOptions{LineOptions: o}); return err }
	for what, err := range map[string]error{
		"no line":    edges(LineOptions{Chip: "gpiochip0"}),
		"needs":      edges(LineOptions{Line: "17"}),
		"a debounce": edges(LineOptions{Line: "door", Debounce: -1}),
		"0 to 1h":    edges(LineOptions{Line: "door", Debounce: 2 * time.Hour}),
		"bias":       edges(LineOptions{Line: "door", Bias: 9}),
		"interval":   second(NewEdges(EdgeOptions{LineOptions: LineOptions{Line: "door"}, Interval: time.Millisecond})),
		"timeout":    second(NewPulses(PulseOptions{LineOptions: LineOptions{Line: "wheel"}, Timeout: -1})),
		"pulses a":   second(NewPulses(PulseOptions{LineOptions: LineOptions{Line: "wheel"}, PerUnit: -1})),
		`("km")`:     second(NewPulses(PulseOptions{LineOptions: LineOptions{Line: "wheel"}, Unit: "km"})),
		"polled":     second(NewLevel(LevelOptions{LineOptions: LineOptions{Line: "float", Debounce: 1}})),
		"periph.io":  second(NewLevel(LevelOptions{LineOptions: LineOptions{Line: "float", Bias: BiasDisabled}})),
		"gpio: no":   second(NewInput(LineOptions{})),
	} {
		if err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%v does not say %q", err, what)
		}
	}
	for b := range Bias(len(biasNames)) {
		if got, err := ParseBias(b.String()); got != b || err != nil {
			t.Errorf("%v: %v, %v", b, got, err)
		}
	}
	if _, err := ParseBias("up"); err == nil {
		t.Error("up is no bias")
	}
}

func second[T any](_ T, err error) error { return err }

func TestWallClock(t *testing.T) {
	var c wallClock
	if c.update(clocks{mono: 1000, wall: 5000, within: 3}) {
		t.Error("the first measurement is no move")
	}
	if c.update(clocks{mono: 2000, wall: 6005, within: 3}) || c.at(2000).wall != 6000 {
		t.Error("two measurements that may both be right")
	}
	if !c.update(clocks{mono: 3000, wall: 7007, within: 3}) || c.at(3000).wall != 7007 {
		t.Error("two measurements of which one must be wrong")
	}
	cut := func(offset, mono, interval, want int64) {
		t.Helper()
		c := wallClock{offset: offset}
		if got := c.nextCut(mono, interval); got != want {
			t.Errorf("after %d with %d: %d, not %d", mono, offset, got, want)
		}
	}
	cut(0, 0, 100, 100)
	cut(0, 99, 100, 100)
	cut(0, 100, 100, 200)
	cut(30, 0, 100, 70)
	cut(30, 70, 100, 170)
	cut(-30, 0, 100, 30) // before 1970
	cut(-1030, 0, 100, 30)
}
