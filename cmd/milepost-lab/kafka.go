package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"milepost/uplink/uplinktest/kafkaserver"
)

const kafkaHelp = `usage: milepost-lab kafka [--port N] [--keep DIR] [--user NAME:PASSWORD] [--no-create]

Runs a real Apache Kafka ` + kafkaserver.Version + ` on the loopback interface until it is interrupted:
one node, KRaft, a small heap. Needs Java 17; the jars (43 MB) come once through
Maven, are checked against the sums in milepost's source, and kept in the user's
cache directory.

  --port N              where clients connect (a free port)
  --keep DIR            keep the data in DIR, and go on with what is there
  --user NAME:PASSWORD  clients have to log in, with SASL PLAIN or SCRAM
  --no-create           topics have to be created

example:
  milepost-lab kafka --port 9092
`

func runKafka(ctx context.Context, inv *invocation, args []string) (err error) {
	var o kafkaserver.Options
	var user string
	flags := flag.NewFlagSet("kafka", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.IntVar(&o.Port, "port", 0, "")
	flags.StringVar(&o.Dir, "keep", "", "")
	flags.StringVar(&user, "user", "", "")
	flags.BoolVar(&o.NoAutoCreation, "no-create", false, "")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(inv.stdout, kafkaHelp)
		return err
	} else if err != nil {
		return usagef("%v", err)
	}
	if flags.NArg() > 0 {
		return usagef("what is %q?", flags.Arg(0))
	}
	if user != "" {
		name, password, ok := strings.Cut(user, ":")
		if !ok || name == "" || password == "" {
			return usagef("--user: it has to be NAME:PASSWORD")
		}
		o.Plain = map[string]string{name: password}
		o.Scram = o.Plain
	}
	if o.Dir == "" {
		if o.Dir, err = os.MkdirTemp("", "milepost-kafka-"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(o.Dir)) }()
	}
	server, err := kafkaserver.Start(ctx, o)
	if err != nil {
		return err
	}
	fmt.Fprintf(inv.stdout, "Kafka %s listens at %s; Ctrl-C ends it\n", kafkaserver.Version, server.Addr())
	select {
	case <-ctx.Done():
	case <-server.Ended():
		if ctx.Err() == nil { // else it got the same signal
			return fmt.Errorf("kafka has ended by itself: %s", server.LastLog())
		}
	}
	return server.Stop()
}
