package image

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"milepost/boards"
)

// TestCANFragment: each HAT on SPI gets into the tree of each Raspberry Pi that it
// fits on, and a compiler takes it.
func TestCANFragment(t *testing.T) {
	dtc, err := exec.LookPath("dtc")
	if err != nil {
		t.Log("there is no dtc to compile with: on Debian, `apt-get install device-tree-compiler`")
	}
	compiled := 0
	for _, b := range boards.All() {
		if Check(b) != nil || !RaspberryPi(b) {
			continue
		}
		own := len(b.CAN) // a carrier's
		if text, err := canFragment(b); strings.Count(text, "\tcan@") != own || err != nil {
			t.Errorf("%s without a HAT gets %q, %v; want %d controllers", b.Name, text, err, own)
		}
		for _, h := range boards.HATs() {
			with, err := boards.Get(b.Name, h.Name)
			if err != nil || h.Header == "" {
				continue
			}
			text, err := canFragment(with)
			if err != nil {
				t.Errorf("%s with %s: %v", b.Name, h.Name, err)
				continue
			}
			if got := strings.Count(text, "\tcan@"); got != own+len(h.CAN) {
				t.Errorf("%s with %s: %d controllers in the tree, want %d", b.Name, h.Name, got, own+len(h.CAN))
			}
			if strings.Contains(configTxt(with), "dtoverlay") {
				t.Errorf("%s with %s: the firmware is told of overlays:\n%s", b.Name, h.Name, configTxt(with))
			}
			if dtc == "" {
				continue
			}
			// What it refers to, as the trees of Debian's kernels have it.
			source := filepath.Join(t.TempDir(), "x.dts")
			text = "/dts-v1/; / { soc { gpio@7e200000 { }; spi@7e204000 { #address-cells = <1>; #size-cells = <0>; }; spi@7e215080 { #address-cells = <1>; #size-cells = <0>; }; }; };\n" + text
			if err := os.WriteFile(source, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			if said, err := exec.Command(dtc, "-q", "-I", "dts", "-O", "dtb", "-o", source+"b", source).CombinedOutput(); err != nil {
				t.Errorf("%s with %s: %v: %s\n%s", b.Name, h.Name, err, said, text)
			}
			compiled++
		}
	}
	if dtc != "" && compiled < 5 {
		t.Errorf("only %d trees were compiled", compiled)
	}
}

// TestCANFragmentText: a HAT with two controllers on two buses, of which one has
// another chip select.
func TestCANFragmentText(t *testing.T) {
	b, err := boards.Get("rpi4", "waveshare-2ch-can-fd")
	if err != nil {
		t.Fatal(err)
	}
	text, err := canFragment(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"clock-frequency = <40000000>", "&{/soc/gpio@7e200000} { can1_pins: can1-pins { brcm,pins = <16>; brcm,function = <0>; }; };",
		"spi1_milepost: spi1-milepost { brcm,pins = <21 20 19>; brcm,function = <3>; };", "spi1_selects: spi1-selects { brcm,pins = <26>; brcm,function = <1>; };",
		"cs-gpios = <&{/soc/gpio@7e200000} 26 1>;", "cs-gpios = <&{/soc/gpio@7e200000} 8 1>, <&{/soc/gpio@7e200000} 7 1>;", `compatible = "microchip,mcp251xfd";`, "interrupts = <16 8>;",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the fragment lacks %s:\n%s", want, text)
		}
	}
}
