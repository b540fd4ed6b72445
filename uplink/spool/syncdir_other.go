//go:build !unix

package spool

const nonblock = 0

// syncDir does nothing where directories cannot be synced: NTFS journals its
// names by itself.
func syncDir(string) error { return nil }
