package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"milepost/cmd/internal/gateway"
	"milepost/uplink"
	"milepost/uplink/spool"
)

var spoolCommand = &command{
	name:    "spool",
	summary: "look into a spool: what it holds, what is delivered, what is damaged",
	usage:   "ls|dump|verify DIR",
	detail: `
ls      its chapters and how far each sink is
dump    its records as JSON lines
verify  reads all of it and reports damage; exit code 1 if there is any

The spool may be in use or damaged. Nothing in it is changed.`,
	example: `milepost spool ls /var/lib/milepost/spool
milepost spool dump ./spool | head -n 1 | python3 -m json.tool`,
	run: runSpool,
}

func runSpool(ctx context.Context, inv *invocation, c *command, args []string) error {
	rest, err := c.parse(inv, args, nil)
	if err != nil {
		return err
	}
	if len(rest) != 2 {
		return usagef("what of which DIR?")
	}
	dir := rest[1]
	switch what := rest[0]; what {
	case "ls":
		err = listSpool(inv.stdout, dir)
	case "dump":
		err = dumpSpool(ctx, inv, dir)
	case "verify":
		err = verifySpool(inv, dir)
	default:
		return usagef("%q is none of ls, dump and verify", what)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no spool: %w", dir, err)
	}
	return err
}

func listSpool(w io.Writer, dir string) error {
	info, err := spool.Inspect(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "spool %x, made %s\n\n", info.ID[:4], info.Created.UTC().Format(time.RFC3339))
	fmt.Fprintf(w, "%-22s %12s %12s %9s %10s\n", "chapter", "first", "last", "entries", "bytes")
	var entries uint64
	var bytes int64
	for i := range info.Chapters {
		ch := &info.Chapters[i]
		fmt.Fprintf(w, "%-22s %12d %12d %9d %10d", ch.Name, ch.First, ch.Last, ch.Entries, ch.Bytes)
		if len(ch.Findings) > 0 {
			fmt.Fprintf(w, "  damaged: %s", plural(len(ch.Findings), "finding"))
		}
		fmt.Fprintln(w)
		entries += ch.Entries
		bytes += ch.Bytes
	}
	fmt.Fprintf(w, "%-22s %12s %12s %9d %10d\n", "all", "", "", entries, bytes)
	if info.QuarantineBytes > 0 {
		fmt.Fprintf(w, "%d damaged bytes are in the folder quarantine\n", info.QuarantineBytes)
	}
	if len(info.Cursors) > 0 {
		fmt.Fprintf(w, "\n%-22s %12s %12s %12s %12s\n", "sink", "acknowledged", "up to entry", "evicted", "missing")
	}
	for _, cursor := range info.Cursors {
		fmt.Fprintf(w, "%-22s %12d %12d %12d %12d\n", cursor.Name, cursor.Acknowledged, cursor.Acked, cursor.Evicted, cursor.Missing)
	}
	return nil
}

func dumpSpool(ctx context.Context, inv *invocation, dir string) error {
	out := bufio.NewWriterSize(inv.stdout, 1<<16)
	var decoder uplink.BatchDecoder
	var records []uplink.Record
	var line []byte
	bad := 0
	for entry, err := range spool.Scan(dir) {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if entry.Missing > 0 {
			fmt.Fprintf(inv.stderr, "before entry %d: %s missing\n", entry.Index, plural(entry.Missing, "entry"))
		}
		records, err = decoder.Decode(entry.Payload, records[:0])
		if err != nil {
			fmt.Fprintf(inv.stderr, "entry %d: %v\n", entry.Index, err)
			bad++
			continue
		}
		for i := range records {
			line = append(uplink.AppendJSON(line[:0], &records[i]), '\n')
			if _, err := out.Write(line); err != nil {
				return quietPipe(err)
			}
		}
	}
	if err := out.Flush(); err != nil {
		return quietPipe(err)
	}
	if bad > 0 {
		return fmt.Errorf("%s could not be read as records", plural(bad, "entry"))
	}
	return nil
}

func verifySpool(inv *invocation, dir string) error {
	findings, err := spool.Verify(dir)
	if err != nil {
		return err
	}
	for _, f := range findings {
		fmt.Fprintln(inv.stdout, f)
	}
	sequence, err := gateway.LastStored(dir)
	if err != nil {
		fmt.Fprintf(inv.stdout, "%v\n", err)
		return errReported
	}
	if len(findings) > 0 {
		return errReported
	}
	fmt.Fprintf(inv.stdout, "%s: no damage; the last record is number %d\n", dir, sequence)
	return nil
}
