package canlog

// Stats counts what a log was made of. Each line is counted once:
//
//	Lines = Frames + XL + Comments + Details + Bad
type Stats struct {
	// Bytes of text, after decompression.
	Bytes int64
	Lines uint64

	// Frames were delivered. Remote, Errors, FD and NoTime say how many of them
	// were remote frames, error frames, CAN FD frames, and had no time stamp of
	// their own.
	Frames, Remote, Errors, FD, NoTime uint64

	// XL counts CAN XL frames: recognised, not delivered.
	XL uint64
	// Comments counts comments, header lines and blank lines.
	Comments uint64
	// Details counts the lines that candump -e adds to an error frame.
	Details uint64
	// Bad counts lines that made no sense.
	Bad uint64

	// RecorderDrops is the number of frames that the recording program itself
	// reported as lost (candump -d).
	RecorderDrops uint64

	// Truncated says that the log ends in the middle of a line or of its
	// compressed data, as a power cut leaves it. If what is left of the line is a
	// frame, it is delivered: perhaps one that lost some of its data bytes.
	Truncated bool
	// CutOff says that it does for certain: the rest of the line is no frame, or
	// the compressed data lack their end.
	CutOff bool
}

// Add adds what another part of the same log was made of.
func (s *Stats) Add(t Stats) {
	s.Bytes += t.Bytes
	s.Lines += t.Lines
	s.Frames += t.Frames
	s.Remote += t.Remote
	s.Errors += t.Errors
	s.FD += t.FD
	s.NoTime += t.NoTime
	s.XL += t.XL
	s.Comments += t.Comments
	s.Details += t.Details
	s.Bad += t.Bad
	s.RecorderDrops += t.RecorderDrops
	s.Truncated = s.Truncated || t.Truncated
	s.CutOff = s.CutOff || t.CutOff
}
