// Command milepost-lab tries milepost out: what it needs around itself, such as
// a vehicle, a broker and a link that breaks, it brings along.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	inv := &invocation{args: os.Args[1:], stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}
	code := inv.run(ctx)
	stop()
	os.Exit(code)
}
