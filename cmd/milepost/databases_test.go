package main

import "testing"

func TestSplitBus(t *testing.T) {
	for argument, want := range map[string][2]string{
		"car.dbc":         {"", "car.dbc"},
		"can0=car.dbc":    {"can0", "car.dbc"},
		"can0=a=b.dbc":    {"can0", "a=b.dbc"},
		"./a=b.dbc":       {"", "./a=b.dbc"},
		"can0=/a=b/c.dbc": {"can0", "/a=b/c.dbc"},
	} {
		bus, path, err := splitBus(argument)
		if got := [2]string{bus, path}; err != nil || got != want {
			t.Errorf("%s: got %q, %v", argument, got, err)
		}
	}
	for _, argument := range []string{"", "can0=", "=car.dbc", "="} {
		if _, _, err := splitBus(argument); err == nil {
			t.Errorf("%q: no error", argument)
		}
	}
}

func TestPlural(t *testing.T) {
	for want, got := range map[string]string{
		"0 lines": plural(0, "line"), "1 line": plural(uint64(1), "line"), "2 entries": plural(int64(2), "entry"), "1 entry": plural(1, "entry"),
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
