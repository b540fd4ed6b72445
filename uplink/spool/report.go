package spool

import (
	"fmt"
	"log/slog"
)

// Report says what Open found.
type Report struct {
	Created bool // the directory held no spool
	Unclean bool // the spool was not closed in order the last time

	// Entries is the number of readable entries. Only the newest chapter is read
	// for it; what is wrong with older ones shows when they are read.
	Entries uint64
	// Missing are indexes of entries that are newly found to be gone.
	Missing []Span
	// Skipped are indexes that were set aside before a crash. They are not used,
	// lest two entries ever have the same one.
	Skipped []Span
	// BytesQuarantined were damaged and are now in the folder quarantine.
	BytesQuarantined int64
	Findings         []Finding
}

// Finding is something on disk that is not as it was written.
type Finding struct {
	File   string // below the spool's directory
	Offset int64  // -1 where the file as a whole is meant
	Cause  string
	// Tail says that it is the end of the newest chapter. A crash can leave such
	// a tail behind; while the spool is in use, it may be just being written.
	Tail bool
}

func (f Finding) String() string {
	if f.Offset < 0 {
		return f.File + ": " + f.Cause
	}
	return fmt.Sprintf("%s: offset %d: %s", f.File, f.Offset, f.Cause)
}

// LogValue writes a Finding as one string.
func (f Finding) LogValue() slog.Value { return slog.StringValue(f.String()) }
