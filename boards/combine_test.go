package boards

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// uses are the lines that are taken, with what has them.
func uses(b *Board) map[string]string {
	taken := make(map[string]string)
	for _, l := range b.Lines {
		if l.Use != "" {
			taken[l.Name] = l.Use
		}
	}
	return taken
}

func TestCombine(t *testing.T) {
	b, err := Get("rpi4", "waveshare-2ch-can-fd")
	if err != nil {
		t.Fatal(err)
	}
	var buses []string
	for _, c := range b.CAN {
		buses = append(buses, strings.Join([]string{c.Name, c.From, c.Label, c.Interrupt}, " "))
	}
	want := []string{"can0 waveshare-2ch-can-fd CAN_0 GPIO25", "can1 waveshare-2ch-can-fd CAN_1 GPIO16"}
	if diff := cmp.Diff(want, buses); diff != "" {
		t.Errorf("buses (-want +got):\n%s", diff)
	}
	wantUses := map[string]string{
		"GPIO8": "can0 chip select", "GPIO9": "SPI0", "GPIO10": "SPI0", "GPIO11": "SPI0", "GPIO25": "can0 interrupt",
		"GPIO26": "can1 chip select", "GPIO19": "SPI1", "GPIO20": "SPI1", "GPIO21": "SPI1", "GPIO16": "can1 interrupt",
		"GPIO14": "console", "GPIO15": "console", "led-act": "LED ACT", "led-pwr": "LED PWR",
	}
	if diff := cmp.Diff(wantUses, uses(b)); diff != "" {
		t.Errorf("lines in use (-want +got):\n%s", diff)
	}
	wantConfig := []string{"enable_uart=1", "dtparam=spi=on", "dtoverlay=waveshare-can-fd-hat-mode-a"}
	if diff := cmp.Diff(wantConfig, b.Config); diff != "" {
		t.Errorf("config.txt (-want +got):\n%s", diff)
	}
}

// What was combined can be combined further, and what went in stays as it was.
func TestCombineAgain(t *testing.T) {
	bare, err := Get("rpi4")
	if err != nil {
		t.Fatal(err)
	}
	before := uses(bare)
	adapter, hat := mustHAT(t, "usb-candlelight"), mustHAT(t, "waveshare-rs485-can")
	first, err := Combine(bare, hat)
	if err != nil {
		t.Fatal(err)
	}
	second, err := Combine(first, adapter, adapter)
	if err != nil {
		t.Fatal(err)
	}
	if len(second.CAN) != 3 || second.CAN[2].Name != "can2" || second.CAN[0].Interrupt != "GPIO25" {
		t.Errorf("buses: %+v", second.CAN)
	}
	if diff := cmp.Diff(uses(first), uses(second)); diff != "" {
		t.Errorf("an adapter on USB changed lines (-before +after):\n%s", diff)
	}
	if got := uses(first)["GPIO14"]; got != "waveshare-rs485-can RS485" {
		t.Errorf("the console did not give way: %s", got)
	}
	if diff := cmp.Diff(before, uses(bare)); diff != "" || len(bare.CAN) != 0 || bare.Serial[0].Use != console {
		t.Errorf("Combine changed its argument (-before +after):\n%s", diff)
	}
	if _, err := Combine(first, hat); err == nil || !strings.Contains(err.Error(), "there twice") {
		t.Errorf("the same HAT again: %v", err)
	}
}

func mustHAT(t *testing.T, name string) *HAT {
	t.Helper()
	h, err := GetHAT(name)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestClashes(t *testing.T) {
	for _, test := range []struct {
		board string
		hats  []string
		want  []string
	}{
		{"rpi4", []string{"pican2", "seeed-2ch-can-fd"}, []string{
			"seeed-2ch-can-fd/board.yaml:5:5: can0 (pican2/board.yaml:5) has chip select 0 of SPI0 already: can1 cannot have it, too",
			"can0 interrupt (pican2/board.yaml:5) has GPIO25 already: can1 interrupt cannot have it, too",
		}},
		{"canopi-cm4", []string{"pican2"}, []string{"canopi-cm4 has no header for HATs"}},
		{"rpi4", []string{"waveshare-rs485-can", "waveshare-2ch-can-fd"}, []string{"has chip select 0 of SPI0 already"}},
		{"beaglebone-black", []string{"pican2"}, []string{"beaglebone-black has no header for HATs"}},
		{"rpi4", []string{"rpi4"}, []string{"rpi4 is a board, not a HAT"}},
		{"pican2", nil, []string{"pican2 is a HAT, not a board"}},
		{"rpi6", nil, []string{`there is no board "rpi6"; there are amd64, beaglebone-black, `}},
		{"../boards/rpi4", nil, []string{"there is no board"}},
		{"rpi-40pin", nil, []string{`there is no board "rpi-40pin"`}},
		{"rpi4", []string{"pican4"}, []string{`there is no HAT "pican4"; there are pican2, pican3, `}},
	} {
		_, err := Get(test.board, test.hats...)
		if err == nil {
			t.Errorf("%s with %q: no error", test.board, test.hats)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s with %q: %v, want an error with %q", test.board, test.hats, err, want)
			}
		}
	}
}

// Debian's kernel does not drive what a HAT needs on a Raspberry Pi 5.
func TestMissingInKernel(t *testing.T) {
	b, err := Get("rpi5", "pican2")
	if err != nil {
		t.Fatal(err)
	}
	if all := strings.Join(b.Quirks, "\n"); !strings.Contains(all, "Debian's kernel of trixie does not drive what pican2 needs (spi)") {
		t.Errorf("the quirks say nothing of it:\n%s", all)
	}
}
