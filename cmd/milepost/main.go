// Command milepost reads CAN buses, summarises every signal second by second
// and delivers the summaries; and it does the same with recorded logs.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	inv := &invocation{os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv}
	code := inv.run(ctx)
	stop()
	os.Exit(code)
}
