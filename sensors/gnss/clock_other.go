//go:build !linux

package gnss

func bootTime() int64 { return 0 }
