// Command milepost-firmware makes of milepost what is put onto gateways: binaries
// for all machines, packages, and images of disks. It runs in a checkout of the project, with Go.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	inv := &invocation{args: os.Args[1:], stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv}
	code := inv.run(ctx)
	stop()
	os.Exit(code)
}
