package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"milepost/can"
	"milepost/cmd/milepost-lab/board"
	"milepost/cmd/milepost-lab/board/boardtest"
)

// noBoard is for orders that do not come to a board.
var noBoard = &board.Board{}

func TestBoardUsage(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--machine", "sparc"}, "[arm64 arm32]"},
		{[]string{"--file", "/etc/x"}, "GUEST=HOST"},
		{[]string{"--adapters", "-1"}, "fewer than none"},
		{[]string{"run", "x"}, "standard input"},
	} {
		var stderr bytes.Buffer
		inv := &invocation{args: append([]string{"board"}, c.args...), stdin: strings.NewReader(""), stdout: &stderr, stderr: &stderr}
		if code := inv.run(t.Context()); code != exitUsage || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%q ends with %d and says %s; want %q", c.args, code, &stderr, c.want)
		}
	}
}

// TestBoardOrders: what a board cannot be told is said before it is asked.
func TestBoardOrders(t *testing.T) {
	for line, want := range map[string]string{
		"dance":            "unknown",
		"run":              "it is: run PROGRAM",
		"send can0 hello":  `"hello" is no frame`,
		"send can0":        "it is: send CAN ID#DATA",
		"line 1 high":      "high",
		"line one 1":       "one",
		"link sideways":    "on or off",
		"clock yesterday":  "yesterday",
		"up can0 fast":     "fast",
		"bus first 123#11": "no first",
	} {
		// The adapters are the only thing of a board that is looked at.
		if err := obeyLine(context.Background(), noBoard, nil, strings.Fields(line)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v, want %q", line, err, want)
		}
	}
}

func TestParseFrame(t *testing.T) {
	for text, want := range map[string]can.Frame{
		"123#1122":  {ID: 0x123, Len: 2},
		"18FF1234#": {ID: 0x18ff1234, Flags: can.Extended},
		"7FF#R4":    {ID: 0x7ff, Len: 4, Flags: can.Remote},
	} {
		f, err := parseFrame(text)
		if err != nil || f.ID != want.ID || f.Len != want.Len || f.Flags != want.Flags {
			t.Errorf("%s is %+v, want %+v: %v", text, f, want, err)
		}
	}
}

// TestBoardByHand has a board do one of everything.
func TestBoardByHand(t *testing.T) {
	boardtest.Require(t)
	var stdout, stderr bytes.Buffer
	inv := &invocation{
		args:   []string{"board", "--controllers", "2", "--adapters", "1", "--disk", "32", "--no-clock", "--file", "/etc/hosts=command.go"},
		stdin:  strings.NewReader("clock 2030-01-31T12:00:00Z\nrun milepost version\nup can0\nup can1\nsend can1 123#1122\nbus 0 7FF#\nvcan vcan0\nline 3 1\nlink off\ncat /etc/hosts\ncat /no/such/file\n"),
		stdout: &stdout, stderr: &stderr,
	}
	if code := inv.run(t.Context()); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"arm64 with kernel ", "linux/arm64", "package main", "/no/such/file: no such file"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("it does not say %q, but %s", want, stdout.String())
		}
	}
	if !strings.Contains(stderr.String(), "guest: ready") {
		t.Errorf("the console is %s", stderr.String())
	}
}
