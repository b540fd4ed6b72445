package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"syscall"
	"time"

	"milepost/can"
	"milepost/can/canlog"
	"milepost/can/dbc"
	"milepost/cmd/internal/gateway"
)

var decodeCommand = &command{
	name:    "decode",
	summary: "print the frames of logs or of a pipe with their signals",
	usage:   "--dbc [BUS=]FILE… [--match auto|exact|j1939] [--not-available missing|keep] [--format text|jsonl] [--known] [LOG|-]…",
	detail: `
Reads candump logs (plain, .gz or .zst), or without a LOG what candump writes
into a pipe, and prints each frame as soon as it is there. An argument that
ends in .dbc is a --dbc, too.

text is a line a frame as candump prints it, with the message and its signals
behind. jsonl is an object a line:
{"time":…,"bus":…,"id":…,"message":…,"signals":{"NAME":number,…},"errors":[…]}
with physical values; message is null where no database knows the ID, and what
is missing from signals, errors says.`,
	example: `
candump vcan0 | milepost decode car.dbc
milepost decode --dbc can0=car.dbc --dbc can1=radar.dbc --format jsonl drive.log.gz`,
	run: runDecode,
}

func runDecode(ctx context.Context, inv *invocation, c *command, args []string) error {
	var databases databaseFlags
	var format string
	var known bool
	args, err := c.parse(inv, args, func(flags *flag.FlagSet) {
		databases.declare(flags)
		flags.StringVar(&format, "format", "text", "`FORM` of the lines, text or jsonl")
		flags.BoolVar(&known, "known", false, "leave out data frames that no database knows")
	})
	if err != nil {
		return err
	}
	var logs []string
	for _, arg := range args {
		if isDatabase(arg) {
			databases.files = append(databases.files, arg)
		} else {
			logs = append(logs, arg)
		}
	}
	d, err := newDecoding(inv, format)
	if err != nil {
		return err
	}
	d.known = known
	if len(databases.files) == 0 {
		return usagef("no database: name a DBC file")
	}
	if len(logs) == 0 {
		logs = []string{"-"}
	}
	if d.bindings, err = databases.load(inv.stderr); err != nil {
		return err
	}

	// A reader such as head that has seen enough is not a failure.
	var failed []error
	for _, log := range logs {
		err := d.log(ctx, log)
		if d.lines.err != nil {
			if errors.Is(d.lines.err, syscall.EPIPE) {
				return nil
			}
			return fmt.Errorf("write the decoded frames: %w", d.lines.err)
		}
		if err != nil {
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// decoding is one run of the command.
type decoding struct {
	inv      *invocation
	bindings *gateway.Bindings
	printer  framePrinter
	known    bool // leave out data frames that no database knows
	lines    lineWriter
	problems logProblems
	messages map[*dbc.Plan]*decodedMessage
}

func newDecoding(inv *invocation, format string) (*decoding, error) {
	d := &decoding{inv: inv, messages: make(map[*dbc.Plan]*decodedMessage)}
	d.lines.w = inv.stdout
	switch format {
	case "text":
		d.printer = &textPrinter{}
	case "jsonl":
		d.printer = &jsonPrinter{}
	default:
		return nil, usagef("--format %s: use text or jsonl", format)
	}
	return d, nil
}

// framePrinter is a format.
type framePrinter interface {
	// begin comes before the first frame and whenever there are more buses or the
	// log turns out to have times.
	begin(timed bool, buses []string)
	// append writes the line of a frame.
	append(dst []byte, f *can.Frame, s *decodedStream) []byte
}

// decodedStream is what all frames of a stream have in common. The message is
// nil for those that no database knows.
type decodedStream struct {
	bus, jsonBus []byte
	message      *decodedMessage
}

// log prints the frames of one log.
func (d *decoding) log(ctx context.Context, path string) error {
	in, err := openInput(ctx, d.inv, path)
	if err != nil {
		return err
	}
	defer in.close()
	if path == "-" && isTerminal(d.inv.stdin) {
		fmt.Fprintln(d.inv.stderr, "reading candump text from the keyboard; to read a log, name it")
	}
	show := newProgress(d.inv.stderr, in.size)
	if isTerminal(d.inv.stdout) {
		show.hide()
	}
	defer show.finish()
	d.problems.w = show

	log, err := canlog.NewReader(in.name, &flushingReader{in, &d.lines}, canlog.Options{OnProblem: d.problems.report})
	if err == nil {
		err = d.frames(ctx, log, show)
		d.problems.summarise(in.name, log.Stats())
		log.Close()
	}
	switch {
	case ctx.Err() != nil && in.size == 0: // how listening to a live bus ends
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("%s: interrupted", in.name)
	case err != nil:
		return err
	case log.Stats().Frames == 0:
		return fmt.Errorf("%s: none of its %s is a CAN frame; candump writes such logs", in.name, plural(log.Stats().Lines, "line"))
	}
	return nil
}

// frames prints the frames of an open log.
func (d *decoding) frames(ctx context.Context, log *canlog.Log, show *progress) error {
	const atOnce = 256
	frames := make([]can.Frame, atOnce)
	var (
		buses   []decodedStream // for frames without a stream
		streams []*decodedStream
		timed   bool
		count   uint64
	)
	for {
		n, err := log.Read(frames)
		if err == io.EOF {
			return d.lines.flush()
		}
		if err != nil {
			return errors.Join(err, d.lines.flush())
		}
		names := log.Buses()
		stats := log.Stats()
		if hasTimes := stats.NoTime < stats.Frames; hasTimes != timed || len(names) > len(buses) {
			timed = hasTimes
			for _, name := range names[len(buses):] {
				buses = append(buses, decodedStream{bus: []byte(name), jsonBus: quoted(name)})
			}
			d.printer.begin(timed, names)
		}
		for i := range frames[:n] {
			f := &frames[i]
			s := &buses[f.Bus]
			if f.Stream != can.NoStream {
				for int(f.Stream) >= len(streams) {
					streams = append(streams, nil)
				}
				if streams[f.Stream] == nil {
					streams[f.Stream] = d.stream(s, names[f.Bus], f)
				}
				s = streams[f.Stream]
				if d.known && s.message == nil {
					continue
				}
			}
			d.lines.buf = d.printer.append(d.lines.buf, f, s)
		}
		if err := d.lines.full(); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return d.lines.flush()
		}
		count += uint64(n)
		done, total := log.Progress()
		show.update(done, total, count, time.Unix(0, frames[n-1].Time))
	}
}

// stream finds the message of a stream by its first frame.
func (d *decoding) stream(bus *decodedStream, name string, f *can.Frame) *decodedStream {
	s := *bus
	decoder := d.bindings.Decoder(name)
	if decoder == nil {
		return &s
	}
	plan := decoder.Lookup(f.ID, f.Is(can.Extended))
	if plan == nil {
		return &s
	}
	if s.message = d.messages[plan]; s.message == nil {
		s.message = newDecodedMessage(plan)
		d.messages[plan] = s.message
	}
	return &s
}
