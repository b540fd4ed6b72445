package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"

	"milepost/boards"
)

var boardsCommand = &command{
	name:    "boards",
	summary: "list the boards and HATs, or show one with its pins and buses",
	usage:   "[--json] [BOARD [HAT …]]",
	detail: `
Without a name, all boards and HATs are listed. With a BOARD it is shown: CAN
controllers, pins and lines with what takes them, serial ports, watchdog, storage,
what to know, and the documents that all of it comes from. With HATs behind it, it
is shown with those on it, or why they do not go together. A HAT can be shown by
itself, too.`,
	example: `milepost boards
milepost boards rpi4 waveshare-2ch-can-fd
milepost boards --json rpi4 | python3 -m json.tool`,
	run: runBoards,
}

func runBoards(_ context.Context, inv *invocation, c *command, args []string) error {
	var asJSON bool
	names, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.BoolVar(&asJSON, "json", false, "print JSON")
	})
	if err != nil {
		return err
	}
	var shown any
	var text bytes.Buffer
	switch board, hat, err := boardOrHAT(names); {
	case err != nil:
		return err
	case board != nil:
		showBoard(&text, board)
		shown = board
	case hat != nil:
		showHAT(&text, hat)
		shown = hat
	default:
		all := struct {
			Boards []*boards.Board `json:"boards"`
			HATs   []*boards.HAT   `json:"hats"`
		}{boards.All(), boards.HATs()}
		listBoards(&text, all.Boards, all.HATs)
		shown = all
	}
	if asJSON {
		encoder := json.NewEncoder(inv.stdout)
		encoder.SetIndent("", "  ")
		return quietPipe(encoder.Encode(shown))
	}
	_, err = text.WriteTo(inv.stdout)
	return quietPipe(err)
}

// boardOrHAT finds what the names stand for; neither for no names.
func boardOrHAT(names []string) (*boards.Board, *boards.HAT, error) {
	if len(names) == 0 {
		return nil, nil, nil
	}
	if len(names) == 1 {
		if hat, err := boards.GetHAT(names[0]); err == nil {
			return nil, hat, nil
		}
	}
	board, err := boards.Get(names[0], names[1:]...)
	return board, nil, err
}
