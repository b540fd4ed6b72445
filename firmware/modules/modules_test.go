package modules

import (
	"slices"
	"testing"
)

const modulesDep = `kernel/net/can/can.ko:
kernel/net/can/can-raw.ko: kernel/net/can/can.ko
kernel/drivers/net/can/dev/can-dev.ko.xz:
kernel/drivers/net/can/slcan/slcan.ko: kernel/drivers/net/can/dev/can-dev.ko.xz kernel/lib/low.ko
kernel/lib/low.ko:

`

func TestModules(t *testing.T) {
	const (
		can, raw, dev = "kernel/net/can/can.ko", "kernel/net/can/can-raw.ko", "kernel/drivers/net/can/dev/can-dev.ko.xz"
		slcan, low    = "kernel/drivers/net/can/slcan/slcan.ko", "kernel/lib/low.ko"
	)
	deps := Parse(modulesDep)
	for _, c := range []struct{ modules, want []string }{
		{nil, nil},
		{[]string{"can"}, []string{can}},
		{[]string{"can_raw"}, []string{can, raw}},
		{[]string{"can-raw", "can"}, []string{can, raw}},                    // either spelling, each once
		{[]string{"slcan", "can_raw"}, []string{low, dev, slcan, can, raw}}, // the last in the line comes first
		{[]string{"can_dev", "slcan"}, []string{dev, low, slcan}},           // loaded already
		{[]string{"can", "can", "can_raw", "can_raw"}, []string{can, raw}},
		{[]string{"low", "can_dev", "slcan", "can"}, []string{low, dev, slcan, can}},
	} {
		files, err := deps.Order(c.modules)
		if err != nil || !slices.Equal(files, c.want) {
			t.Errorf("%v: %v, %v; want %v", c.modules, files, err, c.want)
		}
	}
	if _, err := deps.Order([]string{"can", "isotp"}); err == nil {
		t.Error("a module that is not there was found")
	}

	parametrised := []string{"can-raw:stats_timer=0,1", "can"}
	if files, err := deps.Order(parametrised); err != nil || !slices.Equal(files, []string{can, raw}) {
		t.Errorf("%v: %v, %v", parametrised, files, err)
	}
	if p := Parameters(parametrised); p[Name(raw)] != "stats_timer=0,1" || len(p) != 1 {
		t.Errorf("%v: %v", parametrised, p)
	}
}
