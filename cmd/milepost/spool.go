package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"milepost/cmd/internal/gateway"
	"milepost/uplink"
	"milepost/uplink/spool"
)

var spoolCommand = &command{
	name:    "spool",
	summary: "look into a spool: what it holds, what is delivered, what is damaged",
	usage:   "ls|dump|verify|export DIR",
	detail: `
ls      its chapters and how far each sink is
dump    its records as JSON lines
verify  reads all of it and reports damage; exit code 1 if there is any
export  writes every record that can be read to a file, and says what is missing;
        exit code 1 if anything is

The spool may be in use or damaged. Nothing in it is changed.`,
	example: `milepost spool ls /var/lib/milepost/spool
milepost spool dump ./spool | head -n 1 | python3 -m json.tool
milepost spool export --out drive.csv ./spool`,
	run: runSpool,
}

func runSpool(ctx context.Context, inv *invocation, c *command, args []string) error {
	var out string
	rest, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		flags.StringVar(&out, "out", "", "export to this `FILE`: CSV if it ends in .csv, and else JSON lines")
	})
	if err != nil {
		return err
	}
	if out != "" && (len(rest) == 0 || rest[0] != "export") {
		return usagef("--out goes with export")
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
	case "export":
		if out == "" {
			return usagef("export needs --out FILE")
		}
		err = exportSpool(ctx, inv, dir, out)
	default:
		return usagef("%q is none of ls, dump, verify and export", what)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s holds no spool: %w", dir, err)
	}
	return err
}

func listSpool(w io.Writer, dir string) error {
	folders := gateway.SpoolFolders(dir)
	for i, f := range folders {
		info, err := spool.Inspect(f.Dir)
		if err != nil {
			return err
		}
		label := ""
		if len(folders) > 1 {
			label = fmt.Sprintf(" of %s priority", f.Priority)
		}
		if i > 0 {
			fmt.Fprintln(w)
		}
		fmt.Fprintf(w, "spool %x%s, made %s\n\n", info.ID[:4], label, info.Created.UTC().Format(time.RFC3339))
		listClass(w, &info)
	}
	return nil
}

// listClass lists the chapters and cursors of one spool.
func listClass(w io.Writer, info *spool.Info) {
	fmt.Fprintf(w, "%-22s %12s %12s %9s %10s\n", "chapter", "first", "last", "entries", "bytes")
	var entries uint64
	var bytes int64
	for i := range info.Chapters {
		ch := &info.Chapters[i]
		fmt.Fprintf(w, "%-22s %12d %12d %9d %10d", ch.Name, ch.First, ch.Last, ch.Entries, ch.Bytes)
		if len(ch.Findings) > 0 {
			fmt.Fprintf(w, "  damaged: %s", plural(len(ch.Findings), "finding"))
		}
		if ch.Thinned > 0 {
			fmt.Fprintf(w, "  %d were merged into them (step %d)", ch.Thinned, ch.Step)
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
		fmt.Fprintf(w, "\n%-22s %12s %12s %12s %12s %12s\n", "sink", "acknowledged", "up to entry", "evicted", "missing", "thinned")
	}
	for _, cursor := range info.Cursors {
		fmt.Fprintf(w, "%-22s %12d %12d %12d %12d %12d\n", cursor.Name, cursor.Acknowledged, cursor.Acked, cursor.Evicted, cursor.Missing, cursor.Thinned)
	}
}

func dumpSpool(ctx context.Context, inv *invocation, dir string) error {
	read, err := writeRecords(ctx, inv.stdout, inv.stderr, dir, uplink.AppendJSON)
	if err != nil {
		return quietPipe(err)
	}
	if read.bad > 0 {
		return fmt.Errorf("%s could not be read as records", plural(read.bad, "entry"))
	}
	return nil
}

// spoolRead counts what was found in a spool.
type spoolRead struct {
	records, missing uint64
	bad              int // entries that are no records
}

// writeRecords writes all records that can be read, one a line, and to notes
// what is missing between them.
func writeRecords(ctx context.Context, w, notes io.Writer, dir string, format func([]byte, *uplink.Record) []byte) (read spoolRead, err error) {
	out := bufio.NewWriterSize(w, 1<<16)
	folders := gateway.SpoolFolders(dir)
	for _, f := range folders {
		label := ""
		if len(folders) > 1 {
			label = fmt.Sprintf("%s priority: ", f.Priority)
		}
		err := read.class(ctx, f.Dir, label, out, notes, format)
		if err != nil {
			return read, err
		}
	}
	return read, out.Flush()
}

// class writes the records of one spool; the label goes before each note.
func (read *spoolRead) class(ctx context.Context, dir, label string, w, notes io.Writer, format func([]byte, *uplink.Record) []byte) error {
	var decoder uplink.BatchDecoder
	var records []uplink.Record
	var line []byte
	for entry, err := range spool.Scan(dir) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		if entry.Missing > 0 {
			fmt.Fprintf(notes, "%sbefore entry %d: %s missing\n", label, entry.Index, plural(entry.Missing, "entry"))
			read.missing += entry.Missing
		}
		records, err = decoder.Decode(entry.Payload, records[:0])
		if err != nil {
			fmt.Fprintf(notes, "%sentry %d: %v\n", label, entry.Index, err)
			read.bad++
			continue
		}
		for i := range records {
			line = append(format(line[:0], &records[i]), '\n')
			if _, err := w.Write(line); err != nil {
				return err
			}
			read.records++
		}
	}
	return nil
}

// exportSpool writes what can be read to a file, which appears whole or not at
// all, and tells on standard output what is missing.
func exportSpool(ctx context.Context, inv *invocation, dir, name string) error {
	findings, err := verifyClasses(dir)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	format := uplink.AppendJSON
	if strings.EqualFold(filepath.Ext(name), ".csv") {
		format = uplink.AppendCSV
		if _, err := f.WriteString(uplink.CSVHeader + "\n"); err != nil {
			return err
		}
	}
	read, err := writeRecords(ctx, f, inv.stdout, dir, format)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	for _, finding := range findings {
		fmt.Fprintln(inv.stdout, finding)
	}
	fmt.Fprintf(inv.stdout, "%s in %s", plural(read.records, "record"), name)
	if read.missing > 0 {
		fmt.Fprintf(inv.stdout, "; %s between them missing", plural(read.missing, "entry"))
	}
	if read.bad > 0 {
		fmt.Fprintf(inv.stdout, "; %s could not be read as records", plural(read.bad, "entry"))
	}
	fmt.Fprintln(inv.stdout)
	if len(findings) > 0 || read.missing > 0 || read.bad > 0 {
		return errReported
	}
	return nil
}

func verifySpool(inv *invocation, dir string) error {
	findings, err := verifyClasses(dir)
	if err != nil {
		return err
	}
	for _, f := range findings {
		fmt.Fprintln(inv.stdout, f)
	}
	stored, err := gateway.LastStored(dir)
	if err != nil {
		fmt.Fprintf(inv.stdout, "%v\n", err)
		return errReported
	}
	if len(findings) > 0 {
		return errReported
	}
	fmt.Fprintf(inv.stdout, "%s: no damage; the last record is number %d\n", dir, stored.Last())
	return nil
}

// verifyClasses verifies the spools of all classes. The files of those in subfolders
// are named with these.
func verifyClasses(dir string) (all []spool.Finding, err error) {
	for _, f := range gateway.SpoolFolders(dir) {
		findings, err := spool.Verify(f.Dir)
		if err != nil {
			return nil, err
		}
		below, err := filepath.Rel(dir, f.Dir)
		if err != nil {
			return nil, err
		}
		for _, finding := range findings {
			finding.File = filepath.Join(below, finding.File)
			all = append(all, finding)
		}
	}
	return all, nil
}
