package main

import (
	"encoding/json"
	"strings"
	"testing"

	"milepost/boards"
)

func TestBoardsList(t *testing.T) {
	got := milepost(nil, "boards")
	if got.code != exitDone {
		t.Fatalf("exit code %d: %s", got.code, got.stderr)
	}
	for _, b := range boards.All() {
		if !strings.Contains(got.stdout, "\n"+b.Name+" ") && !strings.HasPrefix(got.stdout, b.Name) {
			t.Errorf("%s is not in the list:\n%s", b.Name, got.stdout)
		}
	}
	for _, want := range []string{
		"\nbeaglebone-black  arm 7         D_CAN               BeagleBone Black\n",
		"\nwaveshare-2ch-can-fd  rpi-40pin  2 × MCP2518FD (FD)  Waveshare",
		"\nusb-candlelight       USB        bxCAN ",
	} {
		if !strings.Contains(got.stdout, want) {
			t.Errorf("no %q in\n%s", want, got.stdout)
		}
	}
}

func TestBoardsShow(t *testing.T) {
	for _, test := range []struct {
		args []string
		want []string
	}{
		{[]string{"rpi4"}, []string{
			"rpi4: Raspberry Pi 4 Model B\n",
			"kernel      linux-image-arm64 of bookworm, broadcom/bcm2711-rpi-4-b.dtb, console=ttyS1,115200\n",
			" 7 │ 8   GPIO14 console\n",
			"GPIO11 (spi0-sclk)  23 │ 24  GPIO8 (spi0-ce0)\n",
			"not yet booted on the physical board\n",
		}},
		{[]string{"rpi4", "waveshare-2ch-can-fd"}, []string{
			"rpi4 + waveshare-2ch-can-fd: ",
			"can1  CAN_1  MCP2518FD  mcp251xfd  1 FD 8  40   SPI1 select 0, 20 MHz  GPIO16 (pin 36)  waveshare-2ch-can-fd\n",
			"GPIO11 SPI0  23 │ 24  GPIO8 can0 chip select\n",
			"  dtoverlay=waveshare-can-fd-hat-mode-a\n",
		}},
		{[]string{"beaglebone-black"}, []string{
			"  P9_24  gpio0  15      uart1-tx, dcan1-rx  can0\n",
			"            0x20000: MLO (U-Boot's first stage)\n",
			"\nto append to the device tree\n",
		}},
		{[]string{"waveshare-rs485-can"}, []string{"goes on the header rpi-40pin\n", "12 or 8", "also takes\n  serial0 RS485\n"}},
		{[]string{"qemu-virt-arm64"}, []string{"emulator    qemu-system-aarch64 -M virt -cpu cortex-a53", "ignition    ignition\n"}},
	} {
		got := milepost(nil, append([]string{"boards"}, test.args...)...)
		if got.code != exitDone || got.stderr != "" {
			t.Errorf("%q: exit code %d: %s", test.args, got.code, got.stderr)
		}
		for _, want := range test.want {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("%q: no %q in\n%s", test.args, want, got.stdout)
			}
		}
	}
}

// Nothing is wider than a wide terminal but addresses and what must not be broken.
func TestBoardsAreNarrow(t *testing.T) {
	for _, b := range boards.All() {
		for line := range strings.Lines(milepost(nil, "boards", b.Name).stdout) {
			if n := len([]rune(line)); n > 140 && !strings.Contains(line, "https://") {
				t.Errorf("%s: a line of %d characters: %s", b.Name, n, line)
			}
		}
	}
}

func TestBoardsJSON(t *testing.T) {
	var board boards.Board
	if err := json.Unmarshal([]byte(milepost(nil, "boards", "--json", "rpi4", "pican2").stdout), &board); err != nil {
		t.Fatal(err)
	}
	if board.Name != "rpi4" || len(board.CAN) != 1 || board.CAN[0].SPI == nil || board.CAN[0].From != "pican2" || len(board.Pins) != 40 {
		t.Errorf("read back: %+v", board)
	}
	var all struct {
		Boards []boards.Board
		HATs   []boards.HAT
	}
	if err := json.Unmarshal([]byte(milepost(nil, "boards", "--json").stdout), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Boards) != len(boards.All()) || len(all.HATs) != len(boards.HATs()) {
		t.Errorf("%d boards and %d HATs", len(all.Boards), len(all.HATs))
	}
}

func TestBoardsErrors(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"rpi6"}, `there is no board "rpi6"; there are amd64, `},
		{[]string{"rpi4", "pican9"}, `there is no HAT "pican9"; there are pican2, `},
		{[]string{"rpi4", "pican2", "pican3"}, "pican3/board.yaml:5:5: can0 (pican2/board.yaml:5) has chip select 0 of SPI0 already"},
	} {
		got := milepost(nil, append([]string{"boards"}, test.args...)...)
		if got.code != exitFailed || got.stdout != "" || !strings.Contains(got.stderr, test.want) {
			t.Errorf("%q: exit code %d, said %q, want %q", test.args, got.code, got.stderr, test.want)
		}
	}
}
