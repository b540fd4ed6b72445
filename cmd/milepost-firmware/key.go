package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"milepost/firmware/bundle"
)

var keyCommand = &command{
	name:    "key",
	summary: "a pair of keys for update bundles",
	usage:   "[-o NAME]",
	detail: `
Makes an Ed25519 key: NAME.key signs bundles and is to be kept secret, NAME.pem is
what images trust. Nothing is overwritten. Whoever has NAME.key can put any program
on every device that trusts it; without it, those devices take no updates any more.`,
	run: runKey,
}

func runKey(_ context.Context, inv *invocation, c *command, args []string) error {
	name := "milepost-update"
	rest, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.StringVar(&name, "o", name, "write `NAME`.key and NAME.pem")
	})
	if err != nil {
		return err
	}
	if len(rest) > 0 {
		return usagef("unexpected %q", rest[0])
	}
	private, public, err := bundle.NewKey()
	if err != nil {
		return err
	}
	if err := writeNew(name+".key", private, 0o600); err != nil {
		return err
	}
	if err := writeNew(name+".pem", public, 0o644); err != nil {
		return err
	}
	fmt.Fprintf(inv.stdout, "%s.key signs: keep it secret, and keep a copy\n%s.pem is for images\n", name, name)
	return nil
}

// writeNew writes a file that must not be there yet.
func writeNew(path string, body []byte, mode os.FileMode) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if _, err := file.Write(body); err != nil {
		file.Close()
		return err
	}
	return file.Close()
}
