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
	signal.Ignore(syscall.SIGPIPE) // a reader that has seen enough is an error to handle, not a death
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends what does not heed the first
	inv := &invocation{os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.LookupEnv}
	code := inv.run(ctx)
	stop()
	os.Exit(code)
}
