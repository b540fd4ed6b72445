//go:build unix

package spool

import "syscall"

func makePipe(name string) error { return syscall.Mkfifo(name, 0o640) }
