//go:build !unix

package spool

// syncDir does nothing where directories cannot be synced: NTFS journals its
// names by itself.
func syncDir(string) error { return nil }
